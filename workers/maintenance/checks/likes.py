"""The rules of likes of posts and comments."""

from datasources.mongo.client import Document
from domain.jobs import Task
from workers.maintenance.checks.check import Check
from workers.maintenance.checks.record_rules import (
    Related,
    Rule,
    add_tasks,
    delete_from,
    is_kept_tombstone,
    is_pending,
    must_exist,
    rules_check,
)


def _is_not_notified(like: Document, _related: Related) -> object:
    notified = like.get("notified")
    return not is_pending(like, Task.NOTIFY) and (notified is None or (notified and not like.get("liked")))


def _rules_of(likes: str, target: str) -> Check:
    rules = (
        must_exist("target_id", target, delete_from(likes)),
        Rule(
            name="taken_back",
            why="it was taken back, no task is pending, and nothing will remove it",
            is_broken=is_kept_tombstone,
            repair=add_tasks(likes, Task.COUNT, Task.NOTIFY),
        ),
        Rule(
            name="notified",
            why="the author was not notified of it, or not of its taking back, and that is not pending",
            is_broken=_is_not_notified,
            repair=add_tasks(likes, Task.NOTIFY),
        ),
    )
    return rules_check(likes, rules, refers_to={"target_id": target})


LIKES = (_rules_of("post_likes", "posts"), _rules_of("comment_likes", "comments"))
