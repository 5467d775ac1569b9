"""Idempotency keys, through GraphQL: concurrent duplicates, retries and deletions create one record."""

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from datasources.jobs.claimed_keys import claims_by_author
from datasources.jobs.idempotency import Idempotency
from domain.errors import Refusal, UserErrorCode
from domain.ids import from_global_id, to_global_id
from domain.image_formats import SourceFormat
from domain.limits import IDEMPOTENCY_HOURS
from domain.records.users import UserRecord
from tests.support.factories import World, now

Input = dict[str, Any]


@dataclass(frozen=True)
class Creation:
    """A mutation that creates a record: the path to its id, how its input begins, and how the input may differ."""

    name: str
    selection: str
    path: tuple[str, ...]
    collection: str
    owner: str
    begin: Callable[[World, UserRecord], Awaitable[Input]]
    other: Input

    @property
    def document(self) -> str:
        kind = self.name[0].upper() + self.name[1:]
        return (
            f"mutation ($input: {kind}Input!) {{ {self.name}(input: $input) {{ "
            f"userErrors {{ code field }} {self.selection} }} }}"
        )

    async def call(self, world: World, viewer: UserRecord, input_: Input) -> tuple[str | None, list[Any]]:
        """The id of the record, and the user errors."""
        result = await world.execute(self.document, viewer, input=input_)
        assert result.errors is None, result.errors
        assert result.data is not None
        payload = result.data[self.name]
        created: Any = payload
        for step in self.path:
            created = created and created[step]
        return created, [(error["code"], error["field"]) for error in payload["userErrors"]]

    async def count(self, world: World, viewer: UserRecord) -> int:
        """How many of these records the viewer has."""
        return await world.sources.database[self.collection].count_documents({self.owner: viewer.id})


async def upload_input(_world: World, _viewer: UserRecord) -> Input:
    return {"format": "JPEG", "byteSize": 1000, "sha256": base64.b64encode(secrets.token_bytes(32)).decode()}


async def post_input(world: World, viewer: UserRecord) -> Input:
    upload = await world.sources.uploads.announce(viewer.id, SourceFormat.JPEG, 1000, "sum", now())
    return {"images": [{"uploadId": to_global_id("MediaUpload", upload.id)}], "caption": "once"}


async def comment_input(world: World, viewer: UserRecord) -> Input:
    post = await world.post(await world.user())
    return {"postId": to_global_id("Post", post.id), "text": "once"}


UPLOAD = Creation(
    "createUpload", "upload { id }", ("upload", "id"), "uploads", "owner_id", upload_input, {"byteSize": 2000}
)
POST = Creation("createPost", "post { id }", ("post", "id"), "posts", "author_id", post_input, {"caption": "other"})
COMMENT = Creation(
    "addComment",
    "commentEdge { node { id text } }",
    ("commentEdge", "node", "id"),
    "comments",
    "author_id",
    comment_input,
    {"text": "other"},
)
CREATIONS = pytest.mark.parametrize("creation", [UPLOAD, POST, COMMENT], ids=lambda creation: creation.name)
DELETED = [("NOT_FOUND", ["idempotencyKey"])]


@CREATIONS
async def test_fifty_concurrent_duplicates_create_one(world: World, creation: Creation) -> None:
    ana = await world.user()
    input_ = {**await creation.begin(world, ana), "idempotencyKey": "duplicates"}
    answers = await asyncio.gather(*(creation.call(world, ana, input_) for _ in range(50)))
    assert len({created for created, _ in answers}) == 1
    assert all(created is not None and refused == [] for created, refused in answers)
    assert await creation.count(world, ana) == 1


@CREATIONS
async def test_a_key_with_other_input_is_refused_and_creates_nothing(world: World, creation: Creation) -> None:
    ana = await world.user()
    input_ = {**await creation.begin(world, ana), "idempotencyKey": "k"}
    await creation.call(world, ana, input_)
    reused = (None, [("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])])
    assert await creation.call(world, ana, input_ | creation.other) == reused
    assert await creation.count(world, ana) == 1


@CREATIONS
async def test_every_user_has_their_own_keys(world: World, creation: Creation) -> None:
    ana, bob = await world.users(2)
    mine, _ = await creation.call(world, ana, {**await creation.begin(world, ana), "idempotencyKey": "k"})
    theirs, _ = await creation.call(world, bob, {**await creation.begin(world, bob), "idempotencyKey": "k"})
    assert None not in (mine, theirs)
    assert mine != theirs


async def test_a_retry_after_a_lost_answer_gets_the_comment_whatever_has_changed(world: World) -> None:
    ana = await world.user()
    input_ = {**await comment_input(world, ana), "idempotencyKey": "lost"}
    created, _ = await COMMENT.call(world, ana, input_)
    _, post_id = from_global_id(input_["postId"])
    post = await world.stored_post(post_id)
    await world.sources.posts.update(post_id, post.author_id, {"comments_enabled": False}, now())
    assert await COMMENT.call(world, ana, input_) == (created, [])
    _, refused = await COMMENT.call(world, ana, input_ | {"idempotencyKey": "new"})
    assert refused == [("COMMENTS_OFF", ["postId"])]


async def test_a_retry_gets_the_comment_that_the_version_before_added_whatever_has_changed(world: World) -> None:
    """That version makes no claims."""
    ana = await world.user()
    input_ = {**await comment_input(world, ana), "idempotencyKey": "lost"}
    created, _ = await COMMENT.call(world, ana, input_)
    await world.sources.database["claims"].delete_many(claims_by_author(ana.id))
    _, post_id = from_global_id(input_["postId"])
    post = await world.stored_post(post_id)
    await world.sources.posts.update(post_id, post.author_id, {"comments_enabled": False}, now())
    assert await COMMENT.call(world, ana, input_) == (created, [])
    reused = [("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])]
    assert await COMMENT.call(world, ana, input_ | COMMENT.other) == (None, reused)
    assert await COMMENT.count(world, ana) == 1


async def test_a_retry_after_the_comment_was_deleted_adds_no_other(world: World) -> None:
    ana = await world.user()
    input_ = {**await comment_input(world, ana), "idempotencyKey": "gone"}
    created, _ = await COMMENT.call(world, ana, input_)
    comment_id = from_global_id(str(created))[1]
    await world.sources.comments.delete(comment_id, now())
    assert await COMMENT.call(world, ana, input_) == (None, DELETED)
    await world.drain()
    assert await COMMENT.call(world, ana, input_) == (None, DELETED)
    other = input_ | COMMENT.other
    assert (await COMMENT.call(world, ana, other))[1] == [("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])]
    (tombstone,) = await world.sources.database["comments"].find({"author_id": ana.id}).to_list()
    assert tombstone["text"] == ""
    assert "outbox" not in tombstone
    assert tombstone["expires_at"] == comment_id.generation_time + timedelta(hours=IDEMPOTENCY_HOURS)


async def test_a_comment_without_a_key_leaves_no_tombstone(world: World) -> None:
    ana = await world.user()
    created, _ = await COMMENT.call(world, ana, await comment_input(world, ana))
    await world.sources.comments.delete(from_global_id(str(created))[1], now())
    await world.drain()
    assert await COMMENT.count(world, ana) == 0


async def test_a_retry_after_the_post_was_deleted_creates_no_other(world: World) -> None:
    ana, bob = await world.users(2)
    input_ = {**await post_input(world, ana), "idempotencyKey": "gone"}
    created, _ = await POST.call(world, ana, input_)
    post_id = from_global_id(str(created))[1]
    comment = await world.comment(
        await world.stored_post(post_id), bob, idempotency=Idempotency.of("c", "addComment", {})
    )
    await world.sources.posts.delete(post_id, ana.id, now())
    assert await POST.call(world, ana, input_) == (None, DELETED)
    for _ in range(2):
        await world.drain()
    assert await POST.call(world, ana, input_) == (None, DELETED)
    (tombstone,) = await world.sources.database["posts"].find({"author_id": ana.id}).to_list()
    assert (tombstone["caption"], tombstone["image_inputs"]) == ("", [])
    assert not {"outbox", "upload_ids"} & tombstone.keys()
    assert tombstone["expires_at"] == post_id.generation_time + timedelta(hours=IDEMPOTENCY_HOURS)
    assert await world.sources.comments.by_ids([comment.id]) == [None]


async def test_a_retry_of_a_failed_upload_gets_that_upload(world: World) -> None:
    ana = await world.user()
    input_ = {**await upload_input(world, ana), "idempotencyKey": "refused"}
    created, _ = await UPLOAD.call(world, ana, input_)
    await world.sources.uploads.expire([from_global_id(str(created))[1]])
    assert await UPLOAD.call(world, ana, input_) == (created, [])


@pytest.mark.parametrize("collection", ["posts", "comments"])
async def test_a_ttl_index_removes_tombstones(world: World, collection: str) -> None:
    indexes = await world.sources.database[collection].index_information()
    assert indexes["expires_at_1"]["expireAfterSeconds"] == 0


async def test_an_insert_that_meets_a_tombstone_adds_nothing(world: World) -> None:
    """As when a concurrent duplicate looks for its key before the first insert and writes after the deletion."""
    ana = await world.user()
    post, key = await world.post(ana), Idempotency.of("late", "addComment", {})
    created = await world.comment(post, ana, idempotency=key)
    await world.sources.comments.delete(created.id, now())
    await world.drain()
    with pytest.raises(Refusal) as refused:
        await world.comment(post, ana, idempotency=key)
    assert refused.value.code is UserErrorCode.NOT_FOUND
