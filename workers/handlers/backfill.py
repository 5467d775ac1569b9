"""The posts of a newly followed author go into the follower's feed; those of an author followed no more go out."""

from bson import ObjectId

from datasources.mongo import clock
from domain.jobs import Task
from domain.paging import PageRequest
from domain.records.follows import FollowRecord, FollowState
from workers.runtime.handler import RetryLater, Tools

LOOKS = 5  # at a follow that changes while its feed is made what it says


async def backfill(tools: Tools, key: str) -> None:
    """Puts an author's posts into a new follower's feed, or takes them out of one who follows no more.

    If the author's posts are pulled, the follow says so instead. Safe to run twice: it makes the feed what the follow
    now says, until it still says so. It also looks at what may have come while the follow was written, and could not
    see it: a block ends it, an account gone public grants it.
    """
    for _ in range(LOOKS):
        pending = await tools.sources.follows.pending(Task.BACKFILL, [ObjectId(key)])
        if not pending or await _is_made_so(tools, pending[0]):
            return
    raise RetryLater("the follow keeps changing")


async def _is_made_so(tools: Tools, follow: FollowRecord) -> bool:
    """Whether the feed is now what this follow says; False if the follow has changed meanwhile."""
    sources = tools.sources
    if await _is_overtaken(tools, follow):
        return False
    if follow.state is not FollowState.FOLLOWING:
        return await sources.feeds.remove_author(follow)
    is_pulled = await sources.push_pull.is_pulled(follow.followee_id)
    if not is_pulled:
        await _backfill_from(tools, follow.follower_id, follow.followee_id)
    is_paid = await sources.follows.mark_done([follow], Task.BACKFILL, pulled=True if is_pulled else "$$REMOVE")
    if not is_paid:  # what was put in may not belong there by now
        await sources.follows.restart_backfill(follow.follower_id, [follow.followee_id], clock.now())
    return is_paid


async def _is_overtaken(tools: Tools, follow: FollowRecord) -> bool:
    """Whether the follow is not what it should be by now; it has been changed then, and owes its effects again."""
    sources, now = tools.sources, clock.now()
    if follow.state is FollowState.NONE:
        return False
    if await sources.follows.end_if_blocked(follow, now=now):
        return True
    (followee,) = await sources.users.by_ids([follow.followee_id])
    if follow.state is FollowState.REQUESTED and followee is not None and not followee.is_private:
        await sources.follows.accept_as_read(follow, now=now)
        return True
    return False


async def _backfill_from(tools: Tools, owner_id: ObjectId, author_id: ObjectId) -> None:
    """Makes a feed complete for one more author above its floor, which rises if they have more posts than a window.

    Nothing is needed in a feed that is not live: the rebuild, which comes later, sees the follow. Raises NotYet while
    it is rebuilt, for the rebuild may have read the follows already.
    """
    sources, retained = tools.sources, tools.sources.settings.feed_retained_entries
    feed = await sources.feed_states.find(owner_id)
    if feed is None or not feed.live:
        return
    if feed.floor is None:
        raise RetryLater("the feed is being rebuilt")
    posts = await sources.posts.shown_by_authors([author_id], PageRequest(limit=retained, before=feed.floor))
    if len(posts) > retained and not await sources.feed_states.raise_floor(feed, posts[retained]["_id"]):
        raise RetryLater("the feed has changed")
    await sources.feeds.add_posts(owner_id, posts[:retained])
