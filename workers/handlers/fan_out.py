"""The feed worker: posts into followers' feeds and out of them, and authors into and out of one feed."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, groupby

from bson import ObjectId

from datasources.feed.entries import Delivery
from datasources.mongo import clock
from datasources.mongo.client import Document
from datasources.posts.posts import is_shown
from domain.jobs import Task
from domain.paging import PageRequest
from domain.records.follows import FollowRecord, FollowState
from workers.runtime.handler import RetryLater, Tools

CHUNK = 2_000  # followers written at once
LOOKS = 5  # at a follow that changes while its feed is made what it says


async def fan_out(tools: Tools, *keys: str) -> None:
    """Puts ready posts into their authors' followers' feeds, and takes deleted ones out; splits what is over a chunk.

    Safe to run twice: entries are keyed by owner and post, and a post is split once for each of its versions. What is
    split is owed until its last chunk is done. A post that changes meanwhile owes its effect still. Nothing is pushed
    of an author whose posts are pulled; the post of one who has crossed a limit still is, and lets them shift.
    """
    sources = tools.sources
    posts = await sources.posts.pending(Task.FAN_OUT, [ObjectId(key) for key in keys])
    split = [post for post in posts if post.get("split") == post["version"]]
    shown = {post["author_id"] for post in posts if is_shown(post)}
    pushed = await sources.push_pull.pushed_among(shown, clock.now())
    pulled = [post for post in posts if post not in split and is_shown(post) and post["author_id"] not in pushed]
    await sources.posts.mark_all_done(pulled, Task.FAN_OUT)
    due = [post for post in posts if post not in split and post not in pulled]
    await asyncio.gather(*(_spread_or_split(tools, some, pushed) for some in _together(due, pushed)))
    finished = [await sources.fan_outs.finish(post["_id"], post["version"]) for post in split]
    if not all(finished):
        raise RetryLater


def _together(posts: Iterable[Document], followers: Mapping[ObjectId, int]) -> list[list[Document]]:
    """Posts in groups whose authors have a chunk of followers together, as far as these are counted."""
    groups, room = list[list[Document]](), 0
    by_author = sorted(posts, key=lambda post: (followers.get(post["author_id"], CHUNK), post["author_id"]))
    for _, some in groupby(by_author, key=lambda post: post["author_id"]):
        theirs = list(some)
        size = followers.get(theirs[0]["author_id"], CHUNK)
        if not groups or size > room:
            groups.append([])
            room = CHUNK
        groups[-1] += theirs
        room -= size
    return groups


async def _spread_or_split(tools: Tools, posts: Sequence[Document], followers: Mapping[ObjectId, int]) -> None:
    """Fans out posts of authors who have a chunk of followers together; if they have more, each author's alone."""
    sources = tools.sources
    if followers.get(posts[0]["author_id"], 0) > CHUNK:  # then all of these are theirs
        await sources.fan_outs.split(posts, CHUNK, clock.now())
        return
    owner_ids = await sources.fan_outs.followers_of({post["author_id"] for post in posts}, CHUNK + 1)
    if sum(map(len, owner_ids.values())) <= CHUNK:
        await _spread(tools, {post["_id"]: post["author_id"] for post in posts}, owner_ids)
        await sources.posts.mark_all_done(posts, Task.FAN_OUT)
    elif len(owner_ids) > 1:
        for author_id in owner_ids:
            await _spread_or_split(tools, [post for post in posts if post["author_id"] == author_id], followers)
    else:
        await sources.fan_outs.split(posts, CHUNK, clock.now())


async def fan_out_chunk(tools: Tools, key: str) -> None:
    """Puts a post into the feeds of one chunk of its author's followers, or takes it out of them.

    Safe to run twice, and beside a chunk of an earlier or later version of the post: whatever it was split for, it
    makes these feeds what the post says by now, and looks again afterwards.
    """
    sources, now = tools.sources, clock.now()
    chunk = await sources.fan_outs.take(ObjectId(key), now)
    if chunk is None:
        return
    if chunk.taken_until is not None and chunk.taken_until > now:
        raise RetryLater  # somebody else has it in hand; should they be dead, the sweeper rings
    owner_ids = await sources.fan_outs.followers(chunk.author_id, chunk.span)
    await _spread(tools, {chunk.post_id: chunk.author_id}, {chunk.author_id: owner_ids})
    await sources.fan_outs.done(chunk)


async def _spread(
    tools: Tools, author_ids: Mapping[ObjectId, ObjectId], owner_ids: Mapping[ObjectId, Sequence[ObjectId]]
) -> None:
    """Makes feeds hold posts, or not, as they are to be shown: until a look after the writing says the same.

    `author_ids` has each post's author, `owner_ids` each author's owners of feeds. Looking again, whoever wrote entries
    of a post that was deleted meanwhile takes them out, after the one who pays for the deletion. Feeds that are not
    live are passed over: they are cleared, and whoever comes back has theirs rebuilt.
    """
    posts, feeds = tools.sources.posts, tools.sources.feeds
    live = await tools.sources.feed_states.live_among([*chain.from_iterable(owner_ids.values())])
    # Of one author, as in every chunk, they are all that are live: thousands need not be looked up one by one.
    kept = dict.fromkeys(owner_ids, live) if len(owner_ids) == 1 else _those_of(set(live), owner_ids)
    left = [Delivery(post_id, author_id, kept[author_id]) for post_id, author_id in author_ids.items()]
    written: dict[ObjectId, bool] = {}
    while left:
        shown = await posts.shown_among([each.post_id for each in left])
        left = [each for each in left if written.get(each.post_id) is not (each.post_id in shown)]
        await feeds.push(*(each for each in left if each.post_id in shown))
        await feeds.remove_posts(*(each for each in left if each.post_id not in shown))
        written.update({each.post_id: each.post_id in shown for each in left})
    await tools.sources.feeds_live.wake(live)


def _those_of(
    live: Collection[ObjectId], owner_ids: Mapping[ObjectId, Sequence[ObjectId]]
) -> dict[ObjectId, list[ObjectId]]:
    return {author_id: [one for one in theirs if one in live] for author_id, theirs in owner_ids.items()}


async def backfill(tools: Tools, key: str) -> None:
    """Puts an author's posts into a new follower's feed, or takes them out of one who follows no more.

    If the author's posts are pulled, the follow says so instead. Safe to run twice: it makes the feed what the follow
    now says, until it still says so. It also looks at what may have come while the follow was written, and could not
    see it: a block ends it, an account gone public grants it.
    """
    for _ in range(LOOKS):
        pending = await tools.sources.graph.pending(Task.BACKFILL, [ObjectId(key)])
        if not pending or await _is_made_so(tools, pending[0]):
            return
    raise RetryLater("the follow keeps changing")


async def _is_made_so(tools: Tools, follow: FollowRecord) -> bool:
    """Whether the feed is now what this follow says; False if the follow has changed meanwhile."""
    sources = tools.sources
    if await _is_overtaken(tools, follow):
        return False
    if follow.state is not FollowState.FOLLOWING:
        return await sources.feeds.drop(follow)
    is_pulled = await sources.push_pull.is_pulled(follow.followee_id)
    if not is_pulled:
        await _backfill_from(tools, follow.follower_id, follow.followee_id)
    is_paid = await sources.graph.mark_done([follow], Task.BACKFILL, pulled=True if is_pulled else "$$REMOVE")
    if not is_paid:  # what was put in may not belong there by now
        await sources.graph.restart_backfill(follow.follower_id, [follow.followee_id], clock.now())
    return is_paid


async def _is_overtaken(tools: Tools, follow: FollowRecord) -> bool:
    """Whether the follow is not what it should be by now; it has been changed then, and owes its effects again."""
    sources, now = tools.sources, clock.now()
    if follow.state is FollowState.NONE:
        return False
    if await sources.graph.end_if_blocked(follow, now=now):
        return True
    (followee,) = await sources.users.by_ids([follow.followee_id])
    if follow.state is FollowState.REQUESTED and followee is not None and not followee.is_private:
        await sources.graph.restart_accept_requests(follow, now=now)
        return True
    return False


async def _backfill_from(tools: Tools, owner_id: ObjectId, author_id: ObjectId) -> None:
    """Makes a feed complete for one more author above its floor, which rises if they have more posts than a window.

    Nothing is needed in a feed that is not live: the rebuild, which comes later, sees the follow. Raises NotYet while
    it is rebuilt, for the rebuild may have read the follows already.
    """
    sources, retained = tools.sources, tools.sources.settings.feed_retained_entries
    feed = await sources.feed_states.of(owner_id)
    if feed is None or not feed.live:
        return
    if feed.floor is None:
        raise RetryLater("the feed is being rebuilt")
    posts = await sources.posts.shown_by_authors([author_id], PageRequest(limit=retained, before=feed.floor))
    if len(posts) > retained and not await sources.feed_states.raise_floor(feed, posts[retained]["_id"]):
        raise RetryLater("the feed has changed")
    await sources.feeds.add_author(owner_id, posts[:retained])
