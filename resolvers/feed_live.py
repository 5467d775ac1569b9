"""The subscription feedUpdated: how many new posts there are in the home feed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from bson import ObjectId

from datasources.feed.live_listeners import POLL_SECONDS, feed_topic
from domain.limits import FEED_EVENT_SECONDS, NEW_POSTS_COUNTED_MAX
from domain.paging import PageRequest, fill_page
from domain.records.posts import PostRecord
from resolvers.feed_visibility import shown_in_feed
from resolvers.root_fields import subscription
from schema.context import Info
from schema.feed import FeedEvent

BEFORE_ALL = ObjectId("0" * 24)


@subscription(
    FeedEvent | None,
    "New posts of others in the viewer's feed, coalesced: an event whenever there are more, fewer or others.",
)
async def feed_updated(info: Info) -> AsyncIterator[Any]:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    sent: tuple[int, ObjectId | None] = (0, None)
    last_read: ObjectId | None = None
    async with sources.news.listen(feed_topic(viewer_id)) as listener:
        while True:
            listener.clear()
            read = await sources.feed_listeners.note_listening(viewer_id)
            last_read = read or last_read or await _newest(info, viewer_id)
            count = await _count_new(info, viewer_id, last_read)
            new = count, last_read if count else None  # as many as before are others once the viewer has read
            if new != sent:
                if count:
                    await sources.home_feed.show_latest(viewer_id)
                sent = new
                yield FeedEvent(new_post_count=count)
            await asyncio.sleep(FEED_EVENT_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await listener.wait()


async def _newest(info: Info, viewer_id: ObjectId) -> ObjectId:
    """The newest post of a feed that was not read for long: all its posts count as read."""
    page = await info.context.sources.home_feed.peek(viewer_id, PageRequest(limit=1))
    return page.items[0][1] if page.items else BEFORE_ALL


async def _count_new(info: Info, viewer_id: ObjectId, last_read: ObjectId) -> int:
    """The number of others' posts in the feed that are newer than `last_read`; at most `NEW_POSTS_COUNTED_MAX`."""
    info.context.clear_loaders()
    fetch = partial(info.context.sources.home_feed.peek, viewer_id)

    async def others(post_ids: Sequence[ObjectId]) -> list[PostRecord | None]:
        posts = await shown_in_feed(info, post_ids)
        return [None if post is None or post.author_id == viewer_id else post for post in posts]

    return len((await fill_page(PageRequest(limit=NEW_POSTS_COUNTED_MAX, before=last_read), fetch, others)).items)
