"""The feed worker: posts into followers' feeds and out of them, and authors into and out of one feed."""

from datetime import UTC, datetime

from bson import ObjectId

from domain.events import Effect
from domain.limits import PAGE_SIZE_MAX
from domain.paging import Key, PageRequest
from domain.records import FollowRecord, FollowState, PostStatus
from workers.work import Tools

CHUNK = 1_000  # followers written at once


async def fan_out(tools: Tools, key: str) -> None:
    """Puts a ready post into its author's followers' feeds, or takes a deleted one out.

    Safe to run twice: entries are keyed by owner and post. If the post changes meanwhile, the effect stays owed.
    """
    sources, post_id = tools.sources, ObjectId(key)
    post = await sources.posts.document(post_id)
    if post is None:
        return
    shown = post["status"] == PostStatus.READY.value and not post["deleted"]
    async for owner_ids in sources.graph.follower_ids(post["author_id"], CHUNK):
        if shown:
            await sources.feeds.push(post_id, post["author_id"], owner_ids)
        else:
            await sources.feeds.take_out(post_id, owner_ids)
    await sources.posts.pay(post_id, Effect.FAN_OUT, version=post["version"])


async def fill(tools: Tools, key: str) -> None:
    """Puts all of an author's posts into a new follower's feed, or takes them out of one who follows no more.

    Safe to run twice: it makes the feed what the follow now says, until it still says so. It also looks at what may
    have come while the follow was written, and could not see it: a block ends it, an account gone public grants it.
    """
    graph, follow_id = tools.sources.graph, ObjectId(key)
    if not await graph.owing(Effect.FILL, [follow_id]):
        return
    follow = await graph.by_id(follow_id)
    while follow is not None:
        if not await _is_overtaken(tools, follow):
            await _make_so(tools, follow)
            await graph.pay([follow], Effect.FILL)
        before, follow = follow, await graph.by_id(follow_id)
        if follow is not None and follow.version == before.version:
            return
        if follow is None and before.state is FollowState.FOLLOWING:  # a twin saw it end, and was faster
            await tools.sources.feeds.drop(before.follower_id, before.followee_id)


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


async def _make_so(tools: Tools, follow: FollowRecord) -> None:
    if follow.state is FollowState.FOLLOWING:
        await _fill_from(tools, follow.follower_id, follow.followee_id)
    else:
        await tools.sources.feeds.drop(follow.follower_id, follow.followee_id)


async def _fill_from(tools: Tools, owner_id: ObjectId, author_id: ObjectId) -> None:
    after: Key | None = None
    while True:
        request = PageRequest(limit=PAGE_SIZE_MAX * 10, after=after)
        page = await tools.sources.posts.by_author(author_id, request, every_status=False)
        await tools.sources.feeds.fill(owner_id, author_id, [post_id for _, post_id in page.items])
        if not page.has_next:
            return
        after = page.items[-1][0]
