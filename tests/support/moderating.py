"""Decisions about accounts, posts and comments, as operators and moderators make them."""

from typing import Any

from datasources.moderation.deciding import Ruling
from domain.records.comments import CommentRecord
from domain.records.moderation import (
    CaseRecord,
    DecisionRecord,
    ModerationAction,
    ReportReason,
    ReportTargetType,
    Target,
)
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, now


def about(record: UserRecord | PostRecord | CommentRecord) -> Target:
    """An account, a post or a comment as the target of a report or a decision."""
    match record:
        case UserRecord():
            return Target(id=record.id, type=ReportTargetType.USER, subject_id=record.id)
        case PostRecord():
            return Target(id=record.id, type=ReportTargetType.POST, subject_id=record.author_id)
        case CommentRecord():
            return Target(id=record.id, type=ReportTargetType.COMMENT, subject_id=record.author_id)


async def decide(
    world: World, record: UserRecord | PostRecord | CommentRecord, action: ModerationAction, **more: Any
) -> DecisionRecord:
    """A decision of an operator, or of the given moderator."""
    ruling = Ruling(target=about(record), action=action, **{"statement": "because", **more})
    return await world.sources.moderation.deciding.decide(ruling, now())


async def report(world: World, reporter: UserRecord, record: UserRecord | PostRecord | CommentRecord) -> None:
    """Somebody's report of something."""
    await world.sources.moderation.reports.report(reporter.id, about(record), ReportReason.SPAM, "!", now())


async def appeal(world: World, decision: DecisionRecord) -> CaseRecord:
    """The case of an appeal against a decision."""
    await world.sources.moderation.decisions.appeal(decision, "no", now())
    case = await world.sources.moderation.cases.open_about(decision.id)
    assert case is not None
    return case
