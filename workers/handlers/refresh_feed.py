"""The tending of home feeds, by the feed worker: rebuilt for who comes, trimmed, given up for who stays away."""

from bson import ObjectId

from datasources.feed.states import HOLDS_ALL
from datasources.mongo import clock
from domain.paging import PageRequest
from domain.records.feeds import FeedRecord
from workers.runtime.handler import Tools


async def refresh_feed(tools: Tools, key: str) -> None:
    """Makes a feed what it should be: none for an owner who stays away, else complete above a floor, and not too long.

    Safe to run twice and beside pushes, fills and unfollows: a rebuild that begins makes void what another has begun,
    and entries go only while the feed is as it was read. If it changes meanwhile, the effect stays owed.
    """
    sources, now = tools.sources, clock.now()
    feed = await sources.feed_states.pending(ObjectId(key))
    if feed is not None and feed.live and feed.is_unseen_since(now - sources.feed_states.active):
        feed = await sources.feed_states.retire(feed)
    elif feed is not None and feed.live and feed.floor is None:
        feed = await sources.feed_states.begin_rebuild(feed)
    if feed is not None and await _make_so(tools, feed):
        await sources.feed_states.mark_refreshed(feed, now)


async def _make_so(tools: Tools, feed: FeedRecord) -> bool:
    """Whether it came to its end; False if the feed has changed meanwhile."""
    if not feed.live:
        return await tools.sources.feeds.clear(feed)
    if feed.floor is None:
        return await _rebuild(tools, feed)
    return await _trim(tools, feed, feed.floor)


async def _rebuild(tools: Tools, feed: FeedRecord) -> bool:
    """The newest posts of those followed; who is unfollowed meanwhile is made to owe the dropping again."""
    sources, retained = tools.sources, tools.sources.settings.feed_retained_entries
    if not await sources.feeds.clear(feed):
        return False
    author_ids = await sources.follows.followees(feed.id, pushed=True)
    posts = await sources.posts.shown_by_authors(author_ids, PageRequest(limit=retained))
    await sources.feeds.add_posts(feed.id, posts[:retained])
    left = set(author_ids) - set(await sources.follows.followees(feed.id))
    await sources.follows.restart_backfill(feed.id, list(left), clock.now())
    return await sources.feed_states.raise_floor(feed, posts[retained]["_id"] if len(posts) > retained else HOLDS_ALL)


async def _trim(tools: Tools, feed: FeedRecord, floor: ObjectId) -> bool:
    """Of more than two windows above the floor one stays; the floor is raised before anything goes."""
    sources, retained = tools.sources, tools.sources.settings.feed_retained_entries
    if await sources.feeds.entry_at(feed.id, floor, 2 * retained) is not None:
        floor = await sources.feeds.entry_at(feed.id, floor, retained) or floor
        if not await sources.feed_states.raise_floor(feed, floor):
            return False
    return await sources.feeds.clear(feed, upto=floor)
