"""Notifications that are missing: facts say that people were notified, and no notification tells of it."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

from bson import ObjectId

from datasources.jobs.outbox import add_pending
from datasources.mongo import clock
from datasources.mongo.client import Document, Session
from datasources.mongo.queries import find_by_ids
from datasources.sources import Sources
from domain.jobs import Task
from domain.records.follows import FollowState
from domain.records.notifications import NotificationKind
from workers.maintenance.checks.check import Check, Finding, by_id, from_snapshot
from workers.maintenance.checks.notifications import LIKES_OF
from workers.maintenance.checks.record_rules import add_tasks

MISSING = "notification.missing"


async def _find_missing_of_likes(
    kind: NotificationKind, sources: Sources, ids: Sequence[ObjectId], session: Session
) -> list[Finding]:
    """The posts, or comments, whose author was notified of likes by a notification that is not there."""
    likes, key = LIKES_OF[kind.value]
    notified: list[Document] = [
        {"$match": {"liked": True, "notified": True}},
        {"$limit": 1},
        {"$project": {"_id": 1}},
    ]
    lookup = {"from": likes, "localField": "_id", "foreignField": "target_id", "pipeline": notified, "as": "notified"}
    stages: list[Document] = [
        {"$match": {"_id": {"$in": list(ids)}, "deleted": {"$ne": True}}},
        {"$project": {"author_id": 1}},
        {"$lookup": lookup},
        {"$match": {"notified": {"$ne": []}}},
    ]
    targets = sources.database["posts" if key == "post_id" else "comments"]
    rows = await (await targets.aggregate(stages, session=session)).to_list()
    keys = [(row["author_id"], f"{kind.value}:{row['_id']}") for row in rows]
    standing = await sources.notifications.by_keys(keys, session)
    why = "the notification that told its author of likes is not there"
    return [
        Finding(kind=f"{MISSING}.{kind.value}", id=str(row["_id"]), expected=1, found=0, why=why)
        for row, notice_key in zip(rows, keys, strict=True)
        if notice_key not in standing
    ]


async def _notify_of_likes(kind: NotificationKind, sources: Sources, target_id: ObjectId) -> None:
    likes, _ = LIKES_OF[kind.value]
    notified = {"target_id": target_id, "liked": True, "notified": True}
    pending = add_pending([Task.NOTIFY], clock.now())
    await sources.database[likes].update_many(notified, [{"$set": {"notified": False}}, pending])


async def _find_missing_of_facts(
    collection: str, sources: Sources, ids: Sequence[ObjectId], session: Session
) -> list[Finding]:
    """The posts, comments or follows of which fewer notifications tell than were written.

    Facts whose notifying is pending are passed over, and what is deleted, hidden, or below a deleted post.
    """
    query = {"_id": {"$in": list(ids)}, "notified": {"$gt": 0}, "outbox": {"$ne": Task.NOTIFY.value}}
    shown = {"deleted": {"$ne": True}, "hidden": {"$ne": True}}
    fields = {"notified": 1, "post_id": 1, "follower_id": 1, "followee_id": 1, "state": 1, "accepted": 1}
    facts = await sources.database[collection].find({**query, **shown}, fields, session=session).to_list()
    if collection == "comments":
        post_ids = list({comment["post_id"] for comment in facts})
        posts = await find_by_ids(sources.database["posts"], post_ids, projection={"deleted": 1}, session=session)
        facts = [fact for fact in facts if fact["post_id"] in posts and not posts[fact["post_id"]]["deleted"]]
    if collection == "follows":
        numbers = await _count_of_follows(sources, facts, session)
    else:
        numbers = await _count_of_posts_or_comments(sources, collection, facts, session)
    return [
        Finding(
            kind=f"{MISSING}.{collection}",
            id=str(fact["_id"]),
            expected=fact["notified"],
            found=numbers[fact["_id"]],
            why="fewer notifications tell of it than were written",
        )
        for fact in facts
        if numbers[fact["_id"]] < fact["notified"]
    ]


async def _count_of_posts_or_comments(
    sources: Sources, collection: str, facts: Sequence[Document], session: Session
) -> Counter[ObjectId]:
    """How many notifications tell of each, but for those of its likes."""
    if not facts:
        return Counter()
    field, prefix = ("post_id", "POST") if collection == "posts" else ("comment_id", "COMMENT")
    either = [
        {"post_id": fact.get("post_id", fact["_id"]), "comment_id": None if field == "post_id" else fact["_id"]}
        for fact in facts
    ]
    keys = [f"{prefix}:{fact['_id']}" for fact in facts]
    query: Document = {"$or": either, "group_key": {"$in": keys}, "withdrawn": False}
    rows = await sources.database["notifications"].find(query, {field: 1}, session=session).to_list()
    return Counter(row[field] for row in rows)


async def _count_of_follows(sources: Sources, facts: Sequence[Document], session: Session) -> Counter[ObjectId]:
    keys = {_notification_of(fact): fact["_id"] for fact in facts}
    standing = await sources.notifications.by_keys(keys, session)
    return Counter(keys[key] for key, notification in standing.items() if not notification.withdrawn)


def _notification_of(follow: Document) -> tuple[ObjectId, str]:
    """Who is notified of a follow, and the notification's key."""
    follower, followee = follow["follower_id"], follow["followee_id"]
    if follow["state"] == FollowState.REQUESTED.value:
        return followee, f"{NotificationKind.FOLLOW_REQUESTED.value}:{follower}"
    if follow.get("accepted"):
        return follower, f"{NotificationKind.FOLLOW_ACCEPTED.value}:{followee}"
    return followee, f"{NotificationKind.FOLLOWED.value}:{follower}"


def _check_of_likes(collection: str, kind: NotificationKind) -> Check:
    return Check(
        collection=collection,
        find=from_snapshot(partial(_find_missing_of_likes, kind)),
        repairs={f"{MISSING}.{kind.value}": by_id(partial(_notify_of_likes, kind))},
    )


def _check_of_facts(collection: str) -> Check:
    return Check(
        collection=collection,
        find=from_snapshot(partial(_find_missing_of_facts, collection)),
        repairs={f"{MISSING}.{collection}": by_id(add_tasks(collection, Task.NOTIFY))},
    )


MISSING_NOTIFICATIONS = (
    _check_of_likes("posts", NotificationKind.POST_LIKED),
    _check_of_likes("comments", NotificationKind.COMMENT_LIKED),
    *map(_check_of_facts, ("posts", "comments", "follows")),  # whose documents say how many notifications tell of them
)
