"""Notifications that are missing: facts say that somebody was told of them, and the telling is not there."""

from collections import Counter
from collections.abc import Sequence

from bson import ObjectId

from datasources.jobs.outbox import add_pending
from datasources.mongo import clock
from datasources.mongo.client import Document, Session
from datasources.mongo.queries import find_by_ids
from datasources.sources import Sources
from domain.jobs import Task
from domain.records.follows import FollowState
from domain.records.notifications import NotificationKind
from workers.maintenance.checks.check import Finding
from workers.maintenance.checks.notifications import LIKES_OF

MISSING = "notification.missing"
NOTIFIED = ("posts", "comments", "follows")  # whose documents say by how many notifications they are told of


async def missing_notifications_of_likes(
    sources: Sources, kind: NotificationKind, ids: Sequence[ObjectId], session: Session
) -> list[Finding]:
    """The posts, or comments, among these of whose likes the author was told by a notification that is not there."""
    likes, key = LIKES_OF[kind.value]
    notified: list[Document] = [
        {"$match": {"liked": True, "noticed": True}},
        {"$limit": 1},
        {"$project": {"_id": 1}},
    ]
    stages: list[Document] = [
        {"$match": {"_id": {"$in": list(ids)}, "deleted": {"$ne": True}}},
        {"$project": {"author_id": 1}},
        {
            "$lookup": {
                "from": likes,
                "localField": "_id",
                "foreignField": "target_id",
                "pipeline": notified,
                "as": "notified",
            }
        },
        {"$match": {"notified": {"$ne": []}}},
    ]
    targets = sources.database["posts" if key == "post_id" else "comments"]
    found = await (await targets.aggregate(stages, session=session)).to_list()
    keys = [(one["author_id"], f"{kind.value}:{one['_id']}") for one in found]
    there = await sources.notifications.standing(keys, session)
    why = "its author was told of likes by a notification that is not there"
    return [
        Finding(kind=f"{MISSING}.{kind.value}", id=str(one["_id"]), expected=1, found=0, why=why)
        for one, notice_key in zip(found, keys, strict=True)
        if notice_key not in there
    ]


async def notify_again(kind: NotificationKind, sources: Sources, target_id: ObjectId) -> None:
    """Lets the likes of a target owe the telling of its author again, which is no news. Safe to repeat."""
    likes, _ = LIKES_OF[kind.value]
    missing = {"$set": {"noticed": False}}
    pending = add_pending([Task.NOTIFY], clock.now())
    await sources.database[likes].update_many(
        {"target_id": target_id, "liked": True, "noticed": True}, [missing, pending]
    )


async def missing_notifications_of_facts(
    sources: Sources, collection: str, ids: Sequence[ObjectId], session: Session
) -> list[Finding]:
    """The posts, comments or follows among these that are told of by fewer notifications than they say.

    A fact that owes the telling is left alone, and so is what is deleted, hidden, or below a deleted post.
    """
    query = {"_id": {"$in": list(ids)}, "notified": {"$gt": 0}, "outbox": {"$ne": Task.NOTIFY.value}}
    standing = {"deleted": {"$ne": True}, "hidden": {"$ne": True}}
    fields = {"notified": 1, "post_id": 1, "follower_id": 1, "followee_id": 1, "state": 1, "accepted": 1}
    facts = await sources.database[collection].find({**query, **standing}, fields, session=session).to_list()
    if collection == "comments":
        posts = await find_by_ids(
            sources.database["posts"],
            list({one["post_id"] for one in facts}),
            projection={"deleted": 1},
            session=session,
        )
        facts = [one for one in facts if one["post_id"] in posts and not posts[one["post_id"]]["deleted"]]
    if collection == "follows":
        there = await _of_follows(sources, facts, session)
    else:
        there = await _of_posts_and_comments(sources, collection, facts, session)
    return [
        Finding(
            kind=f"{MISSING}.{collection}",
            id=str(fact["_id"]),
            expected=fact["notified"],
            found=there[fact["_id"]],
            why="fewer notifications tell of it than have been written",
        )
        for fact in facts
        if there[fact["_id"]] < fact["notified"]
    ]


async def _of_posts_and_comments(
    sources: Sources, collection: str, facts: Sequence[Document], session: Session
) -> Counter[ObjectId]:
    """How many notifications tell of each; those of likes are told of by the likes."""
    of, prefix = ("post_id", "POST") if collection == "posts" else ("comment_id", "COMMENT")
    some = [
        {"post_id": fact.get("post_id", fact["_id"]), "comment_id": None if of == "post_id" else fact["_id"]}
        for fact in facts
    ]
    keys = [f"{prefix}:{fact['_id']}" for fact in facts]
    query: Document = {"$or": some, "group_key": {"$in": keys}, "withdrawn": False}
    rows = await sources.database["notifications"].find(query, {of: 1}, session=session).to_list() if some else []
    return Counter(row[of] for row in rows)


async def _of_follows(sources: Sources, facts: Sequence[Document], session: Session) -> Counter[ObjectId]:
    keys = {_told_of_follow(fact): fact["_id"] for fact in facts}
    found = await sources.notifications.standing(keys, session)
    return Counter(keys[key] for key, notification in found.items() if not notification.withdrawn)


def _told_of_follow(follow: Document) -> tuple[ObjectId, str]:
    """Who is told of a follow, and the key of the notification."""
    follower, followee = follow["follower_id"], follow["followee_id"]
    if follow["state"] == FollowState.REQUESTED.value:
        return followee, f"{NotificationKind.FOLLOW_REQUESTED.value}:{follower}"
    if follow.get("accepted"):
        return follower, f"{NotificationKind.FOLLOW_ACCEPTED.value}:{followee}"
    return followee, f"{NotificationKind.FOLLOWED.value}:{follower}"
