"""Which terms each account has accepted, and when: a short list in the account's own document."""

from bson import ObjectId

from datasources.mongo.client import Database, Document, Readable
from datasources.mongo.lenient_reads import readable
from datasources.settings.terms import TermsSettings
from domain.errors import Refusal, UserErrorCode
from domain.limits import ACCEPTANCES_KEPT
from domain.records.terms import AcceptanceRecord
from domain.records.users import UserState

FIELD = "terms"  # of `users`
MAX_REMEMBERED = 10_000  # accounts that have accepted; when there are more, they are looked up again


class TermsStore:
    """The field `terms` of `users`, which no cached value shows."""

    def __init__(self, database: Database, settings: TermsSettings) -> None:
        self._users: Readable = database["users"]
        self._writes = database["users"]
        self.in_force = settings.terms_version
        self._are_required = settings.terms_version is not None and settings.terms_refuse == "acts"
        self._accepted: set[ObjectId] = set()  # nobody takes back what they have accepted

    async def accept(self, user_id: ObjectId, acceptance: AcceptanceRecord) -> None:
        """Records an acceptance; the first of a version stays. Atomic and safe to repeat."""
        query: Document = {
            "_id": user_id,
            "state": {"$ne": UserState.DELETED.value},
            f"{FIELD}.version": {"$ne": acceptance.version},
        }
        pushed = {"$each": [acceptance.to_document()], "$slice": -ACCEPTANCES_KEPT}
        await self._writes.update_one(query, {"$push": {FIELD: pushed}})

    async def latest(self, user_id: ObjectId) -> AcceptanceRecord | None:
        """What an account has accepted last."""
        user = await self._users.find_one({"_id": user_id}, {FIELD: {"$slice": -1}})
        accepted = (user or {}).get(FIELD, ())
        return readable(AcceptanceRecord, accepted[0]) if accepted else None

    async def has_accepted(self, user_id: ObjectId) -> bool:
        """Whether an account has accepted the terms in force; true if there are none."""
        if self.in_force is None or user_id in self._accepted:
            return True
        has = await self._users.find_one({"_id": user_id, f"{FIELD}.version": self.in_force}, {"_id": 1}) is not None
        if has:
            if len(self._accepted) >= MAX_REMEMBERED:
                self._accepted.clear()
            self._accepted.add(user_id)
        return has

    async def require(self, user_id: ObjectId) -> None:
        """Raises Refusal (TERMS_NOT_ACCEPTED) for who must accept the terms in force first."""
        if self._are_required and not await self.has_accepted(user_id):
            raise Refusal(UserErrorCode.TERMS_NOT_ACCEPTED, "Accept the terms of the service first: see acceptTerms.")
