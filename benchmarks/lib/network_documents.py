"""A network in bulk: users, posts, follows by Zipf's law and live feeds, inserted as bytes before the indexes."""

import asyncio
import math
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from random import Random
from typing import Any

import bson
import pymongo
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import WriteConcern

from benchmarks.lib.documents import follow, post
from datasources.feed.feed_states import HOLDS_ALL, REFRESH_EVERY
from datasources.mongo import clock
from datasources.mongo.indexes import INDEXES
from datasources.mongo.prepared import ensure_indexes
from datasources.sources import Sources

POSTS_EACH = 2
FOLLOWED_EACH = 5
ACTIVE = 10  # one user in so many reads their feed, so that it is kept
LARGEST = 5_000_000 // FOLLOWED_EACH  # a million: their follows still have room in an id's counter
FILL_SECONDS = 900.0  # for everything, on however busy a machine
ROWS = 5_000  # in one insert
AT_ONCE = 2  # inserts into one collection: one is encoded while MongoDB works on another
SPREAD, OTHER_SPREAD = 2_654_435_761, 2_246_822_519  # primes: multiples of them, modulo a size, are in no order

Row = dict[str, Any]


class Network:
    """Users with posts and follows, known by number: their ids are computed and not stored.

    Who is the n-th most followed has a share of all follows that goes as 1/n. Who has more followers than are pushed to
    is pulled by all of them.
    """

    def __init__(self, size: int, seed: int, push_limit: int) -> None:
        self.size = size
        self._seed = seed
        self._began = int(clock.now().timestamp()) - 30 * 86_400
        # Of all draws the n-th gets log(1 + 1/n) / log(size).
        self._pulled = int(FOLLOWED_EACH * size / math.log(size) / push_limit)

    def ranks(self, following: int, random: Random) -> set[int]:
        """`following` different users, each by its place among the most followed, from 0."""
        ranks: set[int] = set()
        while len(ranks) < following:
            ranks.add(int(self.size ** random.random()) - 1)
        return ranks

    def is_pulled(self, rank: int) -> bool:
        """Whether too many follow this user for posts to be pushed."""
        return rank < self._pulled

    def user(self, rank: int) -> bytes:
        """The id of the user with this place among the most followed."""
        return self._id(b"users", 0, self._number(rank))

    def documents(self) -> Mapping[str, Iterator[bytes]]:
        """Everything of the network as the mutations and workers leave it, by collection."""
        return {
            "users": self._users(),
            "posts": self._posts(),
            "follows": self._follows(),
            "feeds": self._feeds(),
            "feed_entries": self._entries(),
        }

    def _number(self, rank: int) -> int:
        return rank * SPREAD % self.size

    def _id(self, kind: bytes, seconds: int, number: int) -> bytes:
        return (self._began + seconds).to_bytes(4, "big") + kind + number.to_bytes(3, "big")

    def _post_id(self, number: int) -> bytes:
        return self._id(b"posts", 86_400 + number * 86_400 * 20 // (self.size * POSTS_EACH), number)

    def _users(self) -> Iterator[bytes]:
        for number in range(self.size):
            user_id = self._id(b"users", 0, number)
            yield _user() % {b"id": user_id, b"hex": user_id.hex().encode()}

    def _posts(self) -> Iterator[bytes]:
        for number in range(self.size * POSTS_EACH):
            author_id = self._id(b"users", 0, number * OTHER_SPREAD % self.size)
            upload_id = self._id(b"uplds", 0, number)
            yield _post() % {b"id": self._post_id(number), b"author": author_id, b"upload": upload_id}

    def _posts_of(self, rank: int) -> Iterator[bytes]:
        first = self._number(rank) * pow(OTHER_SPREAD, -1, self.size) % self.size
        return (self._post_id(number) for number in range(first, self.size * POSTS_EACH, self.size))

    def _followings(self) -> Iterator[tuple[int, set[int]]]:
        """Each user's number, and whom they follow; every call gives the same."""
        random = Random(self._seed)
        for number in range(self.size):
            yield number, self.ranks(FOLLOWED_EACH, random)

    def _follows(self) -> Iterator[bytes]:
        for number, ranks in self._followings():
            follower = self._id(b"users", 0, number)
            for slot, rank in enumerate(ranks):
                ids = {b"id": self._id(b"fllws", 0, number * FOLLOWED_EACH + slot), b"followee": self.user(rank)}
                yield _follow(slot, self.is_pulled(rank)) % {**ids, b"follower": follower}

    def _feeds(self) -> Iterator[bytes]:
        for number in range(0, self.size, ACTIVE):
            yield _feed() % {b"id": self._id(b"users", 0, number)}

    def _entries(self) -> Iterator[bytes]:
        for number, ranks in self._followings():
            if number % ACTIVE:
                continue
            owner, pushed = self._id(b"users", 0, number), [rank for rank in ranks if not self.is_pulled(rank)]
            posts = sorted((post_id, self.user(rank)) for rank in pushed for post_id in self._posts_of(rank))
            for post_id, author_id in posts:
                yield _entry() % {b"owner": owner, b"post": post_id, b"author": author_id}


async def insert_network(sources: Sources, network: Network) -> None:
    """Inserts a network into an empty database, and makes the indexes of each collection once it is full."""
    with pymongo.timeout(FILL_SECONDS):
        async with asyncio.TaskGroup() as group:
            for name, rows in network.documents().items():
                group.create_task(_fill(sources, name, rows))
        await ensure_indexes(sources.database)
        await sources.client.admin.command("fsync")


async def _fill(sources: Sources, name: str, rows: Iterator[bytes]) -> None:
    collection = sources.database[name].with_options(write_concern=WriteConcern(w=1))

    async def insert() -> None:
        while batch := [RawBSONDocument(row) for row in islice(rows, ROWS)]:
            await collection.insert_many(batch, ordered=False)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(insert())
    if INDEXES[name]:
        await sources.database[name].create_indexes(INDEXES[name])


def _pattern(make: Any, *holes: bytes) -> bytes:
    """A document of `make`, encoded once, with holes where the ids that it is given were.

    Filled by `%`, as are holes `hex` with the hexadecimal digits of the first.
    """
    ids = [ObjectId(hole.ljust(12, b"_")) for hole in holes]
    pattern = bson.encode(make(*ids)).replace(b"%", b"%%").replace(str(ids[0]).encode(), b"%(hex)b")
    for hole, each in zip(holes, ids, strict=True):
        pattern = pattern.replace(each.binary, b"%%(%b)b" % hole)
    return pattern


@cache
def _user() -> bytes:
    def make(user_id: ObjectId) -> Row:
        name = f"user_{user_id}"
        names = {"username": name, "username_key": name, "email_key": f"{name}@example.com", "display_name": "Somebody"}
        return {"_id": user_id, **names, "created_at": clock.now(), "state": "ACTIVE"}

    return _pattern(make, b"id")


@cache
def _post() -> bytes:
    def make(post_id: ObjectId, author_id: ObjectId, upload_id: ObjectId) -> Row:
        bare: Row = {"images": [], "location": None, "caption": ""}
        return {**post(author_id), "_id": post_id, "upload_ids": [upload_id], **bare}

    return _pattern(make, b"id", b"author", b"upload")


@cache
def _follow(slot: int, is_pulled: bool) -> bytes:
    def make(follow_id: ObjectId, follower_id: ObjectId, followee_id: ObjectId) -> Row:
        return {**follow(follower_id, followee_id, slot, is_pulled=is_pulled), "_id": follow_id}

    return _pattern(make, b"id", b"follower", b"followee")


@cache
def _feed() -> bytes:
    now = clock.now()
    state = {"live": True, "floor": HOLDS_ALL, "seen_at": now, "refresh_at": now + REFRESH_EVERY, "version": 1}
    return _pattern(lambda owner_id: {"_id": owner_id, **state}, b"id")


@cache
def _entry() -> bytes:
    def make(owner_id: ObjectId, post_id: ObjectId, author_id: ObjectId) -> Row:
        return {"_id": {"o": owner_id, "p": post_id}, "a": author_id}

    return _pattern(make, b"owner", b"post", b"author")
