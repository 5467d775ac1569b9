"""The rules of comments."""

from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Document
from datasources.sources import Sources
from domain.jobs import Task
from workers.maintenance.checks.moderated_content import COMMENT_HAS_DECISION, REMOVED_IS_HIDDEN
from workers.maintenance.checks.record_rules import (
    Related,
    Rule,
    add_tasks,
    has_nothing_pending,
    is_kept_tombstone,
    is_pending,
    must_exist,
    rules_check,
)


def _has_no_parent(reply: Document, related: Related) -> object:
    if reply.get("parent_id") is None or reply.get("deleted") or not has_nothing_pending(reply):
        return False
    parent = related.documents["comments"].get(reply.get("parent_id"))
    post = related.documents["posts"].get(reply.get("post_id"))
    if post is None or post.get("deleted"):
        return False  # the whole thread is about to go
    return parent is None or (parent.get("deleted") and not is_pending(parent, Task.CLEAN_UP))


async def _delete(sources: Sources, comment_id: ObjectId) -> None:
    await sources.comments.delete(comment_id, clock.now())


async def _erase(sources: Sources, comment_id: ObjectId) -> None:
    """Removes a comment whose post is gone, with its likes."""
    await sources.comment_likes.delete_by_target(comment_id)
    await sources.comments.delete_documents([comment_id])


_RULES = (
    must_exist("post_id", "posts", _erase),
    Rule(name="parent_id", why="what it replies to is gone", is_broken=_has_no_parent, repair=_delete),
    Rule(
        name="deleted",
        why="it is deleted, no task is pending, and nothing will remove it",
        is_broken=is_kept_tombstone,
        repair=add_tasks("comments", Task.COUNT, Task.NOTIFY, Task.CLEAN_UP),
    ),
    REMOVED_IS_HIDDEN,
    COMMENT_HAS_DECISION,
)
COMMENTS = rules_check("comments", _RULES, refers_to={"post_id": "posts", "parent_id": "comments"}, unread=["text"])
