"""Reports of users, posts and comments. A reporter has one open report of a target.

A case keeps `CASE_REPORTS_KEPT` reports, and that of screening; beyond them it only counts. Its first report has the
reported text, as it was then: its author may edit or delete it before a moderator looks. It goes with the report.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from bson import ObjectId

from datasources.jobs.outbox import mark_done, pending_fields
from datasources.jobs.queue import JobQueue
from datasources.moderation.cases import CaseStore
from datasources.moderation.reported_texts import ReportedTexts
from datasources.moderation.screening import SCREENING_ID
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.transactions import after_transaction, in_transaction
from domain.jobs import Fact, Task
from domain.limits import CASE_REPORTS_KEPT, CASE_REPORTS_SHOWN, REPORT_NOTE_MAX
from domain.records.moderation import ReportReason, ReportRecord, Target


class ReportStore:
    """The collection `reports`; `is_open` until the case is closed."""

    def __init__(self, database: Database, job_queue: JobQueue, cases: CaseStore, texts: ReportedTexts) -> None:
        self._reports = database["reports"]
        self._client = database.client
        self._job_queue = job_queue
        self._cases = cases
        self._texts = texts

    async def report(
        self, reporter_id: ObjectId, target: Target, reason: ReportReason, note: str, now: datetime
    ) -> None:
        """Adds a report to the target's case, unless the reporter has an open one of it. Atomic, safe to repeat."""

        async def apply(session: Session) -> None:
            await self.add(reporter_id, target, reason, note, now, session)

        await in_transaction(self._client, apply)

    async def report_finding(self, target: Target, finding: str, now: datetime) -> None:
        """Reports what screening found; puts it as a line before what an open report says of the target already.

        A note has `REPORT_NOTE_MAX` characters at most: the oldest findings are cut. Atomic, safe to repeat.
        """
        finding = finding[:REPORT_NOTE_MAX]
        own = {"reporter_id": SCREENING_ID, "target_id": target.id, "is_open": True}

        async def apply(session: Session) -> None:
            earlier = await self._reports.find_one(own, {"note": 1}, session=session)
            if earlier is None:
                await self.add(SCREENING_ID, target, ReportReason.OTHER, finding, now, session)
            elif finding not in earlier["note"].split("\n"):
                note = f"{finding}\n{earlier['note']}"[:REPORT_NOTE_MAX]
                await self._reports.update_one({"_id": earlier["_id"]}, {"$set": {"note": note}}, session=session)

        await in_transaction(self._client, apply)

    async def add(
        self,
        reporter_id: ObjectId,
        target: Target,
        reason: ReportReason,
        note: str,
        now: datetime,
        session: Session,
        *,
        text: str | None = None,
    ) -> None:
        """As `report`, within the caller's transaction (`in_transaction`).

        `text` is the reported text if it was read before; else the target is read now, for the first report of a case.
        """
        same = {"reporter_id": reporter_id, "target_id": target.id, "is_open": True}
        if await self._reports.find_one(same, {"_id": 1}, session=session) is not None:
            return
        case = await self._cases.add_report(target, reason, now, session)
        if case.report_count > CASE_REPORTS_KEPT and reporter_id != SCREENING_ID:
            return
        if case.report_count == 1 and text is None:
            text = await self._texts.read(target, session)
        tasks = list(self._job_queue.publishing)
        document: Document = {
            "_id": clock.new_id(),
            "case_id": case.id,
            "reporter_id": reporter_id,
            "target_type": target.type.value,
            "target_id": target.id,
            "subject_id": target.subject_id,
            "reason": reason.value,
            "note": note,
            "created_at": now,
            "is_open": True,
            **({"reported_text": text} if case.report_count == 1 and text else {}),
            **(pending_fields(tasks, now) if tasks else {}),
        }
        await self._reports.insert_one(document, session=session)
        after_transaction(session, partial(self._job_queue.enqueue_pending, Fact.REPORT, [document]))

    async def of_case(self, case_id: ObjectId) -> list[ReportRecord]:
        """The latest `CASE_REPORTS_SHOWN` reports of a case; the report of screening is always among them."""
        newest = self._reports.find({"case_id": case_id}, sort=[("_id", -1)], limit=CASE_REPORTS_SHOWN)
        rows = await newest.to_list()
        if len(rows) == CASE_REPORTS_SHOWN and all(row["reporter_id"] != SCREENING_ID for row in rows):
            screened = await self._reports.find_one({"case_id": case_id, "reporter_id": SCREENING_ID})
            rows[-1] = screened or rows[-1]
        return [ReportRecord.from_document(row) for row in rows]

    async def text_of_case(self, case_id: ObjectId) -> str:
        """The reported text as it was at the first report of a case; empty for none, and once that is deleted."""
        query = {"case_id": case_id, "reported_text": {"$exists": True}}
        row = await self._reports.find_one(query, {"reported_text": 1}, sort=[("_id", 1)])
        return "" if row is None else str(row["reported_text"])

    async def pending(self, task: Task, ids: Sequence[ObjectId]) -> list[Document]:
        """Those of these reports for which a task is pending."""
        return await self._reports.find({"_id": {"$in": list(ids)}, "outbox": task.value}).to_list()

    async def mark_done(self, ids: Sequence[ObjectId], task: Task) -> None:
        """Removes a task from the outboxes of reports; what others are told of one never changes. Safe to repeat."""
        await self._reports.update_many({"_id": {"$in": list(ids)}}, mark_done(task))
