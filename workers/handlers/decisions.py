"""What follows from decisions of moderators: sessions and suspensions end, and what was removed is deleted one day."""

from bson import ObjectId

from datasources.mongo import clock
from datasources.sources import Sources
from domain.jobs import Task
from domain.limits import APPEAL_WITHIN
from domain.records.moderation import DecisionRecord, ModerationAction, ReportTargetType, Target
from domain.records.posts import PostStatus
from workers.runtime.handler import Tools


async def end_sessions(tools: Tools, key: str) -> None:
    """Ends the sessions that an account opened under another standing. Safe to run twice: it goes by what is so now."""
    sources, decision_id = tools.sources, ObjectId(key)
    for decision in await sources.moderation.decisions.pending(Task.END_SESSIONS, [decision_id]):
        await sources.moderation.deciding.end_sessions(decision.subject_id)
        await sources.moderation.decisions.mark_done([decision_id], Task.END_SESSIONS)


async def end_decision(tools: Tools, key: str) -> None:
    """Ends a suspension whose time is over, or deletes what was removed, when nobody can appeal any more.

    Nothing is deleted while an appeal is open. Safe to run twice: a standing ends once, in one transaction, and
    deleting is safe to repeat.
    """
    sources, decision_id, now = tools.sources, ObjectId(key), clock.now()
    for decision in await sources.moderation.decisions.pending(Task.END_DECISION, [decision_id]):
        if decision.action is not ModerationAction.REMOVE:
            await sources.moderation.deciding.expire(decision, now)
        elif await sources.moderation.cases.open_about(decision.id) is not None:
            await sources.moderation.decisions.postpone_end(decision.id, now + APPEAL_WITHIN)
        else:
            await _delete_removed(sources, decision)
            await sources.moderation.decisions.mark_done([decision.id], Task.END_DECISION)


async def _delete_removed(sources: Sources, decision: DecisionRecord) -> None:
    """Deletes what is still removed by this decision; a later one ends later."""
    now, target_id = clock.now(), decision.target_id
    target = Target(id=target_id, type=decision.target_type, subject_id=decision.subject_id)
    if not await sources.moderation.content.is_by(target, decision.id):
        return
    if decision.target_type is ReportTargetType.POST:
        (post,) = await sources.posts.by_ids([target_id])
        if post is not None and post.status is PostStatus.REMOVED:
            await sources.posts.delete(post.id, post.author_id, now)
        return
    (comment,) = await sources.comments.by_ids([target_id])
    if comment is not None and comment.removed:
        await sources.comments.delete(comment.id, now)
