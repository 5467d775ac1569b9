"""Feed entries: one small document for each owner of a home feed and post, written by the feed worker.

An entry's `_id` is the pair itself ({o: owner, p: post}), so that one index serves uniqueness, order and paging, and
writing an entry twice writes it once.
"""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

import bson
from bson import ObjectId
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.raw_bson import RawBSONDocument

from datasources.feed.feed_states import FeedStates
from datasources.feed.first_pages import FirstPagesCache
from datasources.graph.followers import FollowerStore
from datasources.graph.follows import FollowStore
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.queries import find_ids
from datasources.mongo.transactions import in_transaction
from datasources.mongo.upserts import insert_absent
from domain.jobs import Task
from domain.paging import PageRequest
from domain.records.feeds import FeedRecord
from domain.records.follows import FollowRecord

INSERTED_AT_ONCE = 2_000  # entries, by one operation
DELETED_AT_ONCE = 1_000  # entries, in one transaction


class Delivery(NamedTuple):
    """A post, for the feeds of these owners, who follow its author."""

    post_id: ObjectId
    author_id: ObjectId
    owner_ids: Sequence[ObjectId]


class EntryStore:
    """The collection `feed_entries`."""

    def __init__(
        self,
        database: Database,
        states: FeedStates,
        first_pages: FirstPagesCache,
        follows: FollowStore,
        followers: FollowerStore,
    ) -> None:
        self._client = database.client
        self._entries = database["feed_entries"]
        self._states = states
        self._first_pages = first_pages
        self._follows = follows
        self._followers = followers

    async def push(self, *deliveries: Delivery) -> None:
        """Puts posts into feeds and invalidates their first pages. Safe to repeat: an entry that is there stays.

        Raises outages of Redis too: as long as first pages may lack a post, its fan-out must stay pending.
        """
        await self._insert([entry for each in deliveries for entry in _encoded_entries(*each)])
        await self._first_pages.must_invalidate(owner_id for each in deliveries for owner_id in each.owner_ids)

    async def show_own(self, author_ids: Iterable[ObjectId]) -> None:
        """Has these authors' first pages read again, with their own posts. Raises outages of Redis, as `push`."""
        await self._first_pages.must_invalidate(author_ids)

    async def remove_posts(self, *deliveries: Delivery) -> None:
        """Takes posts out of feeds. Safe to repeat."""
        for post_id, _, owner_ids in deliveries:
            await self._entries.delete_many({"_id": {"$in": [{"o": owner_id, "p": post_id} for owner_id in owner_ids]}})

    async def add_posts(self, owner_id: ObjectId, posts: Sequence[Document]) -> None:
        """Puts posts, given with `_id` and `author_id`, into one feed. Safe to repeat."""
        entries = [entry for post in posts for entry in _encoded_entries(post["_id"], post["author_id"], [owner_id])]
        await self._insert(entries)

    async def remove_author(self, follow: FollowRecord) -> bool:
        """Takes an author's posts out of a feed, and the follower off the author's list, and marks BACKFILL done.

        Atomic. False if the follow has changed.
        """

        async def apply(session: Session) -> bool:
            is_done = await self._follows.mark_done([follow], Task.BACKFILL, session, listed_at="$$REMOVE")
            if is_done:
                await self._followers.remove(follow, session)
                by_author = {**_owned_by(follow.follower_id), "a": follow.followee_id}
                await self._entries.delete_many(by_author, session=session)
            return is_done

        return await in_transaction(self._client, apply)

    async def post_ids(self, owner_id: ObjectId, request: PageRequest) -> list[ObjectId]:
        """Up to `limit + 1` posts of a feed's entries, in walking order."""
        query = _owned_by(owner_id, below=request.after, above=request.before)
        order, limit = [("_id", 1 if request.backward else -1)], request.limit + 1
        ids = await find_ids(self._entries, query, sort=order, limit=limit, batch_size=limit + 1)
        return [id_["p"] for id_ in ids]

    async def entry_at(self, owner_id: ObjectId, above: ObjectId, skipped: int) -> ObjectId | None:
        """The post of the feed's newest entry after the first `skipped` ones, if it is newer than `above`."""
        query, order = _owned_by(owner_id, above=above), [("_id", -1)]
        entry = await self._entries.find_one(query, {"_id": 1}, sort=order, skip=skipped)
        return None if entry is None else entry["_id"]["p"]

    async def clear(self, feed: FeedRecord, *, upto: ObjectId | None = None) -> bool:
        """Deletes a feed's entries, or those up to a post, in steps; False once the feed has changed. Repeatable."""
        while ids := await find_ids(self._entries, _owned_by(feed.id, upto=upto), limit=DELETED_AT_ONCE):
            if not await in_transaction(self._client, partial(self._delete_of, feed, ids)):
                return False
        return True

    async def erase(self, owner_id: ObjectId, limit: int) -> bool:
        """Deletes up to `limit` entries of a deleted account's feed; whether there were any. Safe to repeat."""
        ids = await find_ids(self._entries, _owned_by(owner_id), limit=limit)
        await self._entries.delete_many({"_id": {"$in": ids}})
        return bool(ids)

    async def _delete_of(self, feed: FeedRecord, ids: Sequence[object], session: Session) -> bool:
        is_same = await self._states.hold(feed, session)
        if is_same:
            await self._entries.delete_many({"_id": {"$in": ids}}, session=session)
        return is_same

    async def _insert(self, entries: Sequence[RawBSONDocument]) -> None:
        """Inserts the entries that are not there yet, in batches side by side."""
        starts = range(0, len(entries), INSERTED_AT_ONCE)
        batches = [entries[start : start + INSERTED_AT_ONCE] for start in starts]
        await asyncio.gather(*(insert_absent(self._entries, batch) for batch in batches))


def _encoded_entries(post_id: ObjectId, author_id: ObjectId, owner_ids: Sequence[ObjectId]) -> list[RawBSONDocument]:
    """A post's entries for these owners. They differ in twelve bytes, so one is encoded: that halves the cost."""
    entry = {"_id": {"o": _PLACEHOLDER, "p": post_id}, "a": author_id}
    before, after = bson.encode(entry).split(_PLACEHOLDER.binary, maxsplit=1)
    return [RawBSONDocument(before + owner_id.binary + after) for owner_id in owner_ids]


_PLACEHOLDER = ObjectId(b"\xff" * 12)


def _owned_by(
    owner_id: ObjectId, *, below: object = None, above: object = None, upto: ObjectId | None = None
) -> Document:
    """A query for entries of one owner, strictly between two posts, or `upto` one; `_id`s compare field by field."""
    low = {"$gt": {"o": owner_id, "p": MinKey() if above is None else above}}
    if upto is not None:
        return {"_id": {**low, "$lte": {"o": owner_id, "p": upto}}}
    return {"_id": {**low, "$lt": {"o": owner_id, "p": MaxKey() if below is None else below}}}
