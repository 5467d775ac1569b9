"""The home feed: pages of ids from the feed stores, then records, then visibility rules."""

from functools import partial
from typing import Annotated

import strawberry
from bson import ObjectId

from datasources.mongo import clock
from domain.paging import Page, PageRequest
from domain.records.feeds import FeedOrder
from resolvers.feed_ranked import ranked_page
from resolvers.feed_visibility import shown_in_feed
from resolvers.root_fields import query
from schema.connection import visible_page
from schema.context import Info
from schema.feed import FeedConnection, FeedData
from schema.fields import After, Before, First, Last
from schema.selections import asks_for


@query(
    FeedConnection | None,
    "The home feed: posts of the people the viewer follows, their own, and posts with a hashtag that they follow, once "
    "they are READY.",
    public=False,
)
async def feed(
    info: Info,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
    order: Annotated[
        FeedOrder | None,
        strawberry.argument(description="In which order. Cursors of one order are not of the other."),
    ] = FeedOrder.LATEST,
) -> FeedData:
    viewer_id = info.context.require_viewer()
    request = PageRequest.of(first, after, last, before)
    info.context.loaders.with_previews = asks_for(info, "previewComments")
    if order is FeedOrder.RANKED:
        return await ranked_page(info, viewer_id, request)
    return await _latest_page(info, viewer_id, request)


async def _latest_page(info: Info, viewer_id: ObjectId, request: PageRequest) -> FeedData:
    as_of = clock.now()

    async def fetch(step: PageRequest) -> Page[ObjectId]:
        nonlocal as_of
        page = await info.context.sources.home_feed.page(viewer_id, step)
        as_of = min(as_of, page.as_of or as_of)
        return page

    page = await visible_page(request, fetch, partial(shown_in_feed, info))
    if page.edges and request.is_beginning:
        info.context.sources.feed_listeners.note_read(viewer_id, page.edges[0].node.id)
    return FeedData(page.edges, page.page_info, as_of)
