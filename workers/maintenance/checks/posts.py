"""The rules of posts."""

from datasources.mongo.client import Document
from datasources.s3.keys import is_public
from domain.jobs import Task
from domain.records.posts import PostStatus
from domain.records.users import UserState
from workers.maintenance.checks.moderated_content import POST_HAS_DECISION
from workers.maintenance.checks.record_rules import (
    Related,
    Rule,
    add_tasks,
    is_pending,
    must_exist,
    must_have_pending,
    rules_check,
)


def _is_shown(post: Document) -> bool:
    return post.get("status") == PostStatus.READY.value and not post.get("deleted")


def _has_no_images(post: Document, _related: Related) -> object:
    return _is_shown(post) and not post.get("images")


def _is_not_cleaned_up(post: Document, _related: Related) -> object:
    return post.get("deleted") and not is_pending(post, Task.CLEAN_UP) and "expires_at" not in post


def _is_in_the_wrong_area(post: Document, related: Related) -> object:
    """Whether a file of a post with images is not where it belongs (see `domain.visibility.area_of`)."""
    author = related.account(post.get("author_id"))
    is_moving = is_pending(post, Task.MOVE_FILES) or is_pending(author, Task.MOVE_FILES)
    if author is None or post.get("deleted") or not post.get("images") or is_moving:
        return False
    is_open = _is_shown(post) and not author.get("is_private") and author.get("state") == UserState.ACTIVE.value
    renditions = [rendition for image in post["images"] for rendition in image["renditions"]]
    return any(is_public(rendition["key"]) is not is_open for rendition in renditions)


_RULES = (
    must_exist("author_id", "users"),
    Rule(
        name="processing",
        why="its images are awaited, and no task for that is pending",
        is_broken=must_have_pending(PostStatus.PROCESSING.value, Task.COMPLETE_POST),
        repair=add_tasks("posts", Task.COMPLETE_POST),
    ),
    Rule(name="empty", why="it is ready and has no images", is_broken=_has_no_images),
    Rule(
        name="deleted",
        why="it is deleted, and the cleaning up is not pending",
        is_broken=_is_not_cleaned_up,
        repair=add_tasks("posts", Task.COUNT, Task.NOTIFY, Task.FAN_OUT, Task.LIST, Task.CLEAN_UP),
    ),
    Rule(
        name="area",
        why="strangers can fetch its files and not see it, or see it and not fetch its files",
        is_broken=_is_in_the_wrong_area,
        repair=add_tasks("posts", Task.MOVE_FILES),
    ),
    POST_HAS_DECISION,
)
POSTS = rules_check(
    "posts",
    _RULES,
    refers_to={"author_id": "users"},
    unread=["caption", "image_inputs", "images.renditions.format"],
)
