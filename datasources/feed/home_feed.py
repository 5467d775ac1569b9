"""Reading home feeds: entries and pulled posts, merged, above a feed's floor; below the floor all posts are pulled.

The posts of followed hashtags are pulled at any depth.
"""

import asyncio
import contextlib
import heapq
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from bson import ObjectId

from datasources.feed.entries import EntryStore
from datasources.feed.feed_states import HOLDS_ALL, FeedStates
from datasources.feed.first_pages import FIRST_PAGES_ENTRIES, FirstPages, FirstPagesCache
from datasources.graph.followed_hashtags import FollowedHashtagStore
from datasources.graph.follows import FollowStore
from datasources.mongo import clock
from datasources.posts.posts import PostStore
from datasources.posts.topic_posts import TopicPostStore
from datasources.redis.cache_server import CacheDown
from datasources.redis.cache_servers import MAX_LIFE_SECONDS
from domain.paging import Page, PageRequest, cut_page
from domain.records.feeds import FeedRecord

RETRY_SECONDS = 1.0  # between two attempts to invalidate first pages


class Visit(NamedTuple):
    """The state of a feed, and the authors and the topics whose posts are pulled."""

    feed: FeedRecord
    pulled: list[ObjectId]
    topics: list[ObjectId]


@dataclass
class HomeFeed:
    """Pages of home feeds. They may name posts that the viewer may not see: visibility rules remove those later."""

    _entries: EntryStore
    _states: FeedStates
    _first_pages: FirstPagesCache
    _posts: PostStore
    _listed: TopicPostStore
    _follows: FollowStore
    _followed_hashtags: FollowedHashtagStore

    async def page(self, owner_id: ObjectId, request: PageRequest, *, with_hashtags: bool = True) -> Page[ObjectId]:
        """Post ids of a home feed, newest first, down to the first post ever; the owner is noted to be active.

        With or without the posts that are there for followed hashtags alone.

        No post is missing but those whose fan-out is pending. If the feed changes while it is read, the whole page is
        pulled. `as_of` is when a cached page was read.
        """
        request, visits = request.expects(ObjectId), list[Visit]()
        first_pages = await self._cached_first_pages(owner_id, request, visits)
        post_ids = None if first_pages is None else await self._from_first_pages(owner_id, first_pages, request)
        if first_pages is not None and post_ids is not None:
            listed = await self._listed.latest_of(first_pages.topics if with_hashtags else (), request)
            page = _to_page(request, post_ids, listed)
            return msgspec.structs.replace(page, as_of=first_pages.as_of)
        visit = visits[0] if visits else await self._note_visit(owner_id)
        return await self._page(visit if with_hashtags else visit._replace(topics=[]), request)

    async def of_hashtags(self, owner_id: ObjectId, limit: int, each: int) -> list[ObjectId]:
        """Up to `limit` of the latest posts of the hashtags that an account follows, `each` at most of one."""
        topic_ids = await self._followed_hashtags.topic_ids(owner_id)
        return await self._listed.latest_of_each(topic_ids, limit, each)

    async def peek(self, owner_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """As `page`, for somebody else than the owner: nothing is noted."""
        feed, pulled, topics = await asyncio.gather(
            self._states.find(owner_id), self._follows.to_pull(owner_id), self._followed_hashtags.topic_ids(owner_id)
        )
        return await self._page(Visit(feed or FeedRecord(id=owner_id), pulled, topics), request)

    async def show_latest(self, owner_id: ObjectId) -> None:
        """Has the first pages read again, so that from now on `page` shows whatever `peek` has shown.

        If they cannot be invalidated, it tries again until all that were cached have expired.
        """
        ends = time.monotonic() + MAX_LIFE_SECONDS
        while time.monotonic() < ends:
            with contextlib.suppress(CacheDown):
                await self._first_pages.must_invalidate([owner_id])
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _note_visit(self, owner_id: ObjectId) -> Visit:
        return Visit(
            *await asyncio.gather(
                self._states.note_visit(owner_id, clock.now()),
                self._follows.to_pull(owner_id),
                self._followed_hashtags.topic_ids(owner_id),
            )
        )

    async def _cached_first_pages(
        self, owner_id: ObjectId, request: PageRequest, visits: list[Visit]
    ) -> FirstPages | None:
        """The feed's first pages, if cached. A request from the top fills the cache and `visits`."""

        async def load(_owner_ids: Sequence[ObjectId]) -> list[FirstPages | None]:
            visits.append(await self._note_visit(owner_id))
            return [await self._read_first_pages(visits[-1])]

        if request.after is None and not request.backward:
            return (await self._first_pages.read([owner_id], load))[0]
        with contextlib.suppress(CacheDown):
            return None if request.backward else (await self._first_pages.cached([owner_id])).get(owner_id)
        return None

    async def _read_first_pages(self, visit: Visit) -> FirstPages | None:
        feed = visit.feed
        if feed.floor is None:
            return None
        as_of = clock.now()
        request = PageRequest(limit=FIRST_PAGES_ENTRIES, before=feed.floor)
        newest = await self._entries_with_posts_of([feed.id], feed.id, request)
        if not await self._states.is_still(feed):
            return None
        is_whole = len(newest) <= FIRST_PAGES_ENTRIES
        above = feed.floor if is_whole else newest[FIRST_PAGES_ENTRIES]
        return FirstPages(as_of, above, is_whole, newest[:FIRST_PAGES_ENTRIES], visit.pulled, visit.topics)

    async def _from_first_pages(
        self, owner_id: ObjectId, first_pages: FirstPages, request: PageRequest
    ) -> list[ObjectId] | None:
        """As `_walk`, for a forward request; None if the walk goes on to entries below the first pages."""
        post_ids, bounded = list[ObjectId](), _bounded(request, above=first_pages.above)
        if not _is_empty(bounded):
            post_ids = first_pages.within(bounded)
        if not _is_empty(bounded) and first_pages.pulled:
            posts = await self._posts.shown_by_authors(first_pages.pulled, bounded)
            post_ids = _merge(bounded, post_ids, [post["_id"] for post in posts])
        if len(post_ids) > request.limit or bounded.before == request.before:
            return post_ids
        if not first_pages.is_whole:
            return None
        rest = msgspec.structs.replace(request, limit=request.limit - len(post_ids))
        return post_ids + await self._below_floor(FeedRecord(id=owner_id, floor=first_pages.above), rest)

    async def _page(self, visit: Visit, request: PageRequest) -> Page[ObjectId]:
        feed, pulled, topics = visit
        post_ids, listed = await asyncio.gather(
            self._walk(feed, pulled, request), self._listed.latest_of(topics, request)
        )
        if feed.floor is not None and not await self._states.is_still(feed):
            post_ids = await self._walk(msgspec.structs.replace(feed, floor=None), [], request)
        return _to_page(request, post_ids, listed)

    async def _walk(self, feed: FeedRecord, pulled: Sequence[ObjectId], request: PageRequest) -> list[ObjectId]:
        """Up to `limit + 1` post ids in walking order: entries and pulled posts above the floor, pulled ones below."""
        post_ids: list[ObjectId] = []
        for is_above in (False, True) if request.backward else (True, False):
            rest = msgspec.structs.replace(request, limit=request.limit - len(post_ids))
            post_ids += await (self._above_floor(feed, pulled, rest) if is_above else self._below_floor(feed, rest))
            if len(post_ids) > request.limit:
                break
        return post_ids

    async def _above_floor(self, feed: FeedRecord, pulled: Sequence[ObjectId], request: PageRequest) -> list[ObjectId]:
        request = _bounded(request, above=feed.floor)
        if feed.floor is None or _is_empty(request):
            return []
        return await self._entries_with_posts_of([feed.id, *pulled], feed.id, request)

    async def _entries_with_posts_of(
        self, author_ids: Sequence[ObjectId], owner_id: ObjectId, request: PageRequest
    ) -> list[ObjectId]:
        entries, posts = await asyncio.gather(
            self._entries.post_ids(owner_id, request), self._posts.shown_by_authors(author_ids, request)
        )
        return _merge(request, entries, [post["_id"] for post in posts])

    async def _below_floor(self, feed: FeedRecord, request: PageRequest) -> list[ObjectId]:
        if feed.floor is not None:
            request = _bounded(request, below=_next(feed.floor))
        if feed.floor == HOLDS_ALL or _is_empty(request):
            return []
        authors = [feed.id, *await self._follows.followees(feed.id)]
        return [post["_id"] for post in await self._posts.shown_by_authors(authors, request)]


def _bounded(request: PageRequest, *, below: ObjectId | None = None, above: ObjectId | None = None) -> PageRequest:
    """The part of a request that lies strictly below or above a post."""
    after = min((key for key in (request.after, below) if isinstance(key, ObjectId)), default=None)
    before = max((key for key in (request.before, above) if isinstance(key, ObjectId)), default=None)
    return msgspec.structs.replace(request, after=after, before=before)


def _to_page(request: PageRequest, *walks: Sequence[ObjectId]) -> Page[ObjectId]:
    return cut_page(request, [(post_id, post_id) for post_id in _merge(request, *walks)])


def _merge(request: PageRequest, *walks: Sequence[ObjectId]) -> list[ObjectId]:
    merged = dict.fromkeys(heapq.merge(*walks, reverse=not request.backward))
    return list(merged)[: request.limit + 1]


def _is_empty(request: PageRequest) -> bool:
    after, before = request.after, request.before
    return isinstance(after, ObjectId) and isinstance(before, ObjectId) and after <= before


def _next(post_id: ObjectId) -> ObjectId:
    return ObjectId((int.from_bytes(post_id.binary, "big") + 1).to_bytes(12, "big"))
