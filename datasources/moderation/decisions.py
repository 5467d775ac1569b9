"""The append-only log of what moderators decided, of appeals, and of roles given."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.jobs.idempotency import Idempotency, find_earlier
from datasources.jobs.outbox import add_pending, mark_done, pending_fields
from datasources.jobs.queue import JobQueue
from datasources.moderation.cases import CaseStore
from datasources.mongo import clock
from datasources.mongo.batched_operations import BatchedReads
from datasources.mongo.client import Database, Document, Readable, Session
from datasources.mongo.pages import find_page
from datasources.mongo.queries import find_ids
from datasources.mongo.transactions import in_transaction
from domain.errors import Refusal, UserErrorCode
from domain.jobs import Fact, Task
from domain.moderation import TOLD
from domain.paging import Page, PageRequest, cut_page
from domain.records.moderation import DecisionRecord, ModerationAction


class DecisionStore(BatchedReads[DecisionRecord]):
    """The collection `decisions`. An entry never changes, but for its outbox and the pseudonyms of deleted accounts."""

    def __init__(self, database: Database, job_queue: JobQueue, cases: CaseStore) -> None:
        super().__init__(database["decisions"], DecisionRecord)
        self._decisions = database["decisions"]
        self._readable_decisions: Readable = database["decisions"]
        self._client = database.client
        self._job_queue = job_queue
        self._cases = cases

    async def add(
        self,
        decision: DecisionRecord,
        session: Session,
        tasks: Sequence[Task] = (),
        *,
        ends_at: datetime | None = None,
        idempotency: Idempotency | None = None,
    ) -> Document:
        """Appends an entry with pending tasks, within the caller's transaction; returns it, for `enqueue`."""
        pending = pending_fields(tasks, decision.created_at) if tasks else {}
        key = idempotency.fields() if idempotency else {}
        fields = {name: value for name, value in decision.to_document().items() if value is not None}
        document = {**fields, **pending, **key, **({} if ends_at is None else {"ends_at": ends_at})}
        await self._decisions.insert_one(document, session=session)
        return document

    async def enqueue(self, document: Document) -> None:
        """Enqueues what is pending for an entry, after its transaction."""
        await self._job_queue.enqueue_pending(Fact.DECISION, [document])

    async def made_earlier(self, moderator_id: ObjectId, idempotency: Idempotency | None) -> DecisionRecord | None:
        """The decision that an earlier call with this key made. Raises Refusal if that had other input."""
        row = await find_earlier(self._readable_decisions, "moderator_id", moderator_id, idempotency)
        return None if row is None else DecisionRecord.from_document(row)

    async def appeal(self, decision: DecisionRecord, text: str, now: datetime) -> None:
        """Opens a case of an appeal. Atomic, and safe to repeat with the same text while the case is open.

        Raises Refusal (NOT_ALLOWED) for any other second appeal.
        """

        async def apply(session: Session) -> None:
            case_id = await self._cases.add_appeal(decision, text, now, session)
            entry = DecisionRecord(
                id=clock.new_id(),
                action=ModerationAction.APPEAL,
                case_id=case_id,
                target_type=decision.target_type,
                target_id=decision.target_id,
                subject_id=decision.subject_id,
                statement=text,
                appeal_of=decision.id,
                created_at=now,
            )
            await self.add(entry, session)

        try:
            await in_transaction(self._client, apply)
        except DuplicateKeyError:
            case = await self._cases.open_about(decision.id)
            if case is not None and case.appeal_text == text:
                return
            raise Refusal(UserErrorCode.NOT_ALLOWED, "A decision is appealed once.", field=["decisionId"]) from None

    async def appealed_among(self, ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Those of these decisions that were appealed."""
        rows = await self._readable_decisions.find({"appeal_of": {"$in": list(ids)}}, {"appeal_of": 1}).to_list()
        return {row["appeal_of"] for row in rows}

    async def about(self, subject_id: ObjectId, request: PageRequest) -> Page[DecisionRecord]:
        """The decisions that an account is told of, latest first."""
        return await self._page({"subject_id": subject_id, "action": {"$in": sorted(TOLD)}}, request)

    async def log(self, request: PageRequest, **query: ObjectId) -> Page[DecisionRecord]:
        """All entries, or those about one account (`subject_id`) or one target (`target_id`), latest first."""
        return await self._page(dict(query), request)

    async def pending(self, task: Task, ids: Sequence[ObjectId]) -> list[DecisionRecord]:
        """Those of these entries for which a task is pending."""
        rows = await self._readable_decisions.find({"_id": {"$in": list(ids)}, "outbox": task.value}).to_list()
        return [DecisionRecord.from_document(row) for row in rows]

    async def mark_done(self, ids: Sequence[ObjectId], task: Task, session: Session | None = None) -> None:
        """Removes a task from the outboxes of entries. Safe to repeat."""
        await self._decisions.update_many({"_id": {"$in": list(ids)}}, mark_done(task), session=session)

    async def postpone_end(self, decision_id: ObjectId, until: datetime) -> None:
        """Has a decision end later. Safe to repeat."""
        changes = [{"$set": {"ends_at": until}}, *mark_done(Task.END_DECISION)]
        await self._decisions.update_one({"_id": decision_id}, changes)

    async def enqueue_due(self, now: datetime, limit: int) -> None:
        """Makes END_DECISION pending for up to `limit` decisions whose end has come. Safe to repeat, side by side."""
        due: dict[str, Any] = {"ends_at": {"$lte": now}}
        ids = await find_ids(self._readable_decisions, due, sort=[("ends_at", 1)], limit=limit)
        if ids:
            pipeline = [add_pending([Task.END_DECISION], now), {"$unset": "ends_at"}]
            await self._decisions.update_many({"_id": {"$in": ids}, **due}, pipeline)

    async def _page(self, query: Document, request: PageRequest) -> Page[DecisionRecord]:
        rows = await find_page(self._readable_decisions, query, request.expects(ObjectId))
        return cut_page(request, [(row["_id"], DecisionRecord.from_document(row)) for row in rows])
