"""A follow's consequences: the author's list of followers has the follower, the follower's feed the author's posts."""

from bson import ObjectId

from datasources.mongo import clock
from domain.jobs import Task
from domain.paging import PageRequest
from domain.records.follows import FollowRecord, FollowState
from workers.runtime.handler import RetryLater, Tools

MAX_TRIES = 5  # while the follow keeps changing


async def backfill(tools: Tools, key: str) -> None:
    """Lists a new follower and puts the author's posts into the feed, or takes both back after an unfollow.

    If the author's posts are pulled, the follow is marked so instead. Safe to run twice: it brings the feed in line
    with the follow as it is now, and repeats that if the follow changes meanwhile. It also corrects a follow that was
    written beside a block (it ends) or beside the account going public (the request is accepted).
    """
    for _ in range(MAX_TRIES):
        pending = await tools.sources.follows.pending(Task.BACKFILL, [ObjectId(key)])
        if not pending or await _apply_follow(tools, pending[0]):
            return
    raise RetryLater("the follow keeps changing")


async def _apply_follow(tools: Tools, follow: FollowRecord) -> bool:
    """Brings the feed in line with this follow; False if the follow has changed meanwhile."""
    sources = tools.sources
    if await _correct_follow(tools, follow):
        return False
    if follow.state is not FollowState.FOLLOWING:
        return await sources.feed_entries.remove_author(follow)
    if not await sources.followers.add(follow, clock.now()):
        return False
    is_pulled = await sources.push_pull.is_pulled(follow.followee_id)
    if not is_pulled:
        await _add_posts(tools, follow.follower_id, follow.followee_id)
    is_done = await sources.follows.mark_done(
        [follow], Task.BACKFILL, pulled=True if is_pulled else "$$REMOVE", listed_at="$$REMOVE"
    )
    if not is_done:  # the posts just added may not belong there any more
        await sources.follows.restart_backfill(follow.follower_id, [follow.followee_id], clock.now())
    return is_done


async def _correct_follow(tools: Tools, follow: FollowRecord) -> bool:
    """Corrects a follow that is out of date, and returns whether it was. Its tasks are pending again then."""
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


async def _add_posts(tools: Tools, owner_id: ObjectId, author_id: ObjectId) -> None:
    """Adds an author's posts above the feed's floor. The floor rises if they are more than a feed retains.

    A feed that is not live needs nothing: its rebuild, which comes later, sees the follow. Raises RetryLater while the
    feed is rebuilt, because the rebuild may have read the follows before. Has a feed refreshed soon whose owner follows
    too many by now.
    """
    sources, retained = tools.sources, tools.sources.settings.feed_retained_entries
    feed = await sources.feed_states.find(owner_id)
    if feed is None or not feed.live:
        return
    if feed.floor is None:
        raise RetryLater("the feed is being rebuilt")
    if await sources.feed_states.is_to_be_pulled(feed):
        await sources.feed_states.refresh_now(feed, clock.now())
    posts = await sources.posts.shown_by_authors([author_id], PageRequest(limit=retained, before=feed.floor))
    if len(posts) > retained and not await sources.feed_states.raise_floor(feed, posts[retained]["_id"]):
        raise RetryLater("the feed has changed")
    await sources.feed_entries.add_posts(owner_id, posts[:retained])
