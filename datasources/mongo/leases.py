"""The collection `leases`: what one process of all may do for a time."""

from datetime import timedelta

from pymongo.errors import DuplicateKeyError

from datasources.mongo import clock
from datasources.mongo.client import Database


class Lease:
    """A right that one holder has at a time, and that ends by itself `life` after it was last taken."""

    def __init__(self, database: Database, name: str, holder: str, life: timedelta) -> None:
        self._leases = database["leases"]
        self._name = name
        self._holder = holder
        self._life = life

    async def take(self) -> bool:
        """Takes or renews the lease; False if another holds it. Safe to repeat and side by side."""
        now = clock.now()
        free = {"_id": self._name, "$or": [{"holder": self._holder}, {"expires_at": {"$lte": now}}]}
        mine = {"$set": {"holder": self._holder, "expires_at": now + self._life}}
        try:
            await self._leases.update_one(free, mine, upsert=True)
        except DuplicateKeyError:
            return False
        return True

    async def release(self) -> None:
        """Lets another take it at once. Safe to repeat."""
        await self._leases.delete_one({"_id": self._name, "holder": self._holder})
