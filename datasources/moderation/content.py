"""What a decision changes of a post or a comment: whether others see it, whether its author does, and its label."""

from datetime import datetime
from typing import Any

from bson import ObjectId

from datasources.jobs.outbox import Stage, change, mark_done
from datasources.jobs.queue import JobQueue
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.sharded_ids import ShardedIds
from datasources.posts.cached_comments import CommentCache
from datasources.posts.cached_posts import PostCache
from datasources.redis.invalidation import InvalidatingWrites
from domain.jobs import Fact, Task
from domain.records.moderation import ModerationAction, ReportTargetType, Target
from domain.records.posts import PostStatus

_STATUSES = {
    ModerationAction.HIDE: PostStatus.HIDDEN,
    ModerationAction.REMOVE: PostStatus.REMOVED,
    ModerationAction.RESTORE: PostStatus.READY,
}
_WAS_SHOWN = {"$in": [status.value for status in _STATUSES.values()]}
_IS_SHOWN = {"$eq": ["$status", PostStatus.READY.value]}
_HELD = dict.fromkeys(("status", "hidden", "removed"), 1)
BECAUSE = "moderators"  # a hidden comment's reason


class ModeratedContent:
    """Writes of decisions to `posts` and `comments`.

    `moderated_by` is the decision that hides or removes, or of a post that is shown the one that labels it.
    `labelled_by` is the one that labels it, whether it is shown or not. Versions before know only `moderated_by`.
    """

    def __init__(
        self, database: Database, job_queue: JobQueue, posts: PostCache, comments: CommentCache, ids: ShardedIds
    ) -> None:
        self._posts = InvalidatingWrites(database["posts"], posts.invalidate)
        self._comments = InvalidatingWrites(database["comments"], comments.invalidate)
        self._job_queue = job_queue
        self._ids = ids

    async def apply(
        self,
        target: Target,
        action: ModerationAction,
        decision_id: ObjectId,
        now: datetime,
        session: Session,
        *,
        undone: ObjectId | None = None,
    ) -> tuple[Fact, Document] | None:
        """Applies a decision within the caller's transaction; returns the fact, for its jobs.

        RESTORE undoes the decision `undone`; without one it shows what is hidden or removed, which keeps its label, and
        lifts the label of what is shown. None if there is no such thing any more, or it was never shown. What follows
        (counts, notifications, feeds, files) is pending if it is shown to more or fewer people than before.
        """
        if target.type is ReportTargetType.POST:
            query = {"_id": target.id, "author_id": target.subject_id, "deleted": False, "status": _WAS_SHOWN}
            async with self._posts.invalidating([target.id], session) as posts:
                pipeline = self._of_post(action, decision_id, now, undone)
                document = await posts.find_one_and_update(query, pipeline, return_document=True, session=session)
            return None if document is None else (Fact.POST, document)
        query = {"_id": target.id, **self._ids.comments([target.id]), "deleted": False}
        async with self._comments.invalidating([target.id], session) as comments:
            pipeline = self._of_comment(action, decision_id, now)
            document = await comments.find_one_and_update(query, pipeline, return_document=True, session=session)
        return None if document is None else (Fact.COMMENT, document)

    async def hide_removed(self, comment_id: ObjectId, now: datetime) -> None:
        """Hides a comment that is removed from counts and notifications too; for repairs. Safe to repeat."""
        query = {"_id": comment_id, **self._ids.comments([comment_id]), "deleted": False, "removed": True}
        async with self._comments.invalidating([comment_id]) as comments:
            await comments.update_one(query, self._set_hidden({"hidden": True, "hidden_because": BECAUSE}, now))

    async def is_by(self, target: Target, decision_id: ObjectId, session: Session | None = None) -> bool:
        """Whether a thing is there, and is hidden, removed or labelled by this very decision."""
        either = [{"moderated_by": decision_id}, {"labelled_by": decision_id, "is_sensitive": True}]
        return await self._find(target, session, {"deleted": False, "$or": either}) is not None

    async def held(self, target: Target, session: Session) -> ModerationAction | None:
        """Whether a thing is hidden (HIDE) or removed (REMOVE); None if it is neither, or is not there."""
        row = await self._find(target, session)
        if row is None:
            return None
        if row.get("status") == PostStatus.REMOVED.value or row.get("removed"):
            return ModerationAction.REMOVE
        is_hidden = row.get("status") == PostStatus.HIDDEN.value or row.get("hidden")
        return ModerationAction.HIDE if is_hidden else None

    async def _find(self, target: Target, session: Session | None, where: Document | None = None) -> Document | None:
        query: Document = {"_id": target.id, **(where or {})}
        if target.type is ReportTargetType.POST:
            query |= {"author_id": target.subject_id}
            return await self._posts.uncached.find_one(query, _HELD, session=session)
        query |= self._ids.comments([target.id])
        return await self._comments.uncached.find_one(query, _HELD, session=session)

    def _of_post(
        self, action: ModerationAction, decision_id: ObjectId, now: datetime, undone: ObjectId | None
    ) -> list[Stage]:
        if action is ModerationAction.LABEL_SENSITIVE:
            by = {"$cond": [_IS_SHOWN, decision_id, "$moderated_by"]}  # what hides it goes on to hold
            return [{"$set": {"is_sensitive": True, "labelled_by": decision_id, "moderated_by": by}}]
        tasks = [Task.COUNT, Task.NOTIFY, Task.FAN_OUT, Task.LIST, Task.MOVE_FILES]
        if action is not ModerationAction.RESTORE:
            is_labelled = {"$and": [_IS_SHOWN, "$is_sensitive", "$moderated_by"]}
            labelled_by = {"$cond": [is_labelled, "$moderated_by", "$labelled_by"]}  # maybe by a version before
            hidden = {"status": _STATUSES[action].value, "moderated_by": decision_id, "labelled_by": labelled_by}
            return change(hidden, tasks, now, watched="status")
        again = [*self._job_queue.publishing, *self._job_queue.screening]  # its author may have edited it meanwhile
        return change(_restored(undone), [*tasks, *again], now, watched="status")

    def _of_comment(self, action: ModerationAction, decision_id: ObjectId, now: datetime) -> list[Stage]:
        is_hidden, is_removed = action is not ModerationAction.RESTORE, action is ModerationAction.REMOVE
        values: dict[str, Any] = {
            "hidden": is_hidden,
            "removed": is_removed,
            "hidden_because": BECAUSE if is_hidden else None,
            "moderated_by": decision_id if is_hidden else "$$REMOVE",
        }
        return self._set_hidden(values, now)

    def _set_hidden(self, values: Document, now: datetime) -> list[Stage]:
        tasks = [Task.COUNT, Task.NOTIFY, *self._job_queue.publishing]
        return [*change(values, tasks, now, watched="hidden"), *mark_done(Task.SCREEN)]


def _restored(undone: ObjectId | None) -> dict[str, Any]:
    """What a restored post becomes: it is shown and keeps its label, or it loses its label alone."""
    is_of_label: Any = _IS_SHOWN
    if undone is not None:
        is_of_label = {"$or": [_IS_SHOWN, {"$ne": ["$moderated_by", undone]}]}
    still_hidden = {"$cond": [_IS_SHOWN, "$$REMOVE", "$moderated_by"]}
    still_labelled = {"$cond": ["$is_sensitive", "$labelled_by", "$$REMOVE"]}
    return {
        "status": {"$cond": [is_of_label, "$status", PostStatus.READY.value]},
        "is_sensitive": {"$cond": [is_of_label, False, "$is_sensitive"]},
        "labelled_by": {"$cond": [is_of_label, "$$REMOVE", "$labelled_by"]},
        "moderated_by": {"$cond": [is_of_label, still_hidden, still_labelled]},
    }
