"""Reporting people and what they made to the moderators."""

from typing import Any

from datasources.mongo import clock
from domain.errors import BadInput, NotFound, Refusal, UserErrorCode
from domain.ids import from_global_id
from domain.limits import REPORT_NOTE_MAX
from domain.rate_limits import Action
from domain.records.moderation import ReportReason, ReportTargetType, Target
from domain.text import checked_text
from resolvers.root_fields import mutation
from schema.context import Info
from schema.moderation_inputs import ReportContentInput, ReportContentPayload


@mutation(
    "Reports a user, a post or a comment to the moderators. Who reports is not told to anybody else. While a report "
    "waits, reporting the same again changes nothing.",
    limited_as=Action.REPORT,
)
async def report_content(info: Info, given: ReportContentInput) -> ReportContentPayload:
    viewer_id = info.context.require_viewer()
    note = checked_text(given.note or "", "note", max_length=REPORT_NOTE_MAX)
    if given.reason is ReportReason.OTHER and not note:
        raise Refusal(UserErrorCode.INVALID_INPUT, "Say what is wrong.", field=["note"])
    target = await _visible_target(info, given.target_id)
    if target.subject_id == viewer_id:
        raise Refusal(UserErrorCode.INVALID_INPUT, "That is your own.", field=["targetId"])
    await info.context.sources.moderation.reports.report(viewer_id, target, given.reason, note, clock.now())
    return ReportContentPayload(reported=True)


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
