"""What stays of a deleted account in the moderators' collections: a pseudonym for each case, and no words.

The log is append-only, so its entries stay. The account's id, and the texts that it wrote or that were written to it,
go. One pseudonym, made of the case alone, stands in all entries of a case: they can be seen to belong together.
"""

import hashlib

from bson import ObjectId

from datasources.moderation.cases import OF_OPEN_ONES
from datasources.mongo import clock
from datasources.mongo.client import Database, Document
from domain.limits import REPORTS_KEPT
from domain.records.moderation import CaseStatus, ReportTargetType

_WORDS: Document = {"statement": "", "note": ""}


class Pseudonyms:
    """Removes deleted accounts from `reports`, `cases` and `decisions`. Every step is safe to repeat."""

    def __init__(self, database: Database) -> None:
        self._reports = database["reports"]
        self._cases = database["cases"]
        self._decisions = database["decisions"]

    async def erase(self, user_id: ObjectId, limit: int) -> bool:
        """Replaces an account in up to `limit` documents of each kind; whether there were any."""
        steps = [
            await self._erase_reporter(user_id),
            await self._erase_moderator(user_id, limit),
            await self._erase_subject(user_id, limit),
        ]
        return any(steps)

    async def _erase_reporter(self, user_id: ObjectId) -> bool:
        changes: Document = {"$set": {"reporter_id": None, "note": ""}, "$unset": {"is_open": ""}}
        return (await self._reports.update_many({"reporter_id": user_id}, changes)).matched_count > 0

    async def _erase_moderator(self, user_id: ObjectId, limit: int) -> bool:
        """Frees the cases that the account had claimed, and renames it in the log."""
        unclaimed = {"$unset": {"claimed_by": "", "claimed_until": ""}}
        freed = await self._cases.update_many({"claimed_by": user_id}, unclaimed)
        entries = await self._entries(user_id, "moderator_id", limit)
        unkeyed = {"idempotency_key": "", "idempotency_digest": ""}
        for entry in entries:
            renamed = {"moderator_id": _pseudonym(entry, b"moderator")}
            await self._decisions.update_one({"_id": entry["_id"]}, {"$set": renamed, "$unset": unkeyed})
        return bool(freed.matched_count or entries)

    async def _erase_subject(self, user_id: ObjectId, limit: int) -> bool:
        """Renames the account in the log, and closes its cases. A case is changed after its reports."""
        entries = await self._entries(user_id, "subject_id", limit)
        for entry in entries:
            changes = {"$set": _renamed(entry, _pseudonym(entry, b"subject"), **_WORDS), "$unset": {"ends_at": ""}}
            await self._decisions.update_one({"_id": entry["_id"]}, changes)
        cases = await self._cases.find({"subject_id": user_id}, {"target_type": 1}, limit=limit).to_list()
        for case in cases:
            pseudonym = _pseudonym({"case_id": case["_id"]}, b"subject")
            closed = {**_renamed(case, pseudonym, note=""), "expires_at": clock.now() + REPORTS_KEPT}
            changes = {"$set": closed, "$unset": {"is_open": "", "reported_text": ""}}
            await self._reports.update_many({"case_id": case["_id"]}, changes)
            closed = _renamed(case, pseudonym, status=CaseStatus.CLOSED.value, appeal_text="")
            await self._cases.update_one({"_id": case["_id"]}, {"$set": closed, "$unset": OF_OPEN_ONES})
        return bool(entries or cases)

    async def _entries(self, user_id: ObjectId, field: str, limit: int) -> list[Document]:
        return await self._decisions.find({field: user_id}, {"case_id": 1, "target_type": 1}, limit=limit).to_list()


def _renamed(document: Document, pseudonym: ObjectId, **words: str) -> Document:
    """Fields that name the subject; an account that was the target itself is named there too."""
    is_target = document["target_type"] == ReportTargetType.USER.value
    return {"subject_id": pseudonym, **({"target_id": pseudonym} if is_target else {}), **words}


def _pseudonym(entry: Document, part: bytes) -> ObjectId:
    """What stands for an account in a case, or in an entry without one. Nothing of the account is in it."""
    of = entry.get("case_id") or entry["_id"]
    return ObjectId(hashlib.sha256(part + of.binary).digest()[:12])
