"""Home feeds: one small entry for each owner and post, written by the feed worker and merged at the read.

An entry's `_id` is the pair itself ({o: owner, p: post}), so that one index serves uniqueness, order and paging, and
writing an entry twice writes it once.
"""

import heapq
from collections.abc import Iterable, Sequence

from bson import ObjectId
from bson.max_key import MaxKey
from bson.min_key import MinKey
from pymongo.errors import BulkWriteError

from datasources.feed_states import FeedStates
from datasources.graph import GraphStore
from datasources.mongo import Database, Document, Session, in_transaction
from datasources.posts import PostStore
from domain.paging import Page, PageRequest, cut_page
from domain.records import FeedRecord

DUPLICATE_KEY = 11000
CHUNK = 1_000  # entries deleted in one transaction


class FeedStore:
    """The collection `feed_entries`, and the reading of feeds across it and what it does not hold yet."""

    def __init__(self, database: Database, states: FeedStates, posts: PostStore, graph: GraphStore) -> None:
        self._client = database.client
        self._entries = database["feed_entries"]
        self._states = states
        self._posts = posts
        self._graph = graph

    async def push(self, post_id: ObjectId, author_id: ObjectId, owner_ids: Sequence[ObjectId]) -> None:
        """Puts a post into feeds. Safe to repeat: an entry that is there stays."""
        await self._insert([_entry(owner_id, post_id, author_id) for owner_id in owner_ids])

    async def take_out(self, post_id: ObjectId, owner_ids: Sequence[ObjectId]) -> None:
        """Takes a post out of feeds. Safe to repeat."""
        await self._entries.delete_many({"_id": {"$in": [{"o": owner_id, "p": post_id} for owner_id in owner_ids]}})

    async def fill(self, owner_id: ObjectId, author_id: ObjectId, post_ids: Sequence[ObjectId]) -> None:
        """Puts posts of one author into one feed. Safe to repeat."""
        await self._insert([_entry(owner_id, post_id, author_id) for post_id in post_ids])

    async def put_in(self, owner_id: ObjectId, posts: Sequence[Document]) -> None:
        """Puts posts, of which `_id` and `author_id` are given, into one feed. Safe to repeat."""
        await self._insert([_entry(owner_id, post["_id"], post["author_id"]) for post in posts])

    async def drop(self, owner_id: ObjectId, author_id: ObjectId) -> None:
        """Takes one author's posts out of one feed. Safe to repeat."""
        await self._entries.delete_many({**_owned_by(owner_id), "a": author_id})

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

            async def settle(session: Session, some: Document = some) -> bool:
                is_same = await self._states.hold(feed, session)
                if is_same:
                    await self._entries.delete_many(some, session=session)
                return is_same

            if not await in_transaction(self._client, settle):
                return False

    async def home(self, owner_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """Post ids of a home feed, newest first: entries, own posts, and those of people followed a moment ago.

        It may name posts that the owner may no longer see; the rules that follow take them out.
        """
        request = request.expects(ObjectId)
        unfilled = await self._graph.to_pull(owner_id)
        entries = [row["_id"]["p"] for row in await self._rows(owner_id, request)]
        pulled = [row["_id"] for row in await self._posts.shown_by_authors([owner_id, *unfilled], request)]
        merged = _merged([entries, pulled], request)
        return cut_page(request, [(post_id, post_id) for post_id in merged])

    async def _rows(self, owner_id: ObjectId, request: PageRequest) -> list[Document]:
        query = _owned_by(owner_id, below=request.after, above=request.before)
        order = [("_id", 1 if request.backward else -1)]
        return await self._entries.find(query, {"_id": 1}, sort=order, limit=request.limit + 1).to_list()

    async def _insert(self, entries: list[Document]) -> None:
        if not entries:
            return
        try:
            await self._entries.insert_many(entries, ordered=False)
        except BulkWriteError as error:
            if any(failure["code"] != DUPLICATE_KEY for failure in error.details["writeErrors"]):
                raise


def _entry(owner_id: ObjectId, post_id: ObjectId, author_id: ObjectId) -> Document:
    return {"_id": {"o": owner_id, "p": post_id}, "a": author_id}


def _owned_by(
    owner_id: ObjectId, *, below: object = None, above: object = None, upto: ObjectId | None = None
) -> Document:
    """Entries of one owner, strictly between two posts, or `upto` one; embedded documents compare field by field."""
    low = {"$gt": {"o": owner_id, "p": MinKey() if above is None else above}}
    if upto is not None:
        return {"_id": {**low, "$lte": {"o": owner_id, "p": upto}}}
    return {"_id": {**low, "$lt": {"o": owner_id, "p": MaxKey() if below is None else below}}}


def _merged(walks: Iterable[Sequence[ObjectId]], request: PageRequest) -> list[ObjectId]:
    merged = dict.fromkeys(heapq.merge(*walks, reverse=not request.backward))
    return list(merged)[: request.limit + 1]
