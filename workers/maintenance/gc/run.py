"""One run of `gc`: what is old enough, whether things are really removed, and how many."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bson import ObjectId

from datasources.mongo.client import Document
from datasources.sources import Sources
from domain.records.users import UserState
from workers.maintenance.walk import Walk


@dataclass(frozen=True)
class GcRun:
    """The state of one run; `removed` counts by kind."""

    walk: Walk
    now: datetime
    min_age: timedelta
    removed: dict[str, int]
    dry_run: bool

    @property
    def sources(self) -> Sources:
        return self.walk.sources

    @property
    def before(self) -> datetime:
        """What was made later is left alone."""
        return self.now - self.min_age

    def older_than(self, age: timedelta) -> datetime:
        """The latest time that is both this long ago and before the minimum age."""
        return self.now - max(age, self.min_age)

    def old(self, ids: Sequence[ObjectId]) -> list[ObjectId]:
        """Those made before the minimum age."""
        return [record_id for record_id in ids if record_id.generation_time <= self.before]

    def count_removal(self, kind: str, number: int) -> bool:
        """Counts what is to be removed; returns whether to remove it: not in a dry run."""
        if number:
            self.removed[kind] = self.removed.get(kind, 0) + number
        return number > 0 and not self.dry_run


async def deleted_among(sources: Sources, user_ids: Sequence[ObjectId]) -> list[ObjectId]:
    """Those of these accounts that are deleted."""
    query: Document = {"_id": {"$in": list(set(user_ids))}, "state": UserState.DELETED.value}
    return [account["_id"] async for account in sources.database["users"].find(query, {"_id": 1})]
