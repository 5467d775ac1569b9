"""Notifications against facts, and the numbering of each recipient's log."""

import itertools
from collections.abc import Sequence

import msgspec
from bson import ObjectId

from datasources.jobs.outbox import add_pending
from datasources.mongo import clock
from datasources.mongo.client import Document, Session
from datasources.mongo.queries import find_by_ids
from datasources.mongo.transactions import in_transaction
from datasources.notifications.notifications import Notice
from datasources.sources import Sources
from domain.jobs import Task
from domain.limits import ACTORS_SHOWN
from domain.records.follows import FollowState
from domain.records.notifications import NotificationKind, NotificationRecord
from domain.records.users import UserState
from workers.maintenance.checks.check import Finding

ACTORS = "notification.actor_count"
STANDING = "notification.withdrawn"
NUMBERS = "inbox.last_seq"
REPEATED = "inbox.seqs"

LIKES_OF = {"POST_LIKED": ("post_likes", "post_id"), "COMMENT_LIKED": ("comment_likes", "comment_id")}
_NAMING = {"MENTIONED", "TAGGED"}
_FOLLOWS = {"FOLLOWED", "FOLLOW_REQUESTED", "FOLLOW_ACCEPTED"}


class Facts(msgspec.Struct, frozen=True):
    """What some notifications are about, by id; follows by (follower, followee); who of those named left."""

    posts: dict[ObjectId, Document]
    comments: dict[ObjectId, Document]
    follows: dict[tuple[ObjectId, ObjectId], Document]
    left: set[ObjectId]


async def wrong_notifications(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The notifications among these that name another number of people than the likes say, or should be withdrawn."""
    notices = list((await find_by_ids(sources.database["notifications"], ids, session=session)).values())
    facts = await _facts(sources, notices, session)
    findings = await _wrong_actors(sources, notices, facts, session)
    for notice in notices:
        if not notice["withdrawn"] and not _stands(notice, facts):
            why = f"{notice['kind']} tells of what is no more"
            findings.append(Finding(kind=STANDING, id=str(notice["_id"]), expected=True, found=False, why=why))
    return findings


async def _facts(sources: Sources, notices: Sequence[Document], session: Session) -> Facts:
    database = sources.database
    about = {name: {one[name] for one in notices if one.get(name)} for name in ("post_id", "comment_id")}
    pairs = {_pair(one) for one in notices if one["kind"] in _FOLLOWS and one["actor_ids"]}
    either = [{"follower_id": follower, "followee_id": followee} for follower, followee in pairs]
    follows = await database["follows"].find({"$or": either}, session=session).to_list() if either else []
    named = {one["recipient_id"] for one in notices if _is_naming(one)}
    gone = {"_id": {"$in": list(named)}, "state": UserState.DELETED.value}
    left = await database["users"].find(gone, {"_id": 1}, session=session).to_list() if named else []
    return Facts(
        await find_by_ids(database["posts"], list(about["post_id"]), session=session),
        await find_by_ids(database["comments"], list(about["comment_id"]), session=session),
        {(follow["follower_id"], follow["followee_id"]): follow for follow in follows},
        {account["_id"] for account in left},
    )


async def _wrong_actors(sources: Sources, notices: Sequence[Document], facts: Facts, session: Session) -> list[Finding]:
    findings = []
    for kind, (collection, key) in LIKES_OF.items():
        grouped = [one for one in notices if one["kind"] == kind and _lives(one, facts)]
        targets = [one[key] for one in grouped]
        pipeline: list[Document] = [
            {"$match": {"target_id": {"$in": targets}, "noticed": True}},
            {"$group": {"_id": "$target_id", "noticed": {"$sum": 1}}},
        ]
        rows = await sources.database[collection].aggregate(pipeline, session=session)
        noticed = {row["_id"]: row["noticed"] async for row in rows}
        for one in grouped:
            due, there = noticed.get(one[key], 0), one["actor_count"]
            if due != there:
                why = f"{kind} counts other people than the likes it was told of"
                findings.append(Finding(kind=ACTORS, id=str(one["_id"]), expected=due, found=there, why=why))
    return findings


def _lives(notice: Document, facts: Facts) -> bool:
    """Whether what it is about is there: what is deleted is being cleaned away, in no particular order."""
    post, comment = facts.posts.get(notice["post_id"]), facts.comments.get(notice["comment_id"])
    if post is None or post["deleted"]:
        return False
    return notice["comment_id"] is None or (comment is not None and not comment["deleted"])


def _stands(notice: Document, facts: Facts) -> bool:
    """Whether a notification may stand: its facts say so, or still owe the notifying that may take it back."""
    if notice["kind"] in _FOLLOWS:
        follow = facts.follows.get(_pair(notice)) if notice["actor_ids"] else None
        return follow is not None and (_is_pending(follow) or _says(follow, notice["kind"]))
    post, comment = facts.posts.get(notice["post_id"]), facts.comments.get(notice["comment_id"])
    hidden = comment is not None and comment.get("hidden") and comment["author_id"] != notice["recipient_id"]
    is_named = notice["recipient_id"] in facts.left or _names(post, notice)  # the log of who left goes as a whole
    if notice["post_id"] is None or (_lives(notice, facts) and not hidden and is_named):
        return True
    return (post is not None and _is_pending(post)) or (comment is not None and _is_pending(comment))


def _is_naming(notice: Document) -> bool:
    """Whether it tells that somebody is mentioned or tagged in a post itself."""
    return notice["kind"] in _NAMING and notice["comment_id"] is None


def _names(post: Document | None, notice: Document) -> bool:
    """Whether the post names whom it is said to name; an edit, or the tagged person, may have ended that."""
    if post is None or not _is_naming(notice):
        return True
    tagged = [tag["user_id"] for image in post.get("images", ()) for tag in image.get("tagged_users", ())]
    return notice["recipient_id"] in (*post.get("mention_ids", ()), *tagged)


def _says(follow: Document, kind: str) -> bool:
    follows, accepted = follow["state"] == FollowState.FOLLOWING.value, bool(follow.get("accepted"))
    match kind:
        case "FOLLOW_REQUESTED":
            return bool(follow["state"] == FollowState.REQUESTED.value)
        case "FOLLOW_ACCEPTED":
            return follows and accepted
        case _:
            return follows and not accepted


def _is_pending(fact: Document) -> bool:
    return Task.NOTIFY.value in fact.get("outbox", ())


def _pair(notice: Document) -> tuple[ObjectId, ObjectId]:
    actor_id, recipient_id = notice["actor_ids"][0], notice["recipient_id"]
    return (recipient_id, actor_id) if notice["kind"] == "FOLLOW_ACCEPTED" else (actor_id, recipient_id)


async def wrong_inboxes(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The recipients among these whose log has a number twice, or one that the inbox has not given out."""
    inboxes = await find_by_ids(sources.database["inboxes"], ids, session=session)
    pipeline: list[Document] = [
        {"$match": {"recipient_id": {"$in": list(ids)}}},
        {
            "$group": {
                "_id": "$recipient_id",
                "last": {"$max": "$seq"},
                "all": {"$sum": 1},
                "seqs": {"$addToSet": "$seq"},
            }
        },
        {"$project": {"last": 1, "all": 1, "distinct": {"$size": "$seqs"}}},
    ]
    rows = await sources.database["notifications"].aggregate(pipeline, session=session, allowDiskUse=True)
    findings = []
    async for row in rows:
        given = inboxes.get(row["_id"], {}).get("last_seq", 0)
        if given < row["last"]:
            why = "the log has a number that the inbox has not given out"
            findings.append(Finding(kind=NUMBERS, id=str(row["_id"]), expected=row["last"], found=given, why=why))
        if row["distinct"] != row["all"]:
            why = "two notifications of the log have one number"
            found = row["distinct"]
            findings.append(Finding(kind=REPEATED, id=str(row["_id"]), expected=row["all"], found=found, why=why))
    return findings


async def correct_notification(sources: Sources, notice_id: ObjectId) -> None:
    """Makes one notification say what the facts say, or takes it back. Safe to repeat and beside workers."""

    async def apply(session: Session) -> None:
        for finding in await wrong_notifications(sources, [notice_id], session):
            document = await sources.database["notifications"].find_one({"_id": notice_id}, session=session)
            if document is None:
                continue
            if finding.kind == STANDING:
                record = NotificationRecord.from_document(document)
                await sources.notifications.withdraw([record], clock.now(), session)
                if _is_naming(document):  # the post's handler counts again how many tell of it
                    posts, again = sources.database["posts"], [add_pending([Task.NOTIFY], clock.now())]
                    await posts.update_one({"_id": document["post_id"]}, again, session=session)
            else:
                notice = await _recounted(sources, document, finding.expected, session)
                await sources.notifications.write([notice], clock.now(), session)

    await in_transaction(sources.client, apply)


async def _recounted(sources: Sources, document: Document, actors: int, session: Session) -> Notice:
    is_of_post = document["kind"] == NotificationKind.POST_LIKED.value
    likes = sources.post_likes if is_of_post else sources.comment_likes
    target_id = document["post_id"] if is_of_post else document["comment_id"]
    return Notice(
        recipient_id=document["recipient_id"],
        group_key=document["group_key"],
        kind=NotificationKind(document["kind"]),
        actor_ids=await likes.latest_noticed(target_id, ACTORS_SHOWN, session),
        actor_count=actors,
        post_id=document["post_id"],
        comment_id=document["comment_id"],
        withdrawn=actors <= 0,
        is_news=False,
    )


async def correct_inbox(sources: Sources, recipient_id: ObjectId) -> None:
    """Lets an inbox go on above every number of its log, and gives a new one to each notification that shares one.

    Safe to repeat and beside workers: every numbering passes through the inbox's document.
    """
    notifications, inboxes = sources.database["notifications"], sources.database["inboxes"]
    mine = {"recipient_id": recipient_id}

    async def apply(session: Session) -> None:
        log = await notifications.find(mine, {"seq": 1}, sort=[("seq", 1), ("_id", 1)], session=session).to_list()
        last = max((one["seq"] for one in log), default=0)
        duplicates = [one for before, one in itertools.pairwise(log) if before["seq"] == one["seq"]]
        await inboxes.update_one({"_id": recipient_id}, {"$max": {"last_seq": last}}, upsert=True, session=session)
        inbox = await inboxes.find_one_and_update(
            {"_id": recipient_id}, {"$inc": {"last_seq": len(duplicates)}}, return_document=True, session=session
        )
        first = (inbox["last_seq"] if inbox else last) - len(duplicates) + 1
        for seq, one in enumerate(duplicates, first):
            await notifications.update_one({"_id": one["_id"]}, {"$set": {"seq": seq}}, session=session)

    await in_transaction(sources.client, apply)
