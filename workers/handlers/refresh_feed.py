"""Home feeds are rebuilt for who comes (back), trimmed when they are long, and given up for who stays away.

For who follows too many, nothing is kept: their feed is pulled.
"""

from datetime import datetime

from bson import ObjectId

from datasources.feed.feed_states import HOLDS_ALL
from datasources.mongo import clock
from domain.paging import PageRequest
from domain.records.feeds import FeedRecord
from workers.runtime.handler import Tools


async def refresh_feed(tools: Tools, key: str) -> None:
    """Empties the feed of an owner who stays away or follows too many; else makes it complete above a floor.

    A complete feed that is too long is trimmed. Safe to run twice and beside fan-outs, backfills and unfollows: a
    rebuild invalidates an earlier one, and entries are deleted only while the feed is as it was read. If the feed
    changes meanwhile, the task stays pending.
    """
    sources, now = tools.sources, clock.now()
    feed = await sources.feed_states.pending(ObjectId(key))
    if feed is not None and feed.is_in_use:
        feed = await _choose_mode(tools, feed, now)
    if feed is not None and await _bring_in_line(tools, feed):
        await sources.feed_states.mark_refreshed(feed, now)


async def _choose_mode(tools: Tools, feed: FeedRecord, now: datetime) -> FeedRecord | None:
    """The feed in the mode in which its owner is to have it, without a floor if it is to be rebuilt.

    None if the feed has changed meanwhile.
    """
    states = tools.sources.feed_states
    if feed.is_unseen_since(now - states.active):
        return await states.retire(feed)
    if await states.is_to_be_pulled(feed):
        return await states.stop_pushing(feed) if feed.live else feed
    if feed.pulled:
        return await states.push_again(feed)
    return await states.begin_rebuild(feed) if feed.floor is None else feed


async def _bring_in_line(tools: Tools, feed: FeedRecord) -> bool:
    """Clears, rebuilds or trims the feed; False if it has changed meanwhile."""
    if not feed.live:
        return await tools.sources.feed_entries.clear(feed)
    if feed.floor is None:
        return await _rebuild(tools, feed)
    return await _trim(tools, feed, feed.floor)


async def _rebuild(tools: Tools, feed: FeedRecord) -> bool:
    """Fills the feed with the newest posts of those followed. Who is unfollowed meanwhile gets backfilled again."""
    sources, retained = tools.sources, tools.sources.settings.feed_retained_entries
    if not await sources.feed_entries.clear(feed):
        return False
    author_ids = await sources.follows.followees(feed.id, pushed=True)
    posts = await sources.posts.shown_by_authors(author_ids, PageRequest(limit=retained))
    await sources.feed_entries.add_posts(feed.id, posts[:retained])
    unfollowed = set(author_ids) - set(await sources.follows.followees(feed.id))
    await sources.follows.restart_backfill(feed.id, list(unfollowed), clock.now())
    return await sources.feed_states.raise_floor(feed, posts[retained]["_id"] if len(posts) > retained else HOLDS_ALL)


async def _trim(tools: Tools, feed: FeedRecord, floor: ObjectId) -> bool:
    """Of over `2 * feed_retained_entries` the newest `feed_retained_entries` stay; the floor is raised first."""
    sources, retained = tools.sources, tools.sources.settings.feed_retained_entries
    if await sources.feed_entries.entry_at(feed.id, floor, 2 * retained) is not None:
        floor = await sources.feed_entries.entry_at(feed.id, floor, retained) or floor
        if not await sources.feed_states.raise_floor(feed, floor):
            return False
    return await sources.feed_entries.clear(feed, upto=floor)
