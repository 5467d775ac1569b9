"""Notifications against the facts that they tell of."""

from collections.abc import Sequence

import msgspec
from bson import ObjectId

from datasources.jobs.outbox import add_pending
from datasources.mongo import clock
from datasources.mongo.client import Document, Session
from datasources.mongo.queries import find_by_ids
from datasources.mongo.transactions import in_transaction
from datasources.notifications.notification_log import Notice
from datasources.sources import Sources
from domain.jobs import Task
from domain.limits import ACTORS_SHOWN
from domain.records.follows import FollowState
from domain.records.notifications import NotificationKind, NotificationRecord
from domain.records.users import UserState
from workers.maintenance.checks.check import Check, Finding, by_id, from_snapshot

ACTORS = "notification.actor_count"
STANDING = "notification.withdrawn"

LIKES_OF = {"POST_LIKED": ("post_likes", "post_id"), "COMMENT_LIKED": ("comment_likes", "comment_id")}
_NAMING = {"MENTIONED", "TAGGED"}
_FOLLOWS = {"FOLLOWED", "FOLLOW_REQUESTED", "FOLLOW_ACCEPTED"}


class Facts(msgspec.Struct, frozen=True):
    """What some notifications tell of, by id; follows by (follower, followee); the recipients who are deleted."""

    posts: dict[ObjectId, Document]
    comments: dict[ObjectId, Document]
    follows: dict[tuple[ObjectId, ObjectId], Document]
    deleted_accounts: set[ObjectId]


async def _find_wrong(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    notices = list((await find_by_ids(sources.database["notifications"], ids, session=session)).values())
    facts = await _find_facts(sources, notices, session)
    findings = await _find_wrong_actors(sources, notices, facts, session)
    for notice in notices:
        if not notice["withdrawn"] and not _may_stand(notice, facts):
            why = f"{notice['kind']} tells of what is not so any more"
            findings.append(Finding(kind=STANDING, id=str(notice["_id"]), expected=True, found=False, why=why))
    return findings


async def _find_facts(sources: Sources, notices: Sequence[Document], session: Session) -> Facts:
    database = sources.database
    post_ids, comment_ids = (
        list({notice[field] for notice in notices if notice.get(field)}) for field in ("post_id", "comment_id")
    )
    pairs = {_pair(notice) for notice in notices if notice["kind"] in _FOLLOWS and notice["actor_ids"]}
    either = [{"follower_id": follower, "followee_id": followee} for follower, followee in pairs]
    follows = await database["follows"].find({"$or": either}, session=session).to_list() if either else []
    named = [notice["recipient_id"] for notice in notices if _is_naming(notice)]
    deleted = {"_id": {"$in": named}, "state": UserState.DELETED.value}
    accounts = await database["users"].find(deleted, {"_id": 1}, session=session).to_list() if named else []
    return Facts(
        await find_by_ids(database["posts"], post_ids, session=session),
        await find_by_ids(database["comments"], comment_ids, session=session),
        {(follow["follower_id"], follow["followee_id"]): follow for follow in follows},
        {account["_id"] for account in accounts},
    )


async def _find_wrong_actors(
    sources: Sources, notices: Sequence[Document], facts: Facts, session: Session
) -> list[Finding]:
    findings = []
    for kind, (collection, key) in LIKES_OF.items():
        of_likes = [notice for notice in notices if notice["kind"] == kind and _is_about_something(notice, facts)]
        pipeline: list[Document] = [
            {"$match": {"target_id": {"$in": [notice[key] for notice in of_likes]}, "notified": True}},
            {"$group": {"_id": "$target_id", "notified": {"$sum": 1}}},
        ]
        rows = await sources.database[collection].aggregate(pipeline, session=session)
        notified = {row["_id"]: row["notified"] async for row in rows}
        for notice in of_likes:
            expected, found = notified.get(notice[key], 0), notice["actor_count"]
            if found != expected:
                why = f"{kind} counts other people than its likes"
                finding = Finding(kind=ACTORS, id=str(notice["_id"]), expected=expected, found=found, why=why)
                findings.append(finding)
    return findings


def _is_about_something(notice: Document, facts: Facts) -> bool:
    """Whether what it is about is there; workers remove what is deleted, in no particular order."""
    post, comment = facts.posts.get(notice["post_id"]), facts.comments.get(notice["comment_id"])
    if post is None or post["deleted"]:
        return False
    return notice["comment_id"] is None or (comment is not None and not comment["deleted"])


def _may_stand(notice: Document, facts: Facts) -> bool:
    """Whether its facts say the same, or the notifying that may withdraw it is pending for them."""
    if notice["kind"] in _FOLLOWS:
        follow = facts.follows.get(_pair(notice)) if notice["actor_ids"] else None
        return follow is not None and (_is_pending(follow) or _is_so(follow, notice["kind"]))
    if notice["post_id"] is None:
        return True
    post, comment = facts.posts.get(notice["post_id"]), facts.comments.get(notice["comment_id"])
    is_hidden = comment is not None and comment.get("hidden") and comment["author_id"] != notice["recipient_id"]
    # The log of a deleted account goes as a whole.
    is_named = notice["recipient_id"] in facts.deleted_accounts or _names(post, notice)
    return (_is_about_something(notice, facts) and not is_hidden and is_named) or any(
        fact is not None and _is_pending(fact) for fact in (post, comment)
    )


def _is_naming(notice: Document) -> bool:
    """Whether it tells that somebody is mentioned or tagged in a post itself."""
    return notice["kind"] in _NAMING and notice["comment_id"] is None


def _names(post: Document | None, notice: Document) -> bool:
    """Whether the post names the recipient; an edit, or the tagged person, may have ended that."""
    if post is None or not _is_naming(notice):
        return True
    tagged = [tag["user_id"] for image in post.get("images", ()) for tag in image.get("tagged_users", ())]
    return notice["recipient_id"] in (*post.get("mention_ids", ()), *tagged)


def _is_so(follow: Document, kind: str) -> bool:
    follows, is_accepted = follow["state"] == FollowState.FOLLOWING.value, bool(follow.get("accepted"))
    match kind:
        case "FOLLOW_REQUESTED":
            return bool(follow["state"] == FollowState.REQUESTED.value)
        case "FOLLOW_ACCEPTED":
            return follows and is_accepted
        case _:
            return follows and not is_accepted


def _is_pending(fact: Document) -> bool:
    return Task.NOTIFY.value in fact.get("outbox", ())


def _pair(notice: Document) -> tuple[ObjectId, ObjectId]:
    actor_id, recipient_id = notice["actor_ids"][0], notice["recipient_id"]
    return (recipient_id, actor_id) if notice["kind"] == "FOLLOW_ACCEPTED" else (actor_id, recipient_id)


async def _correct(sources: Sources, notice_id: ObjectId) -> None:
    """Makes a notification say what the facts say, or withdraws it, in a transaction."""

    async def apply(session: Session) -> None:
        for finding in await _find_wrong(sources, [notice_id], session):
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
                notice = await _recount(sources, document, finding.expected, session)
                await sources.notifications.write([notice], clock.now(), session)

    await in_transaction(sources.client, apply)


async def _recount(sources: Sources, document: Document, actors: int, session: Session) -> Notice:
    is_of_post = document["kind"] == NotificationKind.POST_LIKED.value
    likes = sources.post_likes if is_of_post else sources.comment_likes
    target_id = document["post_id"] if is_of_post else document["comment_id"]
    return Notice(
        recipient_id=document["recipient_id"],
        group_key=document["group_key"],
        kind=NotificationKind(document["kind"]),
        actor_ids=await likes.latest_notified(target_id, ACTORS_SHOWN, session),
        actor_count=actors,
        post_id=document["post_id"],
        comment_id=document["comment_id"],
        withdrawn=actors <= 0,
        is_news=False,
    )


NOTIFICATIONS = Check(
    collection="notifications",
    find=from_snapshot(_find_wrong),
    repairs={ACTORS: by_id(_correct), STANDING: by_id(_correct)},
)
