"""Ids that say on which shard their documents lie, so that a cluster of MongoDB asks only that one for them.

Such an id ends with the first five bytes of an account's id: a post's with its author's, an upload's with its owner's,
a follow's with its follower's, a comment's with that of the author of its post. They give a range of the accounts by
which posts, uploads and follows are sharded; a comment stores them as its key. Time comes first in every id, so lists
keep their order.

Ids of older versions end with anything. So queries name the key only of ids made a while after a moment `since` that
the operator of a cluster sets; without it they name none, and other databases need none (docs/adr/0026).
"""

import os
import struct
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import wraps
from typing import TypeVar

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.mongo import clock
from datasources.mongo.client import Document

COMMENT_KEY = "post_author_key"  # the field of a comment with the five bytes
MAX_RANGES = 200  # in one query: so many accounts lie on most shards anyway
MAX_TRIES = 3  # of ids for a document
MARGIN_SECONDS = 600  # after `since`: an id of an older version may come from a clock that is fast
_KEY_BYTES, _REST = 5, 7
Store = TypeVar("Store")


def new_id(account_id: ObjectId, at: datetime | None = None) -> ObjectId:
    """A new id for what lies with this account, as of now or of another moment, by which lists are ordered.

    Two ids of one account and second are equal about once in 10^7 times, if two processes make them.
    """
    seconds = int((at or clock.now()).timestamp())
    return ObjectId(struct.pack(">I", seconds) + ObjectId().binary[-3:] + key_of(account_id))


def new_id_beside(id_: ObjectId) -> ObjectId:
    """A new id for what lies where the document of another such id does."""
    return new_id(ObjectId(key_in(id_) + b"\0" * _REST))


def key_of(account_id: ObjectId) -> bytes:
    """The bytes of an account with which the ids end of what lies with it."""
    return account_id.binary[:_KEY_BYTES]


def key_in(id_: ObjectId) -> bytes:
    """The first five bytes of the account with which the document of this id lies."""
    return id_.binary[-_KEY_BYTES:]


def with_free_id(
    insert: Callable[[Store, Document], Awaitable[None]],
) -> Callable[[Store, Document], Awaitable[None]]:
    """Makes a method that inserts a document insert it with another id, of the same time and key, if its own is taken.

    The document has it then. It is a random one, as another process may go on counting alike. Raises DuplicateKeyError
    for any other index.
    """

    @wraps(insert)
    async def insert_with_free_id(self: Store, document: Document) -> None:
        for _ in range(MAX_TRIES - 1):
            try:
                return await insert(self, document)
            except DuplicateKeyError as error:
                if (error.details or {}).get("keyPattern") != {"_id": 1}:
                    raise
            id_: ObjectId = document["_id"]
            document["_id"] = ObjectId(id_.binary[:4] + os.urandom(3) + key_in(id_))
        return await insert(self, document)

    return insert_with_free_id


class ShardedIds:
    """The conditions that say where documents lie, by their ids; none if an id may be of an older version."""

    def __init__(self, since: datetime | None) -> None:
        self._first = None if since is None else struct.pack(">I", int(since.timestamp()) + MARGIN_SECONDS)

    def with_accounts(self, field: str, ids: Sequence[ObjectId]) -> Document:
        """A condition for documents that are sharded by the account in `field`, and that have these ids."""
        keys = self._keys(ids)
        ranges = [
            {field: {"$gte": ObjectId(key + b"\0" * _REST), "$lte": ObjectId(key + b"\xff" * _REST)}} for key in keys
        ]
        if len(ranges) > MAX_RANGES:
            return {}
        return {"$or": ranges} if len(ranges) > 1 else next(iter(ranges), {})

    def comments(self, ids: Sequence[ObjectId]) -> Document:
        """A condition for comments with these ids; or for the comments of posts with these ids."""
        keys = self._keys(ids)
        return {COMMENT_KEY: {"$in": keys}} if keys else {}

    def parent(self, reply_id: ObjectId) -> Document:
        """A condition for the comment that a reply answers, which may be older than the ids that say their key."""
        keys = self._keys([reply_id])
        return {COMMENT_KEY: {"$in": [*keys, None]}} if keys else {}

    def believed(self, ids: Sequence[ObjectId]) -> list[ObjectId]:
        """Those of these ids that are taken to say where their documents lie."""
        first = self._first
        return [] if first is None else [id_ for id_ in ids if id_.binary[:4] >= first]

    def _keys(self, ids: Sequence[ObjectId]) -> list[bytes]:
        """The keys in these ids, each once; none if one of them may have none."""
        if len(self.believed(ids)) < len(ids):
            return []
        return sorted({key_in(id_) for id_ in ids})


class AlwaysShardedIds(ShardedIds):
    """For what older versions did not have: every id says where its document lies, also an invented one."""

    def __init__(self) -> None:
        super().__init__(None)

    def believed(self, ids: Sequence[ObjectId]) -> list[ObjectId]:
        """All of these ids."""
        return list(ids)
