"""Inputs and payloads of reporting and moderating."""

from datetime import datetime

import strawberry

from domain import limits
from domain.records.moderation import CaseRecord, DecisionRecord
from schema.enums import ModerationAction, ReportReason
from schema.fields import plain, shown
from schema.inputs import KEY, MAIL_TOKEN
from schema.moderation import Decision, ModerationCase, ModerationEvent
from schema.payloads import Payload
from schema.text_fields import text_field


@strawberry.input
class ReportContentInput:
    target_id: strawberry.ID = plain("A user, a post or a comment that the viewer sees.")
    reason: ReportReason = plain("Why.")
    note: str | None = text_field("In words; for OTHER it is needed.", max_length=limits.REPORT_NOTE_MAX, default=None)


@strawberry.input
class RequestReportInput(ReportContentInput):
    email: str = text_field("Where the link goes that confirms the report.", max_length=limits.EMAIL_MAX)
    language: str | None = text_field(
        "Language of the mail, as a tag: `en`, `de-AT`.", max_length=limits.LANGUAGE_MAX, default=None
    )


@strawberry.input
class ConfirmReportInput:
    token: str = text_field(MAIL_TOKEN, max_length=limits.MAIL_TOKEN_MAX)


@strawberry.input
class ClaimCaseInput:
    case_id: strawberry.ID = plain("The case.")
    release: bool | None = plain("Give it free again.", default=False)


@strawberry.input
class ModerateInput:
    target_id: strawberry.ID | None = plain("What is decided upon. Give it or `caseId`.", default=None)
    case_id: strawberry.ID | None = plain("An open case; an appeal is decided by it.", default=None)
    action: ModerationAction = plain("What is decided.")
    reason: ReportReason | None = plain("Why, of those reasons that reports have.", default=None)
    statement: str | None = text_field(
        "The reasons in words, which the account reads. All but DISMISS and RESTORE need it.",
        max_length=limits.STATEMENT_MAX,
        default=None,
    )
    note: str | None = text_field("For other moderators.", max_length=limits.REPORT_NOTE_MAX, default=None)
    until: datetime | None = plain("When LIMIT or SUSPEND ends; they need it.", default=None)
    idempotency_key: strawberry.ID | None = plain(KEY, default=None)


@strawberry.input
class AppealDecisionInput:
    decision_id: strawberry.ID = plain("A decision about the viewer.")
    text: str = text_field("Why it is wrong.", max_length=limits.STATEMENT_MAX)


@strawberry.type
class ReportContentPayload(Payload):
    reported: bool | None = plain("Whether moderators will look at it.", default=None)


@strawberry.type
class ClaimCasePayload(Payload):
    case: CaseRecord | None = shown(ModerationCase, "The case, as it is now.")


@strawberry.type
class ModeratePayload(Payload):
    event: DecisionRecord | None = shown(ModerationEvent, "The decision, as it stands in the log.")


@strawberry.type
class AppealDecisionPayload(Payload):
    decision: DecisionRecord | None = shown(Decision, "The decision, as it is now.")
