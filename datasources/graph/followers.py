"""The followers of each account, as far as `follows` has been copied: a collection that is sharded by who is followed.

`follows` is sharded by who follows. So fan-outs read this one, whose documents are pairs: `_id` is {u: the followed
user, f: the follower}. BACKFILL, pending after every change of a follow, keeps it: while that is done for a follow
that stands, the pair is here; while it is done for any other, it is not.
"""

from collections.abc import Collection
from datetime import datetime

from bson import ObjectId
from bson.max_key import MaxKey
from bson.min_key import MinKey

from datasources.mongo.client import Database, Document, Session
from datasources.mongo.copies import copy_into
from datasources.mongo.queries import find_ids
from datasources.mongo.transactions import in_transaction
from domain.jobs import Task
from domain.records.follows import FollowRecord, FollowState

READ_AT_ONCE = 5_000  # more than a chunk of a fan-out, so that a chunk is one read


class FollowerStore:
    """The collection `followers`."""

    def __init__(self, database: Database) -> None:
        self._client = database.client
        self._followers = database["followers"]
        self._follows = database["follows"]  # to hold a follow as it was read, in a field that no relation has

    async def add(self, follow: FollowRecord, now: datetime) -> bool:
        """Lists a follower; False, with no change, if the follow has changed since it was read or is done by now.

        Atomic and safe to repeat. The backfill of a follow calls it before it reads the author's posts: a post that
        becomes READY later is pushed by a fan-out, which finds the follower here.
        """
        pair = {"_id": _pair(follow.followee_id, follow.follower_id)}
        same = {"_id": follow.id, "follower_id": follow.follower_id, "version": follow.version}

        async def apply(session: Session) -> bool:
            held = await self._follows.update_one(
                {**same, "outbox": Task.BACKFILL.value}, {"$set": {"listed_at": now}}, session=session
            )
            if held.matched_count:
                await self._followers.replace_one(pair, pair, upsert=True, session=session)
            return bool(held.matched_count)

        return await in_transaction(self._client, apply)

    async def remove(self, follow: FollowRecord, session: Session) -> None:
        """Removes a follower within the caller's transaction, which marks BACKFILL done. Safe to repeat."""
        await self._followers.delete_one({"_id": _pair(follow.followee_id, follow.follower_id)}, session=session)

    async def of_author(
        self, author_id: ObjectId, *, above: ObjectId | None = None, upto: ObjectId | None = None, limit: int = 0
    ) -> list[ObjectId]:
        """An author's followers with ids above one and up to another, in the order of their ids; 0 is no limit.

        Who begins to follow meanwhile may be missing: BACKFILL is pending for that follow.
        """
        query, size = _of(author_id, above, upto), (limit or READ_AT_ONCE) + 1
        ids = await find_ids(self._followers, query, sort=[("_id", 1)], limit=limit, batch_size=size)
        return [id_["f"] for id_ in ids]

    async def of_authors(self, author_ids: Collection[ObjectId], limit: int) -> dict[ObjectId, list[ObjectId]]:
        """The followers of each author, at most `limit` of them together; one operation."""
        followers: dict[ObjectId, list[ObjectId]] = {author_id: [] for author_id in author_ids}
        if followers:
            query = {"$or": [_of(author_id) for author_id in followers]}
            for id_ in await find_ids(self._followers, query, limit=limit, batch_size=limit + 1):
                followers[id_["u"]].append(id_["f"])
        return followers

    async def ends_of_chunks(self, author_id: ObjectId, size: int) -> list[ObjectId]:
        """The last follower of each chunk of so many: one walk over index keys, and one operation a chunk."""
        ends, rest = list[ObjectId](), _of(author_id)
        while row := await self._followers.find_one(rest, {"_id": 1}, sort=[("_id", 1)], skip=size - 1):
            ends.append(row["_id"]["f"])
            rest = _of(author_id, ends[-1])
        last = await self._followers.find_one(rest, {"_id": 1}, sort=[("_id", -1)])
        return ends if last is None else [*ends, last["_id"]["f"]]


async def copy_follows(database: Database) -> None:
    """Makes the collection of a database that has follows and lacks it, as `copy_into` does.

    Workers of the older version list nobody: `repair` does when the last of them has stopped.
    """
    stages: list[Document] = [
        {"$match": {"state": FollowState.FOLLOWING.value}},
        {"$project": {"_id": _pair("$followee_id", "$follower_id")}},
    ]
    await copy_into(database, "follows", "followers", stages)


def _pair(followee_id: object, follower_id: object) -> Document:
    return {"u": followee_id, "f": follower_id}


def _of(author_id: ObjectId, above: ObjectId | None = None, upto: ObjectId | None = None) -> Document:
    low = {"$gt": _pair(author_id, MinKey() if above is None else above)}
    high = {"$lt": _pair(author_id, MaxKey())} if upto is None else {"$lte": _pair(author_id, upto)}
    return {"_id": low | high}
