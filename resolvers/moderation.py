"""The work of moderators: the queue, decisions and their log; and appeals of those who are decided upon."""

import strawberry
from bson import ObjectId

from datasources.jobs.idempotency import Idempotency
from datasources.moderation.deciding import Ruling
from datasources.mongo import clock
from domain.access_scopes import AccessScope, is_allowed
from domain.errors import NotFound, Refusal, UserErrorCode
from domain.ids import expect_id
from domain.limits import REPORT_NOTE_MAX, STATEMENT_MAX
from domain.moderation import can_appeal, check_decision, check_rank
from domain.records.moderation import CaseRecord, DecisionRecord, ReportTargetType, Target
from domain.records.users import UserRecord, UserState
from domain.text import checked_text
from resolvers.reports import parse_target
from resolvers.root_fields import mutation, query
from schema.context import Context, Info
from schema.moderation import Moderation, ModeratorView
from schema.moderation_inputs import (
    AppealDecisionInput,
    AppealDecisionPayload,
    ClaimCaseInput,
    ClaimCasePayload,
    ModerateInput,
    ModeratePayload,
)


async def find_moderator(context: Context) -> UserRecord | None:
    """The viewer's account, as it is stored, if they are a moderator and not suspended.

    A personal access token without the scope is no moderator's, whichever way it comes, as by `node`.
    """
    if context.session is None or context.session.is_restricted:
        return None
    if not is_allowed(context.session.scopes, [AccessScope.MODERATE]):
        return None
    (viewer,) = await context.sources.users.readable_by_ids([context.session.user_id])
    return viewer if viewer is not None and viewer.role.moderates and not viewer.standing.restricts else None


@query(Moderation | None, "The moderators' view; null for everybody else.", scope=AccessScope.MODERATE)
async def moderation(info: Info) -> ModeratorView | None:
    return None if await find_moderator(info.context) is None else ModeratorView()


async def _moderator(info: Info) -> UserRecord:
    """The viewer. Raises Unauthenticated, and Refusal (NOT_ALLOWED) unless they are a moderator."""
    info.context.require_viewer()
    moderator = await find_moderator(info.context)
    if moderator is None:
        raise Refusal(UserErrorCode.NOT_ALLOWED, "This is for moderators.")
    return moderator


@mutation(
    "Keeps a case that the viewer may decide for a quarter of an hour, or gives it free. For moderators.",
    scope=AccessScope.MODERATE,
)
async def claim_case(info: Info, given: ClaimCaseInput) -> ClaimCasePayload:
    moderator, case = await _moderator(info), await _case(info, given.case_id)
    if not given.release:
        await _check_subject(info, moderator, case.target, has_case=True)
        await _check_appeal(info, moderator, case)
    claim = info.context.sources.moderation.cases.claim
    return ClaimCasePayload(case=await claim(case.id, moderator.id, clock.now(), release=given.release is True))


@mutation(
    "Decides about a user, a post or a comment, and closes its case. The account reads the statement; an appeal is "
    "decided by another moderator, with DISMISS or RESTORE. For moderators.",
    scope=AccessScope.MODERATE,
)
async def moderate(info: Info, given: ModerateInput) -> ModeratePayload:
    moderator, decisions = await _moderator(info), info.context.sources.moderation.decisions
    idempotency = Idempotency.of(given.idempotency_key, "moderate", strawberry.asdict(given))
    event = await decisions.made_earlier(moderator.id, idempotency)
    if event is None:
        try:
            event = await _decide(info, given, moderator, idempotency)
        except Refusal:  # perhaps because a duplicate was first and closed the case
            event = await decisions.made_earlier(moderator.id, idempotency)
            if event is None:
                raise
    return ModeratePayload(event=event)


async def _decide(
    info: Info, given: ModerateInput, moderator: UserRecord, idempotency: Idempotency | None
) -> DecisionRecord:
    now = clock.now()
    statement = checked_text(given.statement or "", "statement", max_length=STATEMENT_MAX)
    target, case = await _target(info, given)
    is_appeal = case is not None and case.appeal_of is not None
    check_decision(given.action, target.type, statement, given.until, now, is_appeal=is_appeal)
    await _check_subject(info, moderator, target, has_case=case is not None)
    if case is not None:
        await _check_appeal(info, moderator, case)
    ruling = Ruling(
        target=target,
        action=given.action,
        moderator_id=moderator.id,
        case=case,
        reason=given.reason,
        statement=statement,
        note=checked_text(given.note or "", "note", max_length=REPORT_NOTE_MAX),
        until=given.until,
        idempotency=idempotency,
    )
    return await info.context.sources.moderation.deciding.decide(ruling, now)


@mutation(
    "Appeals a decision about the viewer: once, within half a year. Another moderator looks at it. While the appeal "
    "waits, sending the same text again changes nothing.",
    while_suspended=True,
)
async def appeal_decision(info: Info, given: AppealDecisionInput) -> AppealDecisionPayload:
    viewer_id, decisions = info.context.require_viewer(), info.context.sources.moderation.decisions
    text = checked_text(given.text, "text", min_length=1, max_length=STATEMENT_MAX)
    decision_id, now = expect_id(given.decision_id, "Decision"), clock.now()
    (decision,) = [None] if decision_id is None else await decisions.readable_by_ids([decision_id])
    if decision is None or decision.subject_id != viewer_id:
        raise NotFound("decision", field=["decisionId"])
    if not can_appeal(decision, now, is_appealed=False):
        raise Refusal(UserErrorCode.NOT_ALLOWED, "This cannot be appealed any more.", field=["decisionId"])
    await decisions.appeal(decision, text, now)
    return AppealDecisionPayload(decision=decision)


async def _case(info: Info, global_id: str) -> CaseRecord:
    case_id = expect_id(global_id, "ModerationCase")
    case = None if case_id is None else await find_case(info.context, case_id)
    if case is None:
        raise NotFound("case", field=["caseId"])
    return case


async def find_case(context: Context, case_id: ObjectId) -> CaseRecord | None:
    """A case by id, as it is stored."""
    return (await context.sources.moderation.cases.readable_by_ids([case_id]))[0]


async def _target(info: Info, given: ModerateInput) -> tuple[Target, CaseRecord | None]:
    """What is decided upon, by its case if that is given. Raises Refusal unless just one is given, and NotFound."""
    if (given.target_id is None) is (given.case_id is None):
        raise Refusal(UserErrorCode.INVALID_INPUT, "Give targetId or caseId.", field=["targetId"])
    if given.case_id is not None:
        case = await _case(info, given.case_id)
        if not case.is_open:
            raise Refusal(UserErrorCode.NOT_ALLOWED, "This case is closed.", field=["caseId"])
        return case.target, case
    kind, target_id = parse_target(given.target_id or "")
    loaders = info.context.loaders
    if kind is ReportTargetType.USER:
        return Target(id=target_id, type=kind, subject_id=target_id), None
    loader = loaders.post_by_id if kind is ReportTargetType.POST else loaders.comment_by_id
    record = await loader.load(target_id)
    if record is None or record.deleted:
        raise NotFound("user, post or comment", field=["targetId"])
    return Target(id=target_id, type=kind, subject_id=record.author_id), None


async def _check_subject(info: Info, moderator: UserRecord, target: Target, *, has_case: bool) -> None:
    """Raises Refusal if the viewer may not decide about this account, and NotFound if it is deleted.

    A case that waits for the removal of what a deleted account left can be closed.
    """
    subject = await info.context.loaders.user_by_id.load(target.subject_id)
    if subject is None or (subject.state is UserState.DELETED and not has_case):
        raise NotFound("user", field=["targetId"])
    check_rank(moderator.role, subject.role, is_oneself=moderator.id == subject.id)


async def _check_appeal(info: Info, moderator: UserRecord, case: CaseRecord) -> None:
    """Raises Refusal (NOT_ALLOWED) for an appeal against the viewer's own decision."""
    if case.appeal_of is None:
        return
    (appealed,) = await info.context.sources.moderation.decisions.readable_by_ids([case.appeal_of])
    if appealed is not None and appealed.moderator_id == moderator.id:
        raise Refusal(UserErrorCode.NOT_ALLOWED, "Another moderator decides an appeal.", field=["caseId"])
