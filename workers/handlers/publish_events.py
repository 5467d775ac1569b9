"""Others are told what happened: public events go to each sink that the settings name (docs/events.md).

Each handler is safe to run twice, also side by side: the events are computed from the facts as they are now, with ids
made of the fact and the number of its change, so a repetition has the id of the first. A fact that changes meanwhile
stays pending. What is pending for a sink that the settings no longer name is marked done, and nothing is sent.
"""

from collections.abc import Collection, Sequence
from functools import partial

from bson import ObjectId

from datasources.mongo import clock
from datasources.sources import Sources
from domain.events import (
    Event,
    comment_event,
    deletion_event,
    follow_event,
    like_event,
    post_event,
    report_event,
    suspension_event,
)
from domain.jobs import Fact, Task
from domain.records.comments import CommentRecord
from domain.records.follows import FollowState
from domain.records.moderation import ReportReason, ReportTargetType, Target
from domain.records.posts import PostRecord, PostStatus
from domain.records.users import UserState
from workers.handlers.apply_in_chunks import MAX_FACTS
from workers.handlers.event_content import with_content
from workers.runtime.handler import HandlerFunction, RetryLater, Tools


async def _publish_likes(task: Task, target_type: str, tools: Tools, *keys: str) -> Collection[str]:
    """Tells who likes a target and who no longer does."""
    likes = tools.sources.post_likes if target_type == "Post" else tools.sources.comment_likes
    pending = await likes.pending_events(task, [ObjectId(key) for key in keys], MAX_FACTS)
    events = [
        like_event(
            target_type,
            like["_id"],
            like["target_id"],
            like["user_id"],
            like["version"],
            liked=like["liked"],
            at=like.get("changed_at") or clock.now(),
        )
        for like in pending
    ]
    await _send(tools.sources, task, events)
    await likes.set_published(pending, task)
    return keys if len(pending) == MAX_FACTS else ()


async def _publish_follows(task: Task, tools: Tools, *keys: str) -> None:
    """Tells who follows whom and who no longer does; nothing of requests."""
    follows = await tools.sources.follows.pending(task, [ObjectId(key) for key in keys])
    events = [
        follow_event(
            follow.id,
            follow.follower_id,
            follow.followee_id,
            follow.sequence,
            stands=follow.state is FollowState.FOLLOWING,
            at=follow.changed_at or clock.now(),
        )
        for follow in follows
        if follow.state is FollowState.FOLLOWING or follow.has_stood  # older versions make it pending for requests
    ]
    await _send(tools.sources, task, events)
    await tools.sources.follows.mark_done(follows, task)


async def _publish_posts(task: Task, tools: Tools, *keys: str) -> None:
    """Tells of posts that are published, and of the deletion of those that were."""
    sources = tools.sources
    documents = await sources.posts.pending(task, [ObjectId(key) for key in keys])
    events = [
        post_event(post, document.get("changed_at") or clock.now())
        for document in documents
        if _was_published(post := PostRecord.from_document(document))
    ]
    await _send(sources, task, events)
    await sources.posts.mark_all_done(documents, task)


def _was_published(post: PostRecord) -> bool:
    """Whether to tell of a post. Of one that moderators have hidden only its deletion is told."""
    return post.status is PostStatus.READY or (post.deleted and post.status in (PostStatus.HIDDEN, PostStatus.REMOVED))


async def _publish_comments(task: Task, tools: Tools, *keys: str) -> None:
    """Tells of comments that are shown or no longer; a new one is told once it is screened."""
    sources = tools.sources
    pending = await sources.comments.pending(task, [ObjectId(key) for key in keys])
    documents = [document for document in pending if not _waits_for_screen(document)]
    events = [
        comment_event(
            CommentRecord.from_document(document),
            document.get("version", 0),
            document.get("changed_at") or clock.now(),
        )
        for document in documents
    ]
    await _send(sources, task, events)
    await sources.comments.mark_done(documents, task)
    if len(documents) < len(pending):
        raise RetryLater


async def _publish_accounts(task: Task, tools: Tools, *keys: str) -> None:
    """Tells of deleted accounts."""
    users = await tools.sources.users.pending_events(task, [ObjectId(key) for key in keys])
    deleted = [user for user in users if user["state"] == UserState.DELETED.value]
    await _send(
        tools.sources, task, [deletion_event(user["_id"], user.get("changed_at") or clock.now()) for user in deleted]
    )
    await tools.sources.users.set_published([user["_id"] for user in users], task)


async def _publish_reports(task: Task, tools: Tools, *keys: str) -> None:
    """Tells of reports, which never change."""
    reports = await tools.sources.moderation.reports.pending(task, [ObjectId(key) for key in keys])
    events = [
        report_event(
            report["_id"],
            Target(
                id=report["target_id"], type=ReportTargetType(report["target_type"]), subject_id=report["subject_id"]
            ),
            ReportReason(report["reason"]),
            report["created_at"],
        )
        for report in reports
    ]
    await _send(tools.sources, task, events)
    await tools.sources.moderation.reports.mark_done([report["_id"] for report in reports], task)


async def _publish_decisions(task: Task, tools: Tools, *keys: str) -> None:
    """Tells of suspended accounts."""
    decisions = await tools.sources.moderation.decisions.pending(task, [ObjectId(key) for key in keys])
    await _send(tools.sources, task, [suspension_event(decision) for decision in decisions])
    await tools.sources.moderation.decisions.mark_done([decision.id for decision in decisions], task)


def publishing(task: Task) -> dict[tuple[Task, Fact], HandlerFunction]:
    """The handlers that fill the sink of a task."""
    return {
        (task, Fact.POST_LIKE): partial(_publish_likes, task, "Post"),
        (task, Fact.COMMENT_LIKE): partial(_publish_likes, task, "Comment"),
        (task, Fact.COMMENT): partial(_publish_comments, task),
        (task, Fact.FOLLOW): partial(_publish_follows, task),
        (task, Fact.POST): partial(_publish_posts, task),
        (task, Fact.USER): partial(_publish_accounts, task),
        (task, Fact.REPORT): partial(_publish_reports, task),
        (task, Fact.DECISION): partial(_publish_decisions, task),
    }


async def _send(sources: Sources, task: Task, events: Sequence[Event]) -> None:
    sink = sources.event_sinks.get(task)
    if sink is not None and events:
        await sink.send(await with_content(sources, events))


def _waits_for_screen(comment: dict[str, object]) -> bool:
    """Whether a shown comment has yet to be screened; one whose screening keeps failing stays shown."""
    outbox, dead = comment.get("outbox", ()), comment.get("dead_lettered", ())
    waits = Task.SCREEN.value in outbox and Task.SCREEN.value not in dead  # type: ignore[operator]
    return waits and not comment["deleted"]
