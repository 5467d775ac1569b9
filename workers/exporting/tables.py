"""What an export has in words: a table for each kind of thing, with the query that finds an account's.

Each row is what its owner sees of it in the API, or is told of it elsewhere: no hashes, keys or other people's words.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from bson import ObjectId

from datasources.accounts.preferences import preferences_of
from datasources.mongo.client import Document
from datasources.mongo.indexes import BY_COMMENTER, BY_LIKER
from datasources.mongo.queries import within
from domain.ids import to_global_id
from domain.moderation import TOLD

Row = Mapping[str, Any]


class Person(msgspec.Struct, frozen=True):
    """An account that a row names; it is shown with its handle, if the owner of the export may see it."""

    id: ObjectId


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a collection, read in the order of `sort`, which an index gives for `query`."""

    name: str
    collection: str
    query: Callable[[ObjectId], Document]
    row: Callable[[Document], Row]
    sort: str = "_id"
    hint: str | None = None


def _by(field: str, **where: Any) -> Callable[[ObjectId], Document]:
    return lambda user_id: {field: user_id, **where}


def _id(kind: str, value: ObjectId | None) -> str | None:
    return None if value is None else to_global_id(kind, value)


def _created(document: Document) -> datetime:
    """When a document was made that has no time of its own: its id begins with it."""
    made: datetime = document["_id"].generation_time
    return made.astimezone(UTC)


def _post(post: Document) -> Row:
    images = post.get("images") or post.get("image_inputs", ())
    return {
        "id": _id("Post", post["_id"]),
        "status": post["status"],
        "createdAt": post["created_at"],
        "editedAt": post.get("edited_at"),
        "caption": post["caption"],
        "location": post.get("location"),
        "commentsEnabled": post.get("comments_enabled", True),
        "likeCount": post.get("like_count", 0),
        "commentCount": post.get("comment_count", 0),
        "mentions": [Person(user_id) for user_id in post.get("mention_ids", ())],
        "images": [_posted_image(image) for image in images],
    }


def _posted_image(image: Document) -> Row:
    tags = [{"user": Person(tag["user_id"]), "x": tag["x"], "y": tag["y"]} for tag in image.get("tagged_users", ())]
    upload_id = image.get("id") or image["upload_id"]  # of an image, or of what it is to be made of
    return {"uploadId": _id("MediaUpload", upload_id), "altText": image.get("alt_text"), "taggedUsers": tags}


def _comment(comment: Document) -> Row:
    return {
        "id": _id("Comment", comment["_id"]),
        "postId": _id("Post", comment["post_id"]),
        "parentId": _id("Comment", comment.get("parent_id")),
        "createdAt": comment["created_at"],
        "text": comment["text"],
        "likeCount": comment.get("like_count", 0),
        "replyCount": comment.get("reply_count", 0),
        "mentions": [Person(user_id) for user_id in comment.get("mention_ids", ())],
    }


def _like(kind: str) -> Callable[[Document], Row]:
    return lambda like: {f"{kind.lower()}Id": _id(kind, like["target_id"]), "firstLikedAt": _created(like)}


def _save(save: Document) -> Row:
    return {"postId": _id("Post", save["post_id"]), "savedAt": save["saved_at"]}


def _collection(collection: Document) -> Row:
    return {
        "id": _id("Collection", collection["_id"]),
        "name": collection["name"],
        "description": collection.get("description"),
        "coverPostId": _id("Post", collection.get("cover_post_id")),
        "isPublic": collection["is_public"],
        "isShared": collection.get("secret") is not None,
        "postCount": collection["post_count"],
        "createdAt": collection["created_at"],
    }


def _collection_post(item: Document) -> Row:
    return {"collectionId": _id("Collection", item["collection_id"]), "note": item.get("note"), **_save(item)}


def _tagged_post(entry: Document) -> Row:
    return {"postId": _id("Post", entry["_id"]["p"])}


def _follow(field: str) -> Callable[[Document], Row]:
    return lambda follow: {"user": Person(follow[field]), "state": follow["state"], "firstAskedAt": _created(follow)}


def _person(field: str) -> Callable[[Document], Row]:
    return lambda edge: {"user": Person(edge[field]), "since": _created(edge)}


def _hashtags(account: Document) -> Row:
    return {"followed": [each["name"] for each in account.get("followed", ())]}


def _dismissed(account: Document) -> Row:
    return {"users": [Person(user_id) for user_id in account["user_ids"]]}


def _notification(notification: Document) -> Row:
    return {
        "kind": notification["kind"],
        "at": notification["updated_at"],
        "users": [Person(actor_id) for actor_id in notification.get("actor_ids", ())],
        "postId": _id("Post", notification.get("post_id")),
        "commentId": _id("Comment", notification.get("comment_id")),
        "decisionId": _id("Decision", notification.get("decision_id")),
        "isRead": notification.get("is_read", False),
    }


def _upload(upload: Document) -> Row:
    return {
        "id": _id("MediaUpload", upload["_id"]),
        "status": upload["status"],
        "format": upload["format"],
        "byteSize": upload["byte_size"],
        "createdAt": upload["created_at"],
        "postId": _id("Post", upload.get("post_id")),
    }


def _visit(visit: Document) -> Row:
    return {"user": Person(visit["_id"]["o"]), "at": visit["at"]}


def _session(session: Document) -> Row:
    names = {"clientName": "client_name", "platform": "platform", "network": "network", "accessToken": "name"}
    return {
        **{shown: session[stored] for shown, stored in names.items() if session.get(stored) is not None},
        "scopes": session.get("scopes"),
        "createdAt": session["created_at"],
        "lastUsedAt": session["last_used_at"],
    }


def _report(report: Document) -> Row:
    return {
        "targetId": _id(report["target_type"], report["target_id"]),
        "reason": report["reason"],
        "note": report.get("note", ""),
        "createdAt": report["created_at"],
    }


def _decision(decision: Document) -> Row:
    return {
        "action": decision["action"],
        "targetId": _id(decision["target_type"], decision["target_id"]),
        "reason": decision.get("reason"),
        "statement": decision.get("statement", ""),
        "until": decision.get("until"),
        "nothingToUndo": decision.get("nothing_to_undo", False),
        "createdAt": decision["created_at"],
    }


def _factors(factors: Document) -> Row:
    return {
        "hasOneTimeCodes": factors.get("secret") is not None,
        "recoveryCodesLeft": len(factors.get("recovery_hashes", ())),
        "passkeys": [
            {"name": each["name"], "createdAt": each["created_at"], "lastUsedAt": each["last_used_at"]}
            for each in factors.get("passkeys", ())
        ],
        "linkedIdentities": [
            {"issuer": each["issuer"], "linkedAt": each["linked_at"]} for each in factors.get("identities", ())
        ],
    }


_STANDING: Document = {"state": {"$in": ["FOLLOWING", "REQUESTED"]}}
_LIKED: Mapping[str, Any] = {"query": _by("user_id", liked=True), "hint": BY_LIKER.document["name"]}

TABLES: Sequence[Table] = (
    Table(name="sessions", collection="sessions", query=_by("user_id"), row=_session),
    Table(name="posts", collection="posts", query=_by("author_id", deleted={"$ne": True}), row=_post),
    Table(
        name="comments",
        collection="comments",
        query=_by("author_id", deleted=False),
        row=_comment,
        hint=BY_COMMENTER.document["name"],
    ),
    Table(name="liked_posts", collection="post_likes", row=_like("Post"), **_LIKED),
    Table(name="liked_comments", collection="comment_likes", row=_like("Comment"), **_LIKED),
    Table(
        name="tagged_posts",
        collection="tagged_posts",
        query=lambda user_id: {"_id": within(user_id, "u", "p")},
        row=_tagged_post,
    ),
    Table(name="saved_posts", collection="saves", query=_by("saver_id"), row=_save),
    Table(name="collections", collection="collections", query=_by("owner_id", deleted=False), row=_collection),
    Table(
        name="collection_posts",
        collection="collection_posts",
        query=_by("owner_id"),
        row=_collection_post,
        hint="owner_id_1__id_-1",
    ),
    Table(name="following", collection="follows", query=_by("follower_id", **_STANDING), row=_follow("followee_id")),
    Table(name="followers", collection="follows", query=_by("followee_id", **_STANDING), row=_follow("follower_id")),
    Table(name="blocked", collection="blocks", query=_by("blocker_id"), row=_person("blocked_id")),
    Table(name="muted", collection="mutes", query=_by("muter_id"), row=_person("muted_id")),
    Table(name="followed_hashtags", collection="followed_hashtags", query=_by("_id"), row=_hashtags),
    Table(name="dismissed_suggestions", collection="dismissed_suggestions", query=_by("_id"), row=_dismissed),
    Table(
        name="notifications",
        collection="notifications",
        query=_by("recipient_id", withdrawn={"$ne": True}),
        row=_notification,
        sort="seq",
    ),
    Table(name="uploads", collection="uploads", query=_by("owner_id"), row=_upload),
    Table(name="second_factors", collection="factors", query=_by("_id"), row=_factors),
    Table(name="my_reports", collection="reports", query=_by("reporter_id"), row=_report),
    Table(
        name="decisions",
        collection="decisions",
        query=_by("subject_id", action={"$in": sorted(TOLD)}),
        row=_decision,
    ),
    Table(
        name="visited_profiles",
        collection="profile_visits",
        query=lambda user_id: {"_id": within(user_id, "v", "d", "o")},
        row=_visit,
    ),
)


def account_row(account: Document) -> Row:
    """The account itself, with what only its owner is told."""
    preferences = preferences_of(account)
    return {
        "id": _id("User", account["_id"]),
        "username": account["username"],
        "formerUsernames": [former["key"] for former in account.get("former_handles", ())],
        "formerEmails": [former["key"] for former in account.get("former_emails", ())],
        "email": account["email"],
        "displayName": account["display_name"],
        "biography": account.get("biography"),
        "website": account.get("website"),
        "isPrivate": account.get("is_private", False),
        "avatarUploadId": _id("MediaUpload", (account.get("avatar") or {}).get("id")),
        "role": account.get("role", "MEMBER"),
        "standing": account.get("standing", "GOOD"),
        "termsAccepted": [
            {"version": each["version"], "at": each["accepted_at"], "ageRange": each.get("age_range")}
            for each in account.get("terms", ())
        ],
        "preferences": {
            "sensitiveContent": preferences["sensitive_content"],
            "approvesTags": preferences["approves_tags"],
            "isInSearch": preferences["is_in_search"],
            "showsSuggestedPosts": preferences["shows_suggested_posts"],
        },
        "createdAt": account["created_at"],
        "postCount": account.get("post_count", 0),
        "followerCount": account.get("follower_count", 0),
        "followingCount": account.get("following_count", 0),
    }
