"""A decision: the change of what it is about, the closing of its case and the entry in the log are one transaction."""

from datetime import datetime

import msgspec
from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.accounts.sessions import SessionStore
from datasources.accounts.standings import StandingStore
from datasources.jobs.idempotency import Idempotency
from datasources.jobs.queue import JobQueue
from datasources.mail.outbox import MailOutbox
from datasources.moderation.cases import CaseStore
from datasources.moderation.content import ModeratedContent
from datasources.moderation.decisions import DecisionStore
from datasources.mongo import clock
from datasources.mongo.client import Client, Document, Session
from datasources.mongo.transactions import in_transaction
from domain.errors import NotFound
from domain.jobs import Fact, Task
from domain.limits import REMOVED_KEPT
from domain.mails import MailKind
from domain.moderation import APPEALABLE, MADE_BY, STANDINGS, TOLD, check_transition
from domain.records.moderation import (
    CaseRecord,
    DecisionRecord,
    ModerationAction,
    ReportReason,
    ReportTargetType,
    Target,
)
from domain.records.users import AccountStanding, Role, UserState

_CHANGES_CONTENT = {
    ModerationAction.LABEL_SENSITIVE,
    ModerationAction.HIDE,
    ModerationAction.REMOVE,
    ModerationAction.RESTORE,
}
_TOLD_TO_OTHERS = {ModerationAction.SUSPEND, ModerationAction.BAN}
Changed = tuple[Fact, Document]


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be decided, checked already: by an operator, if there is no moderator. An appeal has its `case`."""

    target: Target
    action: ModerationAction
    moderator_id: ObjectId | None = None
    case: CaseRecord | None = None
    reason: ReportReason | None = None
    statement: str = ""
    note: str = ""
    until: datetime | None = None
    idempotency: Idempotency | None = None


class Deciding:
    """Decisions of moderators and operators, and their ends."""

    def __init__(
        self,
        client: Client,
        job_queue: JobQueue,
        standings: StandingStore,
        sessions: SessionStore,
        content: ModeratedContent,
        cases: CaseStore,
        decisions: DecisionStore,
        mails: MailOutbox,
    ) -> None:
        self._client = client
        self._job_queue = job_queue
        self._standings = standings
        self._sessions = sessions
        self._content = content
        self._cases = cases
        self._decisions = decisions
        self._mails = mails

    async def decide(self, ruling: Ruling, now: datetime) -> DecisionRecord:
        """Carries out a decision. Raises NotFound if what it is about is gone.

        Raises Refusal if another moderator has its case (NOT_ALLOWED), or something stronger holds (STRONGER_DECISION).
        Atomic; a mail tells the account the reasons. Sessions of an account that is suspended, or no longer, have ended
        when it returns. An appeal that is accepted undoes its decision, and changes nothing if that does not hold.
        """
        decision = DecisionRecord(
            id=clock.new_id(),
            action=ruling.action,
            target_type=ruling.target.type,
            target_id=ruling.target.id,
            subject_id=ruling.target.subject_id,
            moderator_id=ruling.moderator_id,
            reason=ruling.reason,
            statement=ruling.statement,
            note=ruling.note,
            until=ruling.until,
            created_at=now,
        )

        async def apply(session: Session) -> tuple[DecisionRecord, list[Changed]]:
            is_moot = await self._is_moot(ruling, session)
            changed = [] if is_moot else await self._apply(decision, session, _appealed(ruling))
            case_id = await self._cases.close(ruling.target, ruling.case, ruling.moderator_id, now, session)
            made = msgspec.structs.replace(decision, case_id=case_id, nothing_to_undo=is_moot)
            tasks = [Task.END_SESSIONS] if _changes_standing(decision) and not is_moot else []
            if decision.action in TOLD:
                tasks.append(Task.NOTIFY)
            if decision.action in _TOLD_TO_OTHERS:
                tasks += self._job_queue.publishing
            entry = await self._decisions.add(
                made, session, tasks, ends_at=_end(decision), idempotency=ruling.idempotency
            )
            if (kind := _mail_about(ruling, is_moot=is_moot)) is not None:
                values, to = {"statement": decision.statement}, decision.subject_id
                await self._mails.add(kind, user_id=to, values=values, session=session)
            return made, [*changed, (Fact.DECISION, entry)]

        try:
            made, changed = await in_transaction(self._client, apply)
        except DuplicateKeyError:  # a duplicate with the same key was first
            earlier = None
            if ruling.moderator_id is not None:
                earlier = await self._decisions.made_earlier(ruling.moderator_id, ruling.idempotency)
            if earlier is None:
                raise
            return earlier
        await self._finish(made, changed)
        return made

    async def expire(self, decision: DecisionRecord, now: datetime) -> None:
        """Ends a suspension or limitation whose time is over, unless a later decision holds. Atomic, safe to repeat."""
        entry = DecisionRecord(
            id=clock.new_id(),
            action=ModerationAction.EXPIRE,
            case_id=decision.case_id,
            target_type=decision.target_type,
            target_id=decision.target_id,
            subject_id=decision.subject_id,
            created_at=now,
        )

        async def apply(session: Session) -> list[Changed]:
            await self._decisions.mark_done([decision.id], Task.END_DECISION, session)
            if not await self._standings.is_by(decision.subject_id, decision.id, session):
                return []
            standing = AccountStanding.GOOD
            user = await self._standings.set(decision.subject_id, standing, now, session, by=entry.id)
            added = await self._decisions.add(entry, session, [Task.END_SESSIONS])
            return [(Fact.DECISION, added), *([] if user is None else [(Fact.USER, user)])]

        changed = await in_transaction(self._client, apply)
        if changed:
            await self._finish(entry, changed)

    async def set_role(self, user_id: ObjectId, role: Role, now: datetime) -> bool:
        """Gives an account a role, with an entry in the log. Atomic. False if the account is deleted."""
        entry = DecisionRecord(
            id=clock.new_id(),
            action=ModerationAction.SET_ROLE,
            target_type=ReportTargetType.USER,
            target_id=user_id,
            subject_id=user_id,
            role=role,
            created_at=now,
        )

        async def apply(session: Session) -> bool:
            is_set = await self._standings.set_role(user_id, role, session)
            if is_set:
                await self._decisions.add(entry, session)
            return is_set

        return await in_transaction(self._client, apply)

    async def end_sessions(self, user_id: ObjectId) -> None:
        """Ends the sessions of an account that were opened under another standing. Safe to repeat."""
        state = await self._standings.state(user_id)
        if state is not None:
            await self._sessions.end_outdated(user_id, is_restricted=state is UserState.SUSPENDED)

    async def _is_moot(self, ruling: Ruling, session: Session) -> bool:
        """Whether this accepts an appeal against what no longer holds."""
        appeal_of = _appealed(ruling)
        if appeal_of is None or ruling.action is not ModerationAction.RESTORE:
            return False
        if ruling.target.type is ReportTargetType.USER:
            return not await self._standings.is_by(ruling.target.subject_id, appeal_of, session)
        return not await self._content.is_by(ruling.target, appeal_of, session)

    async def _apply(self, decision: DecisionRecord, session: Session, undone: ObjectId | None) -> list[Changed]:
        target = Target(id=decision.target_id, type=decision.target_type, subject_id=decision.subject_id)
        changed: Changed | None = None
        await self._check_transition(decision, target, session)
        if _changes_standing(decision):
            standing, now = STANDINGS[decision.action], decision.created_at
            user = await self._standings.set(target.id, standing, now, session, by=decision.id, until=decision.until)
            changed = None if user is None else (Fact.USER, user)
        elif target.type is not ReportTargetType.USER and decision.action in _CHANGES_CONTENT:
            action, now = decision.action, decision.created_at
            changed = await self._content.apply(target, action, decision.id, now, session, undone=undone)
        else:
            return []
        if changed is None:
            raise NotFound(target.type.lower(), field=["targetId"])
        return [changed]

    async def _check_transition(self, decision: DecisionRecord, target: Target, session: Session) -> None:
        """Raises Refusal if what holds is stronger. It is read in the transaction, which then writes what was read."""
        held: ModerationAction | None
        if target.type is ReportTargetType.USER:
            standing, until = await self._standings.held(target.id, session)
            held = MADE_BY.get(standing)
        else:
            held, until = await self._content.held(target, session), None
        check_transition(decision.action, decision.until, held, until, decision.created_at)

    async def _finish(self, decision: DecisionRecord, changed: list[Changed]) -> None:
        for fact, document in changed:
            await self._job_queue.enqueue_pending(fact, [document])
        if decision.target_type is ReportTargetType.USER:
            await self.end_sessions(decision.subject_id)


def _appealed(ruling: Ruling) -> ObjectId | None:
    """The decision that an appeal is against."""
    return None if ruling.case is None else ruling.case.appeal_of


def _mail_about(ruling: Ruling, *, is_moot: bool) -> MailKind | None:
    if _appealed(ruling) is not None:
        accepted = MailKind.APPEAL_MOOT if is_moot else MailKind.APPEAL_ACCEPTED
        return accepted if ruling.action is ModerationAction.RESTORE else MailKind.APPEAL_REFUSED
    return MailKind.DECIDED if ruling.action in APPEALABLE else None


def _changes_standing(decision: DecisionRecord) -> bool:
    return decision.target_type is ReportTargetType.USER and decision.action in STANDINGS


def _end(decision: DecisionRecord) -> datetime | None:
    """When something is to happen by itself: a standing ends, or what was removed is deleted."""
    return decision.created_at + REMOVED_KEPT if decision.action is ModerationAction.REMOVE else decision.until
