"""What moderators see, and what is decided about an account as its owner sees it."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any

import strawberry
from bson import ObjectId

from datasources.mongo import clock
from domain.ids import expect_id, to_global_id
from domain.limits import CASE_REPORTS_KEPT, CASE_REPORTS_SHOWN, REPORT_NOTE_MAX, REPORTED_TEXT_MAX, STATEMENT_MAX
from domain.moderation import can_appeal
from domain.paging import PageRequest
from domain.records.moderation import CaseRecord, DecisionRecord, ReportRecord
from domain.records.users import UserRecord, UserState
from schema.comment import Comment
from schema.connection import EMPTY, Connection, ConnectionData, to_connection
from schema.context import Info
from schema.enums import CaseStatus, ModerationAction, ReportReason, ReportTargetType, Role
from schema.fields import After, Before, First, Last, computed, plain
from schema.node import Node, presents
from schema.post import Post
from schema.text_fields import text_field
from schema.user import User

NOTHING_TO_UNDO = (
    "Whether this accepts an appeal and changes nothing: the decision was a warning, or did not hold any more."
)
ReportTarget = Annotated[
    User | Post | Comment,
    strawberry.union("ReportTarget", description="What can be reported: a user, a post, a comment."),
]


async def _account(info: Info, user_id: ObjectId | None) -> UserRecord | None:
    """An account whatever its standing; None for a deleted one, whose place a pseudonym takes."""
    user = None if user_id is None else await info.context.loaders.user_by_id.load(user_id)
    return None if user is None or user.state is UserState.DELETED else user


async def _target(info: Info, kind: ReportTargetType, target_id: ObjectId) -> Any:
    """A target whoever may see it; None once it is deleted."""
    if kind is ReportTargetType.USER:
        return await _account(info, target_id)
    loaders = info.context.loaders
    found = await (loaders.post_by_id if kind is ReportTargetType.POST else loaders.comment_by_id).load(target_id)
    return None if found is None or found.deleted else found


@strawberry.type(description="Somebody's report, as moderators see it.")
class Report:
    """Presents a `ReportRecord`."""

    reason: ReportReason = plain("Why.")
    note: str = text_field("In the reporter's words; empty for none.", max_length=REPORT_NOTE_MAX)
    created_at: datetime = plain("When.")

    @computed(
        User | None,
        "Who reported it; null once their account is deleted, for people without one, and for what screening found.",
    )
    async def reporter(root: strawberry.Parent[ReportRecord], info: Info) -> UserRecord | None:
        return await _account(info, root.reporter_id)


@strawberry.type(
    description="An entry of the moderators' log, which only grows: a decision, an appeal, the end of a suspension by "
    "itself, or a role that an operator gave."
)
class ModerationEvent:
    """Presents a `DecisionRecord`."""

    action: ModerationAction = plain("What happened.")
    reason: ReportReason | None = plain("Why, of those reasons that reports have.")
    statement: str = text_field(
        "What the account was told, or what it says in its appeal; empty once it is deleted.", max_length=STATEMENT_MAX
    )
    note: str = text_field("What moderators tell each other.", max_length=REPORT_NOTE_MAX)
    until: datetime | None = plain("When a standing ends by itself.")
    role: Role | None = plain("The role that was given.")
    nothing_to_undo: bool = plain(NOTHING_TO_UNDO)
    created_at: datetime = plain("When.")

    @computed(strawberry.ID, "The global id of what it is about; of a deleted account, one that names nobody.")
    def target_id(root: strawberry.Parent[DecisionRecord]) -> strawberry.ID:
        return strawberry.ID(to_global_id(root.target_type.value, root.target_id))

    @computed(strawberry.ID | None, "The global id of its case.")
    def case_id(root: strawberry.Parent[DecisionRecord]) -> strawberry.ID | None:
        return None if root.case_id is None else strawberry.ID(to_global_id("ModerationCase", root.case_id))

    @computed(User | None, "The account that answers for it; null once it is deleted.")
    async def subject(root: strawberry.Parent[DecisionRecord], info: Info) -> UserRecord | None:
        return await _account(info, root.subject_id)

    @computed(User | None, "The moderator; null of operators, of appeals, of what happens by itself, and once deleted.")
    async def moderator(root: strawberry.Parent[DecisionRecord], info: Info) -> UserRecord | None:
        return await _account(info, root.moderator_id)


ModerationEventConnection = Connection[ModerationEvent]


@strawberry.type(description="All open reports of one user, post or comment, or one appeal. For moderators alone.")
class ModerationCase(Node):
    is_type_of = presents(CaseRecord)

    is_open: bool = plain("Whether it waits for a decision.")
    created_at: datetime = plain("When it was opened.")
    closed_at: datetime | None = plain("When it was closed.")
    report_count: int = plain(
        f"How many reports it has had. The first {CASE_REPORTS_KEPT:,} are kept, the others are only counted."
    )
    reasons: list[ReportReason] = plain("The reasons that the reports give.", max_items=len(ReportReason))
    last_reported_at: datetime | None = plain("When the latest report came.")
    appeal_text: str = text_field("What the account says in its appeal; empty for reports.", max_length=STATEMENT_MAX)
    claimed_until: datetime | None = plain("Until when the moderator who claimed it has it.")

    @computed(strawberry.ID, "The global id of what it is about; of a deleted account, one that names nobody.")
    def target_id(root: strawberry.Parent[CaseRecord]) -> strawberry.ID:
        return strawberry.ID(to_global_id(root.target_type.value, root.target_id))

    @computed(ReportTarget | None, "What it is about, whoever else may see it; null once it is deleted.")
    async def target(root: strawberry.Parent[CaseRecord], info: Info) -> Any:
        return await _target(info, root.target_type, root.target_id)

    @computed(User | None, "The account that answers for it; null once it is deleted.")
    async def subject(root: strawberry.Parent[CaseRecord], info: Info) -> UserRecord | None:
        return await _account(info, root.subject_id)

    @computed(User | None, "The moderator who works at it.")
    async def claimed_by(root: strawberry.Parent[CaseRecord], info: Info) -> UserRecord | None:
        return await _account(info, root.claimant(clock.now()))

    @computed(ModerationEvent | None, "The decision that the appeal is against; null for reports.")
    async def appealed_decision(root: strawberry.Parent[CaseRecord], info: Info) -> DecisionRecord | None:
        if root.appeal_of is None:
            return None
        return (await info.context.sources.moderation.decisions.readable_by_ids([root.appeal_of]))[0]

    @computed(
        list[Report],
        "The latest reports of those that are kept. None of those about the viewer: a moderator does not learn who has "
        "reported them.",
        max_items=CASE_REPORTS_SHOWN,
    )
    async def reports(root: strawberry.Parent[CaseRecord], info: Info) -> list[ReportRecord]:
        if root.subject_id == info.context.viewer_id:
            return []
        return await info.context.sources.moderation.reports.of_case(root.id)

    @computed(
        str,
        "The reported caption or comment, or name and biography, as it was at the first report; empty for none, for an "
        f"appeal, and once the reports are deleted. At most {REPORTED_TEXT_MAX:,} characters.",
    )
    async def reported_text(root: strawberry.Parent[CaseRecord], info: Info) -> str:
        return await info.context.sources.moderation.reports.text_of_case(root.id)


ModerationCaseConnection = Connection[ModerationCase]


class ModeratorView:
    """What the type `Moderation` presents: a moderator looks."""


Status = Annotated[CaseStatus | None, strawberry.argument(description="Open or closed ones.")]
Reason = Annotated[ReportReason | None, strawberry.argument(description="Only with this reason among the reports.")]
Kind = Annotated[ReportTargetType | None, strawberry.argument(description="Only about this type.")]
Subject = Annotated[strawberry.ID | None, strawberry.argument(description="Only about this account.")]


@strawberry.type(description="The moderators' view.")
class Moderation:
    """Presents a `ModeratorView`."""

    @computed(ModerationCaseConnection | None, "Cases, oldest first.")
    async def queue(
        root: strawberry.Parent[ModeratorView],
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        status: Status = CaseStatus.OPEN,
        reason: Reason = None,
        target_type: Kind = None,
    ) -> ConnectionData:
        request = PageRequest.of(first, after, last, before)
        find = partial(info.context.sources.moderation.cases.queue, reason=reason, kind=target_type)
        return to_connection(await find(request, status or CaseStatus.OPEN))

    @computed(ModerationEventConnection | None, "The log, latest first.")
    async def log(
        root: strawberry.Parent[ModeratorView],
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
        subject_id: Subject = None,
    ) -> ConnectionData:
        request, decisions = PageRequest.of(first, after, last, before), info.context.sources.moderation.decisions
        if subject_id is None:
            return to_connection(await decisions.log(request))
        user_id = expect_id(subject_id, "User")
        return EMPTY if user_id is None else to_connection(await decisions.log(request, subject_id=user_id))


@strawberry.type(description="What moderators decided about the viewer, with their reasons.")
class Decision(Node):
    is_type_of = presents(DecisionRecord)

    action: ModerationAction = plain("What was decided.")
    reason: ReportReason | None = plain("Why, of those reasons that reports have.")
    statement: str = text_field("The reasons in words.", max_length=STATEMENT_MAX)
    until: datetime | None = plain("When it ends by itself.")
    nothing_to_undo: bool = plain(NOTHING_TO_UNDO)
    created_at: datetime = plain("When it was decided.")

    @computed(strawberry.ID, "The global id of what it is about: the viewer's account, post or comment.")
    def target_id(root: strawberry.Parent[DecisionRecord]) -> strawberry.ID:
        return strawberry.ID(to_global_id(root.target_type.value, root.target_id))

    @computed(bool, "Whether the viewer may still appeal: once, within half a year. See appealDecision.")
    async def can_appeal(root: strawberry.Parent[DecisionRecord], info: Info) -> bool:
        appealed = await info.context.sources.moderation.decisions.appealed_among([root.id])
        return can_appeal(root, clock.now(), is_appealed=root.id in appealed)


DecisionConnection = Connection[Decision]
