"""One run of `gc`: what is old enough, whether things really go, and how many went."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from bson import ObjectId

from datasources.mongo.client import Document
from datasources.sources import Sources
from domain.records.users import UserState
from workers.maintenance.walk import Walk


class GcRun:
    """The state of one run; `removed` counts by kind."""

    def __init__(
        self, walk: Walk, now: datetime, min_age: timedelta, removed: dict[str, int], *, dry_run: bool
    ) -> None:
        self.walk = walk
        self.now = now
        self.min_age = min_age
        self.removed = removed
        self._dry_run = dry_run

    @property
    def sources(self) -> Sources:
        """What it works on."""
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
        return [one for one in ids if one.generation_time <= self.before]

    def counts(self, kind: str, number: int) -> bool:
        """Counts what goes; False in a dry run, where nothing does."""
        if number:
            self.removed[kind] = self.removed.get(kind, 0) + number
        return not self._dry_run


async def deleted_among(sources: Sources, user_ids: Sequence[ObjectId]) -> list[ObjectId]:
    """Those of these accounts that are deleted."""
    query: Document = {"_id": {"$in": list(set(user_ids))}, "state": UserState.DELETED.value}
    return [account["_id"] async for account in sources.database["users"].find(query, {"_id": 1})]
