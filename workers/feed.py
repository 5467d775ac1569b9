"""The feed worker: posts into followers' feeds and out of them, and authors into and out of one feed."""

from collections.abc import Sequence
from datetime import UTC, datetime

from bson import ObjectId

from datasources.fan_outs import Span
from domain.events import Effect
from domain.paging import PageRequest
from domain.records import FollowRecord, FollowState, PostStatus
from workers.work import NotYet, Tools

CHUNK = 1_000  # followers written at once
LOOKS = 5  # at a follow that changes while its feed is made what it says


async def fan_out(tools: Tools, key: str) -> None:
    """Puts a ready post into its author's followers' feeds, or takes a deleted one out; splits what is over a chunk.

    Safe to run twice: entries are keyed by owner and post, and a post is split once for each of its versions. What is
    split is owed until its last chunk is done. If the post changes meanwhile, the effect stays owed. Nothing is pushed
    of an author whose posts are pulled; the post of one who has crossed a limit still is, and lets them shift.
    """
    sources, post_id = tools.sources, ObjectId(key)
    post = await sources.posts.document(post_id)
    if post is None or Effect.FAN_OUT.value not in post.get("outbox", ()):
        return
    author_id, version = post["author_id"], post["version"]
    if post.get("split") == version:
        if not await sources.fan_outs.finish(post_id, version):
            raise NotYet
        return
    is_shown = post["status"] == PostStatus.READY.value and not post["deleted"]
    if is_shown and not await sources.shifts.is_pushed(author_id, datetime.now(UTC)):
        await sources.posts.pay(post_id, Effect.FAN_OUT, version=version)
        return
    owner_ids = await sources.fan_outs.followers(author_id, Span(), CHUNK + 1)
    if len(owner_ids) > CHUNK:
        await sources.fan_outs.split(post, CHUNK, datetime.now(UTC))
        return
    await _spread(tools, post_id, author_id, owner_ids)
    await sources.posts.pay(post_id, Effect.FAN_OUT, version=version)


async def push(tools: Tools, key: str) -> None:
    """Puts a post into the feeds of one chunk of its author's followers, or takes it out of them.

    Safe to run twice, and beside a chunk of an earlier or later version of the post: whatever it was split for, it
    makes these feeds what the post says by now, and looks again afterwards.
    """
    sources, now = tools.sources, datetime.now(UTC)
    chunk = await sources.fan_outs.take(ObjectId(key), now)
    if chunk is None:
        return
    if chunk.taken_until is not None and chunk.taken_until > now:
        raise NotYet  # somebody else has it in hand; should they be dead, the sweeper rings
    owner_ids = await sources.fan_outs.followers(chunk.author_id, chunk.span)
    await _spread(tools, chunk.post_id, chunk.author_id, owner_ids)
    await sources.fan_outs.done(chunk)


async def _spread(tools: Tools, post_id: ObjectId, author_id: ObjectId, owner_ids: Sequence[ObjectId]) -> None:
    """Makes these feeds hold a post, or not, as it is to be shown: until a look after the writing says the same.

    So who wrote entries of a post that was deleted meanwhile takes them out, after the one who pays for the deletion.
    Feeds that are not live are passed over: they are cleared, and whoever comes back has theirs rebuilt.
    """
    posts, feeds = tools.sources.posts, tools.sources.feeds
    owner_ids = await tools.sources.feed_states.live_among(owner_ids)
    is_shown: bool | None = None
    while is_shown is not (shown := await posts.is_shown(post_id)):
        is_shown = shown
        if shown:
            await feeds.push(post_id, author_id, owner_ids)
        else:
            await feeds.take_out(post_id, owner_ids)
    await tools.sources.feeds_live.wake(owner_ids)


async def fill(tools: Tools, key: str) -> None:
    """Puts an author's posts into a new follower's feed, or takes them out of one who follows no more.

    If the author's posts are pulled, the follow says so instead. Safe to run twice: it makes the feed what the follow
    now says, until it still says so. It also looks at what may have come while the follow was written, and could not
    see it: a block ends it, an account gone public grants it.
    """
    for _ in range(LOOKS):
        owing = await tools.sources.graph.owing(Effect.FILL, [ObjectId(key)])
        if not owing or await _is_made_so(tools, owing[0]):
            return
    raise NotYet("the follow keeps changing")


async def _is_made_so(tools: Tools, follow: FollowRecord) -> bool:
    """Whether the feed is now what this follow says; False if the follow has changed meanwhile."""
    sources = tools.sources
    if await _is_overtaken(tools, follow):
        return False
    if follow.state is not FollowState.FOLLOWING:
        return await sources.feeds.drop(follow)
    is_pulled = await sources.shifts.is_pulled(follow.followee_id)
    if not is_pulled:
        await _fill_from(tools, follow.follower_id, follow.followee_id)
    is_paid = await sources.graph.pay([follow], Effect.FILL, pulled=True if is_pulled else "$$REMOVE")
    if not is_paid:  # what was put in may not belong there by now
        await sources.graph.fill_again(follow.follower_id, [follow.followee_id], datetime.now(UTC))
    return is_paid


async def _is_overtaken(tools: Tools, follow: FollowRecord) -> bool:
    """Whether the follow is not what it should be by now; it has been changed then, and owes its effects again."""
    sources, now = tools.sources, datetime.now(UTC)
    if follow.state is FollowState.NONE:
        return False
    if await sources.graph.end_if_blocked(follow, now=now):
        return True
    (followee,) = await sources.users.by_ids([follow.followee_id])
    if follow.state is FollowState.REQUESTED and followee is not None and not followee.is_private:
        await sources.graph.accept_again(follow, now=now)
        return True
    return False


async def _fill_from(tools: Tools, owner_id: ObjectId, author_id: ObjectId) -> None:
    """Makes a feed complete for one more author above its floor, which rises if they have more posts than a window.

    Nothing is needed in a feed that is not live: the rebuild, which comes later, sees the follow. Raises NotYet while
    it is rebuilt, for the rebuild may have read the follows already.
    """
    sources, window = tools.sources, tools.sources.settings.feed_window
    feed = await sources.feed_states.of(owner_id)
    if feed is None or not feed.live:
        return
    if feed.floor is None:
        raise NotYet("the feed is being rebuilt")
    posts = await sources.posts.shown_by_authors([author_id], PageRequest(limit=window, before=feed.floor))
    if len(posts) > window and not await sources.feed_states.raise_floor(feed, posts[window]["_id"]):
        raise NotYet("the feed has changed")
    await sources.feeds.put_in(owner_id, posts[:window])
