"""What every record promises by itself and about what it refers to, each promise declared in one place.

Counters, notifications, feeds and files have checks of their own. A promise is kept at every moment, unless the record
still owes what keeps it, or a request is between two writes: what looks broken is looked at again by `verify`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from bson import ObjectId

from datasources.mongo.client import Document, Session
from datasources.mongo.queries import find_by_ids
from datasources.s3.keys import is_public
from datasources.sources import Sources
from domain.jobs import Task
from domain.records.follows import FollowState
from domain.records.posts import PostStatus
from domain.records.uploads import UploadStatus
from domain.records.users import UserState
from workers.maintenance.checks.check import Finding
from workers.maintenance.repairs import (
    RepairRecord,
    accept,
    add_pending_tasks,
    delete,
    delete_comment,
    end_follow,
    erase_comment,
    give_slots_back,
)
from workers.maintenance.repairs import unfollow as end

Pair = tuple[ObjectId, ObjectId]

# What documents refer to: by collection, the field and the collection of what it names.
REFERS: Mapping[str, Mapping[str, str]] = {
    "post_likes": {"target_id": "posts"},
    "comment_likes": {"target_id": "comments"},
    "comments": {"post_id": "posts", "parent_id": "comments"},
    "follows": {"follower_id": "users", "followee_id": "users"},
    "blocks": {},
    "mutes": {},
    "posts": {"author_id": "users"},
    "uploads": {"owner_id": "users"},
    "sessions": {"user_id": "users"},
}
_NOT_READ: Mapping[str, Document] = {
    "posts": {"caption": 0, "image_inputs": 0, "images.renditions.format": 0},
    "comments": {"text": 0},
    "sessions": {"access_hash": 0, "refresh_hash": 0, "spent_hashes": 0},
}
_READ_OF_OTHERS = {"deleted": 1, "outbox": 1, "is_private": 1, "state": 1, "pulled": 1}


class Around(msgspec.Struct, frozen=True):
    """What some documents refer to, by collection and id, and the pairs of blocker and blocked among them."""

    there: Mapping[str, Mapping[Any, Document]]
    blocks: frozenset[Pair] = frozenset()


class Invariant(msgspec.Struct, frozen=True, kw_only=True):
    """A rule for a collection's documents; `broken` is true of one that breaks it, `mend` makes it keep it again."""

    of: str
    name: str
    why: str
    broken: Callable[[Document, Around], object]
    repair_record: RepairRecord | None = None

    @property
    def kind(self) -> str:
        """Its name in findings."""
        return f"{self.of.removesuffix('s')}.{self.name}"


def _is_pending(document: Document | None, task: Task) -> bool:
    return document is not None and task.value in document.get("outbox", ())


def _account(around: Around, user_id: Any) -> Document | None:
    """An account that is there, and not deleted: what hangs on one that is, is being taken away."""
    account = around.there["users"].get(user_id)
    return None if account is None or account.get("state") == UserState.DELETED.value else account


def _is_applied(document: Document) -> bool:
    return "outbox" not in document


def _stands(document: Document) -> bool:
    return not document.get("deleted") and bool(document.get("liked", True))


def _is_left(document: Document, _around: Around) -> object:
    """Whether it is a tombstone that nothing will ever take away."""
    return not _stands(document) and _is_applied(document) and "expires_at" not in document


def _gone(collection: str, field: str, repair_record: RepairRecord | None = None) -> Invariant:
    """What a field of settled documents names is there."""
    to = REFERS[collection][field]

    def broken(document: Document, around: Around) -> object:
        named = document.get(field)
        return _is_applied(document) and _stands(document) and named is not None and named not in around.there[to]

    return Invariant(
        of=collection, name=field, why=f"there is no such {to[:-1]}", broken=broken, repair_record=repair_record
    )


def _likes(collection: str) -> list[Invariant]:
    return [
        _gone(collection, "target_id", delete(collection)),
        Invariant(
            of=collection,
            name="taken_back",
            why="it is taken back and owes nothing, and nothing will take it away",
            broken=_is_left,
            repair_record=add_pending_tasks(collection, Task.COUNT, Task.NOTIFY),
        ),
        Invariant(
            of=collection,
            name="noticed",
            why="whom it concerns was never told of it, or not that it was taken back, and nobody owes it",
            broken=_is_not_notified,
            repair_record=add_pending_tasks(collection, Task.NOTIFY),
        ),
    ]


def _is_not_notified(like: Document, _around: Around) -> object:
    noticed = like.get("noticed")
    return not _is_pending(like, Task.NOTIFY) and (noticed is None or (noticed and not like.get("liked")))


def _has_no_parent(reply: Document, around: Around) -> object:
    if reply.get("parent_id") is None or reply.get("deleted") or not _is_applied(reply):
        return False
    parent, post = around.there["comments"].get(reply.get("parent_id")), around.there["posts"].get(reply.get("post_id"))
    if post is None or post.get("deleted"):
        return False  # all of it is being cleaned away
    return parent is None or (parent.get("deleted") and not _is_pending(parent, Task.CLEAN_UP))


def _is_behind_a_block(follow: Document, around: Around) -> object:
    if follow.get("state") == FollowState.NONE.value or _is_pending(follow, Task.BACKFILL):
        return False  # its filling looks for a block
    pair = follow.get("follower_id"), follow.get("followee_id")
    return pair in around.blocks or pair[::-1] in around.blocks


def _asks_in_vain(follow: Document, around: Around) -> object:
    followee = _account(around, follow.get("followee_id"))
    if followee is None or followee.get("is_private") or follow.get("state") != FollowState.REQUESTED.value:
        return False
    return not _is_pending(follow, Task.BACKFILL) and not _is_pending(followee, Task.ACCEPT_REQUESTS)


def _is_not_cleaned(post: Document, _around: Around) -> object:
    return post.get("deleted") and not _is_pending(post, Task.CLEAN_UP) and "expires_at" not in post


def _lacks_posts(follow: Document, around: Around) -> object:
    """Whether it does not say what its author's mode is: pushed posts are in the feed, pulled ones are not."""
    followee = _account(around, follow.get("followee_id"))
    if followee is None or follow.get("state") != FollowState.FOLLOWING.value or _is_pending(follow, Task.BACKFILL):
        return False
    return bool(follow.get("pulled")) is not bool(followee.get("pulled")) and not _is_pending(
        followee, Task.SWITCH_PUSH_PULL
    )


def _waits_for_nothing(status: UploadStatus | PostStatus, task: Task) -> Callable[[Document, Around], object]:
    def broken(document: Document, _around: Around) -> object:
        is_alive = not document.get("deleted")
        return document.get("status") == status.value and is_alive and not _is_pending(document, task)

    return broken


def _lies_wrong(post: Document, around: Around) -> object:
    """Whether a file of a ready post lies where it does not belong (see `domain.visibility.area_of`)."""
    author = _account(around, post.get("author_id"))
    is_shown = post.get("status") == PostStatus.READY.value and not post.get("deleted")
    if author is None or not is_shown or _is_pending(post, Task.MOVE_FILES) or _is_pending(author, Task.MOVE_FILES):
        return False
    is_open = not author.get("is_private") and author.get("state") == UserState.ACTIVE.value
    return any(is_public(one["key"]) is not is_open for image in post["images"] for one in image["renditions"])


INVARIANTS: Sequence[Invariant] = (
    *_likes("post_likes"),
    *_likes("comment_likes"),
    _gone("comments", "post_id", erase_comment),
    Invariant(
        of="comments",
        name="parent_id",
        why="what it replies to is gone",
        broken=_has_no_parent,
        repair_record=delete_comment,
    ),
    Invariant(
        of="comments",
        name="deleted",
        why="it is deleted and owes nothing, and nothing will take it away",
        broken=_is_left,
        repair_record=add_pending_tasks("comments", Task.COUNT, Task.NOTIFY, Task.CLEAN_UP),
    ),
    _gone("follows", "follower_id", end),
    _gone("follows", "followee_id", end),
    Invariant(
        of="follows",
        name="self",
        why="nobody follows oneself",
        broken=lambda follow, _: (
            follow.get("follower_id") == follow.get("followee_id") and follow.get("state") != "NONE"
        ),
        repair_record=end,
    ),
    Invariant(
        of="follows",
        name="ended",
        why="it has ended and owes nothing, and is still there",
        broken=lambda follow, _: follow.get("state") == "NONE" and _is_applied(follow),
        repair_record=add_pending_tasks("follows", Task.COUNT, Task.COUNT_FOLLOWING, Task.NOTIFY, Task.BACKFILL),
    ),
    Invariant(
        of="follows",
        name="blocked",
        why="a block stands between the two, and does not owe the ending of it",
        broken=_is_behind_a_block,
        repair_record=end_follow,
    ),
    Invariant(
        of="follows",
        name="requested",
        why="it asks to follow an account that is public",
        broken=_asks_in_vain,
        repair_record=accept,
    ),
    Invariant(
        of="follows",
        name="pulled",
        why="its posts are pushed or pulled, the follow says the other, and nobody owes the shift",
        broken=_lacks_posts,
        repair_record=add_pending_tasks("follows", Task.BACKFILL),
    ),
    Invariant(
        of="blocks",
        name="self",
        why="nobody blocks oneself",
        broken=lambda block, _: block.get("blocker_id") == block.get("blocked_id"),
        repair_record=delete("blocks"),
    ),
    Invariant(
        of="mutes",
        name="self",
        why="nobody mutes oneself",
        broken=lambda mute, _: mute.get("muter_id") == mute.get("muted_id"),
        repair_record=delete("mutes"),
    ),
    _gone("posts", "author_id"),
    Invariant(
        of="posts",
        name="processing",
        why="it is being made, and nobody owes the making",
        broken=_waits_for_nothing(PostStatus.PROCESSING, Task.COMPLETE_POST),
        repair_record=add_pending_tasks("posts", Task.COMPLETE_POST),
    ),
    Invariant(
        of="posts",
        name="empty",
        why="it is ready and has no images",
        broken=lambda post, _: post.get("status") == "READY" and not post.get("deleted") and not post.get("images"),
    ),
    Invariant(
        of="posts",
        name="deleted",
        why="it is deleted, and nobody owes the cleaning",
        broken=_is_not_cleaned,
        repair_record=add_pending_tasks("posts", Task.COUNT, Task.NOTIFY, Task.FAN_OUT, Task.CLEAN_UP),
    ),
    Invariant(
        of="posts",
        name="area",
        why="strangers may fetch its files and not see it, or see it and not fetch its files",
        broken=_lies_wrong,
        repair_record=add_pending_tasks("posts", Task.MOVE_FILES),
    ),
    _gone("uploads", "owner_id"),
    Invariant(
        of="uploads",
        name="awaiting_bytes",
        why="its bytes are awaited, and nobody looks for them",
        broken=_waits_for_nothing(UploadStatus.AWAITING_BYTES, Task.INGEST),
        repair_record=add_pending_tasks("uploads", Task.INGEST),
    ),
    Invariant(
        of="uploads",
        name="processing",
        why="it is being rendered, and nobody owes the rendering",
        broken=_waits_for_nothing(UploadStatus.PROCESSING, Task.INGEST),
        repair_record=add_pending_tasks("uploads", Task.INGEST),
    ),
    Invariant(
        of="uploads",
        name="image",
        why="it is ready and has no image",
        broken=lambda upload, _: upload.get("status") == "READY" and not upload.get("image"),
    ),
    Invariant(
        of="uploads",
        name="slots",
        why="it was refused and takes up quota still",
        broken=lambda upload, _: "failure" in upload and "day_slot" in upload,
        repair_record=give_slots_back,
    ),
    _gone("sessions", "user_id", delete("sessions")),
)


async def broken_invariants(
    sources: Sources, collection: str, ids: Sequence[ObjectId], session: Session
) -> list[Finding]:
    """The promises that these documents of one collection break; one read of them and one of each kind around them."""
    found = await find_by_ids(sources.database[collection], ids, projection=_NOT_READ.get(collection), session=session)
    documents = list(found.values())
    around = await _around(sources, collection, documents, session)
    return [
        Finding(kind=invariant.kind, id=str(one["_id"]), expected=None, found=None, why=invariant.why)
        for invariant in INVARIANTS
        if invariant.of == collection
        for one in documents
        if invariant.broken(one, around)
    ]


async def _around(sources: Sources, collection: str, documents: Sequence[Document], session: Session) -> Around:
    wanted: dict[str, set[Any]] = {}
    for field, to in REFERS[collection].items():
        wanted.setdefault(to, set()).update(one[field] for one in documents if one.get(field) is not None)
    there = {
        to: await find_by_ids(sources.database[to], list(ids), projection=_READ_OF_OTHERS, session=session)
        for to, ids in wanted.items()
    }
    if collection != "follows" or not documents:
        return Around(there)
    ends = [(one["follower_id"], one["followee_id"]) for one in documents]
    either = [{"blocker_id": one, "blocked_id": other} for pair in ends for one, other in (pair, pair[::-1])]
    query = {"$or": either, "outbox": {"$ne": Task.REMOVE_FOLLOWS.value}}
    rows = await sources.database["blocks"].find(query, session=session).to_list()
    return Around(there, frozenset((row["blocker_id"], row["blocked_id"]) for row in rows))
