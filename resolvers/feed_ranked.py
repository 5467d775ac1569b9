"""The ranked feed: recent posts are put in the viewer's order once, kept, and read page by page."""

import asyncio
from collections.abc import Container, Mapping, Sequence
from datetime import datetime
from functools import partial

import structlog
from bson import ObjectId

from datasources.feed.rankings import Ranking
from datasources.mongo import clock
from datasources.outages import is_outage
from domain.errors import BadInput, CursorExpired
from domain.feed_ranking import Candidate, rank_posts
from domain.limits import (
    RANKED_FEED_AGE,
    RANKED_FEED_HASHTAG_MAX,
    RANKED_FEED_HASHTAGS_MAX,
    RANKED_FEED_MAX,
    RANKED_FEED_MIN,
)
from domain.paging import Page, PageRequest, Place, fill_page
from domain.records.posts import PostRecord
from resolvers.feed_suggested import shown_suggested, suggested_posts
from resolvers.feed_visibility import by_followed, shown_in_feed
from schema.connection import visible_page
from schema.context import Info
from schema.feed import FeedData

log = structlog.stdlib.get_logger(__name__)


async def ranked_page(info: Info, viewer_id: ObjectId, request: PageRequest) -> FeedData:
    """A page of a new ranking or, with cursors, of the ranking that they are from. Raises BadInput, CursorExpired."""
    ranking = await _ranking(info, viewer_id, request)

    async def fetch(step: PageRequest) -> Page[ObjectId]:
        return ranking.page(step)

    page = await visible_page(request, fetch, partial(_shown, info, set(ranking.suggested_ids)))
    return FeedData(page.edges, page.page_info, ranking.snapshot_id.generation_time)


async def _shown(info: Info, suggested: Container[ObjectId], post_ids: Sequence[ObjectId]) -> list[PostRecord | None]:
    """These posts in order; None for one of the feed, or a suggested one, that is not any more."""
    shown: dict[ObjectId, PostRecord] = {}
    for rule, is_suggested in ((shown_in_feed, False), (shown_suggested, True)):
        ids = [post_id for post_id in post_ids if (post_id in suggested) is is_suggested]
        if ids:
            shown |= {post.id: post for post in await rule(info, ids) if post is not None}
    return [shown.get(post_id) for post_id in post_ids]


async def _ranking(info: Info, viewer_id: ObjectId, request: PageRequest) -> Ranking:
    bounds = [bound for bound in (request.after, request.before) if bound is not None]
    places = [bound for bound in bounds if isinstance(bound, Place) and bound.owner_id == viewer_id]
    snapshots = {place.snapshot_id for place in places}
    if len(places) < len(bounds) or len(snapshots) > 1:
        raise BadInput("That is not a cursor of this list in this order.")
    if not snapshots:
        return await _ranked_anew(info, viewer_id)
    ranking = await info.context.sources.rankings.find(viewer_id, snapshots.pop())
    if ranking is None:
        raise CursorExpired
    return ranking


async def _ranked_anew(info: Info, viewer_id: ObjectId) -> Ranking:
    sources, now = info.context.sources, clock.now()
    candidates = await _candidates(info, viewer_id, now)
    if candidates:
        sources.feed_listeners.note_read(viewer_id, max(post.id for post in candidates))
    interests = await sources.interests.get_or_compute(viewer_id, now)
    strengths = interests.strengths(now)
    order = rank_posts(candidates, strengths, now)
    suggested = await _suggested(info, viewer_id, candidates, strengths)
    return await sources.rankings.keep(viewer_id, [post.id for post in order], now, suggested)


async def _suggested(
    info: Info, viewer_id: ObjectId, candidates: Sequence[Candidate], strengths: Mapping[ObjectId, float]
) -> list[ObjectId]:
    """As `suggested_posts`; none during an outage: the viewer's own feed does without."""
    try:
        return await suggested_posts(info, viewer_id, candidates, strengths)
    except Exception as error:
        if not is_outage(error):
            raise
        log.warning("feed.no_suggestions", error=type(error).__name__)
        return []


async def _candidates(info: Info, viewer_id: ObjectId, now: datetime) -> list[Candidate]:
    """The latest posts of the feed, newest first, with what their scores depend on.

    Busy hashtags fill a part of it only.
    """
    sources = info.context.sources

    async def rankable(post_ids: Sequence[ObjectId]) -> list[Candidate | None]:
        return await by_followed(info, await sources.posts.candidates(post_ids))

    fetch = partial(sources.home_feed.page, viewer_id, with_hashtags=False)
    page, of_hashtags = await asyncio.gather(
        fill_page(PageRequest(limit=RANKED_FEED_MAX), fetch, rankable),
        sources.home_feed.of_hashtags(viewer_id, RANKED_FEED_HASHTAGS_MAX, RANKED_FEED_HASHTAG_MAX),
    )
    posts = {post.id: post for _, post in page.items}
    posts |= {post.id: post for post in await rankable(of_hashtags) if post is not None}
    latest = [posts[post_id] for post_id in sorted(posts, reverse=True)][:RANKED_FEED_MAX]
    of_people = sorted((post.id for _, post in page.items), reverse=True)[:RANKED_FEED_MIN]
    kept = {*of_people, *(post.id for post in latest[:RANKED_FEED_MIN])}
    return [post for post in latest if post.id in kept or now - post.created_at <= RANKED_FEED_AGE]
