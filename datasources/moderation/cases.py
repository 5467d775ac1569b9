"""Cases: the open reports of one target, or one appeal, until a decision closes them."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.batched_operations import BatchedReads
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.pages import find_page
from domain.errors import Refusal, UserErrorCode
from domain.limits import CASE_CLAIM, REPORTS_KEPT
from domain.paging import Page, PageRequest, cut_page
from domain.records.moderation import CaseRecord, CaseStatus, DecisionRecord, ReportReason, ReportTargetType, Target

_KEY_BYTES = 32
OF_OPEN_ONES: Document = dict.fromkeys(("open_target_id", "claimed_by", "claimed_until", "reporter_key"), "")


class CaseStore(BatchedReads[CaseRecord]):
    """The collection `cases`. One that is open has `open_target_id`: what it is about, or the decision appealed."""

    def __init__(self, database: Database) -> None:
        super().__init__(database["cases"], CaseRecord)
        self._cases, self._reports = database["cases"], database["reports"]

    async def queue(
        self, request: PageRequest, status: CaseStatus, *, reason: ReportReason | None, kind: ReportTargetType | None
    ) -> Page[CaseRecord]:
        """Cases of a status, oldest first; those with a reason among their reports, or about one type of target."""
        query: Document = {"status": status.value}
        if reason is not None:
            query["reasons"] = reason.value
        if kind is not None:
            query["target_type"] = kind.value
        rows = await find_page(self._cases, query, request.expects(ObjectId), oldest_first=True)
        return cut_page(request, [(row["_id"], CaseRecord.from_document(row)) for row in rows])

    async def open_about(self, target_id: ObjectId) -> CaseRecord | None:
        """The open case about a target, or of an appeal against a decision."""
        row = await self._cases.find_one({"open_target_id": target_id})
        return None if row is None else CaseRecord.from_document(row)

    async def add_report(self, target: Target, reason: ReportReason, now: datetime, session: Session) -> CaseRecord:
        """Counts a report to the target's open case, which is made if there is none; within the transaction.

        Returns the case with this report.
        """
        changes: Document = {
            "$inc": {"report_count": 1},
            "$addToSet": {"reasons": reason.value},
            "$set": {"last_reported_at": now},
            "$setOnInsert": _new(target, now),
        }
        query = {"open_target_id": target.id}
        case = await self._cases.find_one_and_update(query, changes, upsert=True, return_document=True, session=session)
        assert case is not None  # noqa: S101  an upsert always returns a document
        return CaseRecord.from_document(case)

    async def reporter_key(self, target: Target, now: datetime, session: Session) -> bytes:
        """A secret of the target's open case, which is made if there is none; within a transaction that adds a report.

        It tells reporters without an account apart while the case is open, and is deleted when it is closed.
        """
        opened: Document = {"$setOnInsert": _new(target, now)}
        query = {"open_target_id": target.id}
        case = await self._cases.find_one_and_update(query, opened, upsert=True, return_document=True, session=session)
        assert case is not None  # noqa: S101  an upsert always returns a document
        if "reporter_key" not in case:
            case["reporter_key"] = secrets.token_bytes(_KEY_BYTES)
            key = {"$set": {"reporter_key": case["reporter_key"]}}
            await self._cases.update_one({"_id": case["_id"]}, key, session=session)
        return bytes(case["reporter_key"])

    async def add_appeal(self, decision: DecisionRecord, text: str, now: datetime, session: Session) -> ObjectId:
        """Opens the case of an appeal, within the transaction."""
        target = Target(id=decision.target_id, type=decision.target_type, subject_id=decision.subject_id)
        appeal = {"appeal_of": decision.id, "appeal_text": text, "open_target_id": decision.id}
        document = {**_new(target, now), **appeal}
        await self._cases.insert_one(document, session=session)
        return ObjectId(document["_id"])

    async def claim(self, case_id: ObjectId, moderator_id: ObjectId, now: datetime, *, release: bool) -> CaseRecord:
        """Keeps a case for one moderator for `CASE_CLAIM`, or gives it free. Safe to repeat.

        Raises Refusal (NOT_ALLOWED) if another has it or it is closed.
        """
        values: Mapping[str, Any] = {"claimed_by": moderator_id, "claimed_until": now + CASE_CLAIM}
        changes: Document = {"$unset": dict.fromkeys(values, "")} if release else {"$set": values}
        query = {"_id": case_id, "status": CaseStatus.OPEN.value, **free_for(moderator_id, now)}
        row = await self._cases.find_one_and_update(query, changes, return_document=True)
        if row is None:
            raise not_free()
        return CaseRecord.from_document(row)

    async def close(
        self, target: Target, case: CaseRecord | None, moderator_id: ObjectId | None, now: datetime, session: Session
    ) -> ObjectId:
        """Closes a case; without one the target's open one, or a new one, so that a decision has a case.

        Within the transaction, and with its reports: their reporters may report the target again,
        and a TTL index deletes them in the end.
        Raises Refusal (NOT_ALLOWED) if another moderator has the case or has closed it.
        """
        which = {"_id": case.id} if case is not None else {"open_target_id": target.id}
        row = await self._cases.find_one({**which, "status": CaseStatus.OPEN.value}, session=session)
        if row is None and case is None:
            document = {**_new(target, now), "status": CaseStatus.CLOSED.value, "closed_at": now}
            del document["open_target_id"]
            await self._cases.insert_one(document, session=session)
            return ObjectId(document["_id"])
        if row is None or (moderator_id is not None and not _is_free(row, moderator_id, now)):
            raise not_free()
        values = {"status": CaseStatus.CLOSED.value, "closed_at": now}
        changes = {"$set": values, "$unset": OF_OPEN_ONES}
        await self._cases.update_one({"_id": row["_id"]}, changes, session=session)
        of_case = {"case_id": row["_id"], "expires_at": None}
        done: Document = {"$unset": {"is_open": ""}, "$set": {"expires_at": now + REPORTS_KEPT}}
        await self._reports.update_many(of_case, done, session=session)
        return ObjectId(row["_id"])


def free_for(moderator_id: ObjectId, now: datetime) -> Document:
    """A condition for cases that no other moderator has claimed."""
    return {"$or": [{"claimed_by": {"$in": [None, moderator_id]}}, {"claimed_until": {"$lte": now}}]}


def not_free() -> Refusal:
    return Refusal(UserErrorCode.NOT_ALLOWED, "Another moderator has this case, or it is closed.", field=["caseId"])


def _is_free(row: Document, moderator_id: ObjectId, now: datetime) -> bool:
    return CaseRecord.from_document(row).claimant(now) in (None, moderator_id)


def _new(target: Target, now: datetime) -> Document:
    return {
        "_id": clock.new_id(),
        "open_target_id": target.id,
        "target_type": target.type.value,
        "target_id": target.id,
        "subject_id": target.subject_id,
        "status": CaseStatus.OPEN.value,
        "created_at": now,
    }
