"""Reports of users, posts and comments. A reporter has one open report of a target."""

from collections.abc import Sequence
from datetime import datetime

from bson import ObjectId

from datasources.jobs.outbox import mark_done, pending_fields
from datasources.jobs.queue import JobQueue
from datasources.moderation.cases import CaseStore
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.transactions import in_transaction
from domain.jobs import Fact, Task
from domain.limits import CASE_REPORTS_SHOWN
from domain.records.moderation import ReportReason, ReportRecord, Target


class ReportStore:
    """The collection `reports`; `is_open` until the case is closed."""

    def __init__(self, database: Database, job_queue: JobQueue, cases: CaseStore) -> None:
        self._reports = database["reports"]
        self._client = database.client
        self._job_queue = job_queue
        self._cases = cases

    async def report(
        self, reporter_id: ObjectId, target: Target, reason: ReportReason, note: str, now: datetime
    ) -> None:
        """Adds a report to the target's case, unless the reporter has an open one of it. Atomic, safe to repeat."""
        same = {"reporter_id": reporter_id, "target_id": target.id, "is_open": True}

        async def apply(session: Session) -> Document | None:
            if await self._reports.find_one(same, {"_id": 1}, session=session) is not None:
                return None
            return await self.add(reporter_id, target, reason, note, now, session)

        document = await in_transaction(self._client, apply)
        if document is not None:
            await self.enqueue(document)

    async def add(
        self,
        reporter_id: ObjectId | None,
        target: Target,
        reason: ReportReason,
        note: str,
        now: datetime,
        session: Session,
    ) -> Document:
        """Adds a report, of a stranger if there is no reporter, within the transaction; returns it, for `enqueue`."""
        tasks = list(self._job_queue.publishing)
        document: Document = {
            "_id": clock.new_id(),
            "case_id": await self._cases.add_report(target, reason, now, session),
            "reporter_id": reporter_id,
            "target_type": target.type.value,
            "target_id": target.id,
            "subject_id": target.subject_id,
            "reason": reason.value,
            "note": note,
            "created_at": now,
            **({} if reporter_id is None else {"is_open": True}),
            **(pending_fields(tasks, now) if tasks else {}),
        }
        await self._reports.insert_one(document, session=session)
        return document

    async def enqueue(self, document: Document) -> None:
        """Enqueues what is pending for a report, after its transaction."""
        await self._job_queue.enqueue_pending(Fact.REPORT, [document])

    async def of_case(self, case_id: ObjectId) -> list[ReportRecord]:
        """The latest `CASE_REPORTS_SHOWN` reports of a case."""
        rows = self._reports.find({"case_id": case_id}, sort=[("_id", -1)], limit=CASE_REPORTS_SHOWN)
        return [ReportRecord.from_document(row) for row in await rows.to_list()]

    async def pending(self, task: Task, ids: Sequence[ObjectId]) -> list[Document]:
        """Those of these reports for which a task is pending."""
        return await self._reports.find({"_id": {"$in": list(ids)}, "outbox": task.value}).to_list()

    async def mark_done(self, ids: Sequence[ObjectId], task: Task) -> None:
        """Removes a task from the outboxes of reports, which never change. Safe to repeat."""
        await self._reports.update_many({"_id": {"$in": list(ids)}}, mark_done(task))
