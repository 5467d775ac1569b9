"""The roles of accounts as far as rate limits depend on them."""

import time
from collections import OrderedDict

import structlog
from bson import ObjectId
from pymongo.errors import PyMongoError

from datasources.mongo.client import Database
from domain.rate_limits import MEMBER, NEW
from domain.records.users import AccountStanding

log = structlog.get_logger(__name__)

KEPT_SECONDS = 60.0
ROLES_MAX = 10_000


class RoleReader:
    """Reads roles, and keeps each for a minute: for limits, which may be late, and for no right."""

    def __init__(self, database: Database) -> None:
        self._users = database["users"]
        self._kept: OrderedDict[ObjectId, tuple[str, float]] = OrderedDict()

    async def of(self, account_id: ObjectId) -> str:
        """The role in lower case; `NEW` for a member whose standing is LIMITED, `MEMBER` while MongoDB is away."""
        role, until = self._kept.get(account_id, (MEMBER, 0.0))
        if time.monotonic() < until:
            return role
        try:
            user = await self._users.find_one({"_id": account_id}, projection={"role": 1, "standing": 1})
        except (PyMongoError, TimeoutError) as error:
            log.debug("role not read", error=type(error).__name__)
        else:
            given = user or {}
            role = str(given.get("role") or MEMBER).lower()
            if role == MEMBER and given.get("standing") == AccountStanding.LIMITED.value:
                role = NEW
        self._kept[account_id] = role, time.monotonic() + KEPT_SECONDS
        self._kept.move_to_end(account_id)
        if len(self._kept) > ROLES_MAX:
            self._kept.popitem(last=False)
        return role
