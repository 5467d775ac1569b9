"""Home feeds: one small entry for each owner and post, written by the feed worker and merged at the read.

An entry's `_id` is the pair itself ({o: owner, p: post}), so that one index serves uniqueness, order and paging, and
writing an entry twice writes it once.
"""

import asyncio
import contextlib
import heapq
from collections.abc import Sequence
from typing import NamedTuple

import bson
import msgspec
from bson import ObjectId
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.raw_bson import RawBSONDocument

from datasources.feed.first_pages import FIRST_PAGES_ENTRIES, FirstPages, FirstPagesCache, first_pages_of
from datasources.feed.states import HOLDS_ALL, FeedStates
from datasources.graph.follows import FollowStore
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.transactions import in_transaction
from datasources.mongo.upserts import insert_absent
from datasources.posts.posts import PostStore
from datasources.redis.cache_server import CacheDown
from domain.jobs import Task
from domain.paging import Page, PageRequest, cut_page
from domain.records.feeds import FeedRecord
from domain.records.follows import FollowRecord

INSERTED = 2_000  # entries, by one operation
CHUNK = 1_000  # entries deleted in one transaction

_Look = tuple[FeedRecord, list[ObjectId]]  # what is kept of a feed, and whom to pull


class Delivery(NamedTuple):
    """A post, for the feeds of some of its author's followers."""

    post_id: ObjectId
    author_id: ObjectId
    owner_ids: Sequence[ObjectId]


class FeedStore:
    """The collection `feed_entries`, and the reading of feeds across it and what it does not hold yet."""

    def __init__(
        self,
        database: Database,
        states: FeedStates,
        first_pages: FirstPagesCache,
        posts: PostStore,
        follows: FollowStore,
    ) -> None:
        self._client = database.client
        self._entries = database["feed_entries"]
        self._states = states
        self._first_pages = first_pages
        self._posts = posts
        self._follows = follows

    async def push(self, *deliveries: Delivery) -> None:
        """Puts posts into feeds and has their windows forgotten. Safe to repeat: an entry that is there stays.

        Raises an outage of Redis too: what is not in a window must be owed.
        """
        await self._insert([entry for each in deliveries for entry in _entries(*each)])
        await self._first_pages.must_invalidate(owner_id for each in deliveries for owner_id in each.owner_ids)

    async def remove_posts(self, *deliveries: Delivery) -> None:
        """Takes posts out of feeds. Safe to repeat."""
        for post_id, _, owner_ids in deliveries:
            await self._entries.delete_many({"_id": {"$in": [{"o": owner_id, "p": post_id} for owner_id in owner_ids]}})

    async def add_posts(self, owner_id: ObjectId, posts: Sequence[Document]) -> None:
        """Puts posts, of which `_id` and `author_id` are given, into one feed. Safe to repeat."""
        await self._insert([entry for post in posts for entry in _entries(post["_id"], post["author_id"], [owner_id])])

    async def remove_author(self, follow: FollowRecord) -> bool:
        """Takes the posts of somebody followed no more out of a feed, and pays the follow's FILL, in one transaction.

        False, and nothing is done, if the follow has changed since it was read or does not owe it any more.
        """

        async def apply(session: Session) -> bool:
            is_paid = await self._follows.mark_done([follow], Task.BACKFILL, session)
            if is_paid:
                theirs = {**_owned_by(follow.follower_id), "a": follow.followee_id}
                await self._entries.delete_many(theirs, session=session)
            return is_paid

        return await in_transaction(self._client, apply)

    async def entry_at(self, owner_id: ObjectId, above: ObjectId, skipped: int) -> ObjectId | None:
        """The post of the entry that so many others are newer than, if it is newer than `above`."""
        order, skip = [("_id", -1)], {"skip": skipped, "limit": 1}
        found = await self._entries.find(_owned_by(owner_id, above=above), {"_id": 1}, sort=order, **skip).to_list()
        return found[0]["_id"]["p"] if found else None

    async def clear(self, feed: FeedRecord, *, upto: ObjectId | None = None) -> bool:
        """Takes the entries of a feed out, or those up to a post, while it is as it was read; False once it is not.

        In steps, each a transaction that holds the feed. Safe to repeat.
        """
        query = _owned_by(feed.id) if upto is None else _owned_by(feed.id, upto=upto)
        while True:
            rows = await self._entries.find(query, {"_id": 1}, limit=CHUNK).to_list()
            if not rows:
                return True
            some: Document = {"_id": {"$in": [row["_id"] for row in rows]}}

            async def apply(session: Session, some: Document = some) -> bool:
                is_same = await self._states.hold(feed, session)
                if is_same:
                    await self._entries.delete_many(some, session=session)
                return is_same

            if not await in_transaction(self._client, apply):
                return False

    async def erase(self, owner_id: ObjectId, most: int) -> bool:
        """Takes up to `most` entries out of the feed of a deleted account; whether there were any. Safe to repeat."""
        rows = await self._entries.find(_owned_by(owner_id), {"_id": 1}, limit=most).to_list()
        await self._entries.delete_many({"_id": {"$in": [row["_id"] for row in rows]}})
        return bool(rows)

    async def home(self, owner_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """Post ids of a home feed, newest first, down to the first one ever; who asks is noted to be active.

        It may name posts that the owner may not see; the rules that follow take them out. It lacks none but those that
        owe their fan-out. Should the feed change while it is read, the page is pulled. `as_of` tells when a page that
        was cached was read.
        """
        request, looked = request.expects(ObjectId), list[_Look]()
        first_pages = await self._cached_first_pages(owner_id, request, looked)
        found = None if first_pages is None else await self._from_first_pages(owner_id, first_pages, request)
        if first_pages is not None and found is not None:
            page = cut_page(request, [(post_id, post_id) for post_id in found])
            return msgspec.structs.replace(page, as_of=first_pages.as_of)
        return await self._page(*(looked[0] if looked else await self._look(owner_id)), request)

    async def peek(self, owner_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """As `home`, for somebody else than the owner: nothing is noted."""
        feed, pulled = await asyncio.gather(self._states.find(owner_id), self._follows.to_pull(owner_id))
        return await self._page(feed or FeedRecord(id=owner_id), pulled, request)

    async def _look(self, owner_id: ObjectId) -> _Look:
        now = clock.now()
        return await asyncio.gather(self._states.note_visit(owner_id, now), self._follows.to_pull(owner_id))

    async def _cached_first_pages(
        self, owner_id: ObjectId, request: PageRequest, looked: list[_Look]
    ) -> FirstPages | None:
        """The feed's window, None without one; only a look at the top makes it, and puts into `looked` what it read."""

        async def load(_owner_ids: Sequence[ObjectId]) -> list[FirstPages | None]:
            looked.append(await self._look(owner_id))
            return [await self._read_first_pages(*looked[-1])]

        if request.after is None and not request.backward:
            return (await self._first_pages.read([owner_id], load))[0]
        with contextlib.suppress(CacheDown):
            return None if request.backward else (await self._first_pages.cached([owner_id])).get(owner_id)
        return None

    async def _read_first_pages(self, feed: FeedRecord, pulled: Sequence[ObjectId]) -> FirstPages | None:
        if feed.floor is None:
            return None
        as_of = clock.now()
        rows = await self._rows(feed.id, PageRequest(limit=FIRST_PAGES_ENTRIES, before=feed.floor))
        if not await self._states.is_still(feed):
            return None
        return first_pages_of(as_of, feed.floor, [row["_id"]["p"] for row in rows], pulled)

    async def _from_first_pages(
        self, owner_id: ObjectId, first_pages: FirstPages, request: PageRequest
    ) -> list[ObjectId] | None:
        """As `_walked`, for a forward request; None if the walk goes on to entries that the window does not have."""
        found, bounded = list[ObjectId](), _bounded(request, above=first_pages.above)
        if not _is_empty(bounded):
            posts = await self._posts.shown_by_authors([owner_id, *first_pages.pulled], bounded)
            found = _merged(bounded, first_pages.within(bounded), [post["_id"] for post in posts])
        if len(found) > request.limit or bounded.before == request.before:
            return found
        if not first_pages.is_whole:
            return None
        rest = msgspec.structs.replace(request, limit=request.limit - len(found))
        return found + await self._below(FeedRecord(id=owner_id, floor=first_pages.above), rest)

    async def _page(self, feed: FeedRecord, pulled: Sequence[ObjectId], request: PageRequest) -> Page[ObjectId]:
        found = await self._walked(feed, pulled, request)
        if feed.floor is not None and not await self._states.is_still(feed):
            found = await self._walked(msgspec.structs.replace(feed, floor=None), [], request)
        return cut_page(request, [(post_id, post_id) for post_id in found])

    async def _walked(self, feed: FeedRecord, pulled: Sequence[ObjectId], request: PageRequest) -> list[ObjectId]:
        """Up to `limit + 1` ids in walking order: of what is kept above the floor, and of a pull below it."""
        found: list[ObjectId] = []
        for is_above in (False, True) if request.backward else (True, False):
            rest = msgspec.structs.replace(request, limit=request.limit - len(found))
            found += await (self._above(feed, pulled, rest) if is_above else self._below(feed, rest))
            if len(found) > request.limit:
                break
        return found

    async def _above(self, feed: FeedRecord, pulled: Sequence[ObjectId], request: PageRequest) -> list[ObjectId]:
        if feed.floor is None:
            return []
        request = _bounded(request, above=feed.floor)
        if _is_empty(request):
            return []
        authors = [feed.id, *pulled]
        rows, posts = await asyncio.gather(self._rows(feed.id, request), self._posts.shown_by_authors(authors, request))
        return _merged(request, [row["_id"]["p"] for row in rows], [post["_id"] for post in posts])

    async def _below(self, feed: FeedRecord, request: PageRequest) -> list[ObjectId]:
        if feed.floor is not None:
            request = _bounded(request, below=_next(feed.floor))
        if feed.floor == HOLDS_ALL or _is_empty(request):
            return []
        authors = [feed.id, *await self._follows.followees(feed.id)]
        return [post["_id"] for post in await self._posts.shown_by_authors(authors, request)]

    async def _rows(self, owner_id: ObjectId, request: PageRequest) -> list[Document]:
        query = _owned_by(owner_id, below=request.after, above=request.before)
        order, most = [("_id", 1 if request.backward else -1)], request.limit + 1
        return await self._entries.find(query, {"_id": 1}, sort=order, limit=most, batch_size=most + 1).to_list()

    async def _insert(self, entries: Sequence[RawBSONDocument]) -> None:
        """Entries that are not there yet, so many in each operation, side by side."""
        some = [entries[start : start + INSERTED] for start in range(0, len(entries), INSERTED)]
        await asyncio.gather(*(insert_absent(self._entries, each) for each in some))


def _entries(post_id: ObjectId, author_id: ObjectId, owner_ids: Sequence[ObjectId]) -> list[RawBSONDocument]:
    """A post's entries for these owners. They differ in twelve bytes, so one is encoded: that halves their cost."""
    entry = {"_id": {"o": _ANYBODY, "p": post_id}, "a": author_id}
    before, after = bson.encode(entry).split(_ANYBODY.binary, maxsplit=1)
    return [RawBSONDocument(before + owner_id.binary + after) for owner_id in owner_ids]


_ANYBODY = ObjectId(b"\xff" * 12)


def _owned_by(
    owner_id: ObjectId, *, below: object = None, above: object = None, upto: ObjectId | None = None
) -> Document:
    """Entries of one owner, strictly between two posts, or `upto` one; embedded documents compare field by field."""
    low = {"$gt": {"o": owner_id, "p": MinKey() if above is None else above}}
    if upto is not None:
        return {"_id": {**low, "$lte": {"o": owner_id, "p": upto}}}
    return {"_id": {**low, "$lt": {"o": owner_id, "p": MaxKey() if below is None else below}}}


def _bounded(request: PageRequest, *, below: ObjectId | None = None, above: ObjectId | None = None) -> PageRequest:
    """That part of a request that lies strictly below or above a post too."""
    after = min((key for key in (request.after, below) if isinstance(key, ObjectId)), default=None)
    before = max((key for key in (request.before, above) if isinstance(key, ObjectId)), default=None)
    return msgspec.structs.replace(request, after=after, before=before)


def _merged(request: PageRequest, *walks: Sequence[ObjectId]) -> list[ObjectId]:
    merged = dict.fromkeys(heapq.merge(*walks, reverse=not request.backward))
    return list(merged)[: request.limit + 1]


def _is_empty(request: PageRequest) -> bool:
    after, before = request.after, request.before
    return isinstance(after, ObjectId) and isinstance(before, ObjectId) and after <= before


def _next(post_id: ObjectId) -> ObjectId:
    return ObjectId((int.from_bytes(post_id.binary, "big") + 1).to_bytes(12, "big"))
