"""Saving posts, and collections of them."""

from collections.abc import Sequence
from typing import Annotated, Any

import strawberry
from bson import ObjectId
from strawberry import UNSET

from datasources.jobs.idempotency import Idempotency
from datasources.mongo import clock
from datasources.saves.collection_posts import Placing, PostChange
from domain.errors import NotFound, Refusal, UserErrorCode
from domain.ids import expect_id
from domain.limits import (
    COLLECTION_CHANGES_MAX,
    COLLECTION_DESCRIPTION_MAX,
    COLLECTION_NAME_MAX,
    COLLECTION_NOTE_MAX,
    COLLECTIONS_OF_POST_MAX,
)
from domain.rate_limits import Action
from domain.records.saves import CollectionRecord
from domain.text import checked_line, checked_text
from domain.visibility import can_meet
from resolvers.posts import visible_post
from resolvers.root_fields import mutation, not_cleared, query
from schema.collection import Collection
from schema.collection_inputs import (
    CollectionIdInput,
    CollectionPostInput,
    CreateCollectionInput,
    SavePostInput,
    UpdateCollectionInput,
)
from schema.context import Info
from schema.payloads import CollectionPayload, DeleteCollectionPayload, PostPayload, ShownPostPayload
from schema.post_inputs import PostIdInput


@query(
    Collection | None,
    "The collection that a link opens, for whomever knows its key; null for a link that was revoked, and where the "
    "viewer and the owner do not meet.",
)
async def shared_collection(
    info: Info, key: Annotated[str, strawberry.argument(description="The `shareKey` of a collection.")]
) -> CollectionRecord | None:
    collection = await info.context.sources.saved.collections.shared(key)
    if collection is None:
        return None
    (owner,), (relation,) = await info.context.loaders.people([collection.owner_id])
    return collection if owner is not None and can_meet(owner, relation) else None


@mutation(
    "Ensures that the viewer has saved the post, and says in which of their collections it is. Nobody else learns of "
    "it.",
    limited_as=Action.SAVE,
)
async def save_post(info: Info, given: SavePostInput) -> PostPayload:
    target = await visible_post(info, given.post_id)
    collection_ids = None if given.collection_ids is None else _checked_collections(given.collection_ids)
    await info.context.sources.saved.posts.save(
        info.context.require_viewer(), target.post.id, clock.now(), collection_ids
    )
    return PostPayload(post=target.with_own_acts)


@mutation(
    "Ensures that the viewer has not saved the post; it leaves all their collections. It works even if the viewer may "
    "not see the post.",
    limited_as=Action.SAVE,
    while_suspended=True,
)
async def unsave_post(info: Info, given: PostIdInput) -> ShownPostPayload:
    viewer_id, sources = info.context.require_viewer(), info.context.sources
    post_id = expect_id(given.post_id, "Post")
    if post_id is None:
        raise NotFound("post", field=["postId"])
    await sources.saved.posts.unsave(viewer_id, post_id)
    shown = await info.context.loaders.visible_post_by_id.load(post_id)
    return ShownPostPayload(post=None if shown is None else await sources.read_your_writes.post(post_id, viewer_id))


@mutation("Makes a collection without posts, which only the viewer sees unless it is public.", limited_as=Action.SAVE)
async def create_collection(info: Info, given: CreateCollectionInput) -> CollectionPayload:
    idempotency = Idempotency.of(given.idempotency_key, "createCollection", strawberry.asdict(given))
    values = {
        "name": _checked_name(given.name),
        "description": _checked_description(given.description),
        "is_public": bool(given.is_public),
    }
    collections = info.context.sources.saved.collections
    made = await collections.create(info.context.require_viewer(), values, clock.now(), idempotency)
    return CollectionPayload(collection=made)


@mutation(
    "Changes a collection of the viewer's, its order and its notes. A member that is left out stays as it is; null "
    "clears it. If one of the changes cannot be made, none is.",
    limited_as=Action.SAVE,
)
async def update_collection(info: Info, given: UpdateCollectionInput) -> CollectionPayload:
    collection_id = await _own(info, given.collection_id)
    values: dict[str, Any] = {}
    if given.name is not UNSET:
        values["name"] = _checked_name(not_cleared(given.name, "name"))
    if given.description is not UNSET:
        values["description"] = _checked_description(given.description)
    if given.cover_post_id is not UNSET:
        values["cover_post_id"] = _cover(given.cover_post_id)
    if given.is_public is not UNSET:
        values["is_public"] = not_cleared(given.is_public, "isPublic")
    is_shared = None if given.is_shared is UNSET else not_cleared(given.is_shared, "isShared")
    changes = _checked_changes(given.posts or [])
    changed = await info.context.sources.saved.collections.update(
        info.context.require_viewer(), collection_id, values, changes, is_shared=is_shared
    )
    return CollectionPayload(collection=changed)


@mutation("Deletes a collection of the viewer's; its posts stay saved.", limited_as=Action.SAVE, while_suspended=True)
async def delete_collection(info: Info, given: CollectionIdInput) -> DeleteCollectionPayload:
    collection_id = await _own(info, given.collection_id)
    await info.context.sources.saved.collections.delete(info.context.require_viewer(), collection_id)
    return DeleteCollectionPayload(deleted_collection_id=strawberry.ID(given.collection_id))


async def _own(info: Info, global_id: str) -> ObjectId:
    """The id of what may be a collection of the viewer's. Raises Refusal (NOT_ALLOWED) for one of somebody else's that
    the viewer may see, NotFound for the id of something else.
    """
    collection_id = expect_id(global_id, "Collection")
    if collection_id is None:
        raise NotFound("collection", field=["collectionId"])
    collection = await info.context.loaders.visible_collection_by_id.load(collection_id)
    if collection is not None and collection.owner_id != info.context.require_viewer():
        message = "This is somebody else's collection."
        raise Refusal(UserErrorCode.NOT_ALLOWED, message, field=["collectionId"])
    return collection_id


def _checked_name(name: str) -> str:
    return checked_line(name, "name", min_length=1, max_length=COLLECTION_NAME_MAX)


def _checked_description(description: str | None) -> str | None:
    return checked_text(description or "", "description", max_length=COLLECTION_DESCRIPTION_MAX) or None


def _cover(global_id: str | None) -> ObjectId | None:
    if global_id is None:
        return None
    return _post_id(global_id, "coverPostId")


def _post_id(global_id: str, *field: str) -> ObjectId:
    post_id = expect_id(global_id, "Post")
    if post_id is None:
        raise NotFound("post in this collection", field=list(field))
    return post_id


def _checked_collections(global_ids: Sequence[str]) -> list[ObjectId]:
    if len(global_ids) > COLLECTIONS_OF_POST_MAX:
        message = f"A post is in {COLLECTIONS_OF_POST_MAX} collections at most."
        raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["collectionIds"])
    ids = [expect_id(global_id, "Collection") for global_id in global_ids]
    known = [collection_id for collection_id in ids if collection_id is not None]
    if len(known) < len(ids):
        raise NotFound("collection", field=["collectionIds"])
    return known


def _checked_changes(given: Sequence[CollectionPostInput]) -> list[PostChange]:
    if len(given) > COLLECTION_CHANGES_MAX:
        message = f"At most {COLLECTION_CHANGES_MAX} posts are changed at once."
        raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["posts"])
    return [_checked_change(each) for each in given]


def _checked_change(given: CollectionPostInput) -> PostChange:
    values: dict[str, Any] = {}
    if given.note is not UNSET:
        values["note"] = checked_text(given.note or "", "posts.note", max_length=COLLECTION_NOTE_MAX) or None
    placing = None
    if given.after_post_id is not UNSET:
        after = given.after_post_id
        placing = Placing(None if after is None else _post_id(after, "posts", "afterPostId"))
    return PostChange(post_id=_post_id(given.post_id, "posts", "postId"), values=values, placing=placing)
