"""Reporting people and what they made to the moderators."""

from typing import Any

from datasources.mongo import clock
from domain.email_addresses import checked_email
from domain.errors import BadInput, NotFound, Refusal, UserErrorCode
from domain.ids import from_global_id
from domain.languages import checked_language
from domain.limits import REPORT_NOTE_MAX
from domain.mails import TokenPurpose
from domain.rate_limits import Action
from domain.records.moderation import ReportReason, ReportTargetType, Target
from domain.text import checked_text
from resolvers.mailing import expect_mails
from resolvers.rate_limits import count_use
from resolvers.root_fields import always, mutation
from schema.context import Info
from schema.moderation_inputs import ConfirmReportInput, ReportContentInput, ReportContentPayload, RequestReportInput
from schema.payloads import Payload


@mutation(
    "Reports a user, a post or a comment to the moderators. Who reports is not told to anybody else. While a report "
    "waits, reporting the same again changes nothing.",
    limited_as=Action.REPORT,
)
async def report_content(info: Info, given: ReportContentInput) -> ReportContentPayload:
    viewer_id = info.context.require_viewer()
    note, target = _checked_note(given), await _visible_target(info, given.target_id)
    if target.subject_id == viewer_id:
        raise Refusal(UserErrorCode.INVALID_INPUT, "That is your own.", field=["targetId"])
    await info.context.sources.moderation.reports.report(viewer_id, target, given.reason, note, clock.now())
    return ReportContentPayload(reported=True)


@mutation(
    "Reports a user, a post or a comment without an account: sends a mail with a token for `confirmReport`. A few "
    "mails an hour are sent to one address, which is not kept once the report is confirmed.",
    answers_bad_token=always,
)
async def request_report(info: Info, given: RequestReportInput) -> Payload:
    expect_mails(info)
    await count_use(info, Action.REPORT)
    email, note, target = checked_email(given.email), _checked_note(given), await _visible_target(info, given.target_id)
    reports = info.context.sources.moderation.strangers_reports
    await reports.begin(target, given.reason, note, email, checked_language(given.language))
    return Payload()


@mutation(
    "Confirms a report with the token of a mail, which is good once. Whoever used it may send it again for a minute.",
    answers_bad_token=always,
)
async def confirm_report(info: Info, given: ConfirmReportInput) -> ReportContentPayload:
    sources = info.context.sources
    token = await sources.mail_tokens.find(given.token, TokenPurpose.REPORT)
    if not token.used:
        await sources.moderation.strangers_reports.confirm(token, clock.now())
    return ReportContentPayload(reported=True)


def _checked_note(given: ReportContentInput) -> str:
    """The note. Raises Refusal if there is none for OTHER."""
    note = checked_text(given.note or "", "note", max_length=REPORT_NOTE_MAX)
    if given.reason is ReportReason.OTHER and not note:
        raise Refusal(UserErrorCode.INVALID_INPUT, "Say what is wrong.", field=["note"])
    return note


async def _visible_target(info: Info, global_id: str) -> Target:
    """What is reported. Raises NotFound where the viewer may not see it."""
    loaders = info.context.loaders
    kind, target_id = parse_target(global_id)
    record: Any
    match kind:
        case ReportTargetType.USER:
            record = await loaders.visible_user_by_id.load(target_id)
        case ReportTargetType.POST:
            record = await loaders.visible_post_by_id.load(target_id)
        case ReportTargetType.COMMENT:
            record = await loaders.visible_comment_by_id.load(target_id)
    if record is None:
        raise NotFound("user, post or comment", field=["targetId"])
    subject_id = record.id if kind is ReportTargetType.USER else record.author_id
    return Target(id=record.id, type=kind, subject_id=subject_id)


def parse_target(global_id: str) -> tuple[ReportTargetType, Any]:
    """The type and the id of a target. Raises NotFound for what cannot be one."""
    try:
        type_name, target_id = from_global_id(global_id)
        return ReportTargetType(type_name), target_id
    except (BadInput, ValueError):
        raise NotFound("user, post or comment", field=["targetId"]) from None
