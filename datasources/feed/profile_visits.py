"""Profile visits: who looked at whose profile, one fact a day for each pair, written in the background.

They serve the visitor's own ranking alone: no field of the API shows them to anybody. They expire after `VISITS_KEPT`.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.concurrency.background_writes import BackgroundWrites
from datasources.mongo.client import Database, Document
from datasources.mongo.queries import find_ids, within
from domain.interests import Act, ActKind

MAX_NOTED = 10_000  # visits to remember as recorded; when there are more, they are recorded again


class VisitStore:
    """The collection `profile_visits`: {_id: {v: visitor, d: day, o: owner}, at}."""

    def __init__(self, database: Database, background_writes: BackgroundWrites) -> None:
        self._visits = database["profile_visits"]
        self._background_writes = background_writes
        self._noted: set[tuple[ObjectId, ObjectId, datetime]] = set()

    def note(self, visitor_id: ObjectId, owner_id: ObjectId, now: datetime) -> None:
        """Records a visit in the background, once a day. Best effort: never waits, never raises, may be dropped."""
        if visitor_id != owner_id and (visitor_id, owner_id, _day(now)) not in self._noted:
            self._background_writes.offer(lambda: self.add(visitor_id, owner_id, now))

    async def add(self, visitor_id: ObjectId, owner_id: ObjectId, now: datetime) -> None:
        """Records a visit. Safe to repeat: the first of a day stays."""
        day = _day(now)
        with suppress(DuplicateKeyError):
            await self._visits.insert_one({"_id": {"v": visitor_id, "d": day, "o": owner_id}, "at": now})
        if len(self._noted) >= MAX_NOTED:
            self._noted.clear()
        self._noted.add((visitor_id, owner_id, day))

    async def erase(self, user_id: ObjectId, limit: int) -> bool:
        """Deletes up to `limit` visits of a user and to their profile; whether there were any. Safe to repeat."""
        either: list[Document] = [{"_id": within(user_id, "v", "d", "o")}, {"_id.o": user_id}]
        ids = await find_ids(self._visits, {"$or": either}, limit=limit)
        await self._visits.delete_many({"_id": {"$in": ids}})
        return bool(ids)

    async def latest(self, visitor_id: ObjectId, limit: int) -> Sequence[Act]:
        """A visitor's visits, the latest days first; one read of the primary key."""
        query = {"_id": within(visitor_id, "v", "d", "o")}
        rows = await self._visits.find(query, sort=[("_id", -1)], limit=limit).to_list()
        return [Act(row["_id"]["o"], ActKind.VISIT, row["at"]) for row in rows]


def _day(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
