"""Idempotency keys of the mutations that make something: once under twins, crashes and deletions, through GraphQL."""

import asyncio
import base64
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from datasources.jobs.idempotency import Idempotency
from domain.errors import Refusal, UserErrorCode
from domain.ids import from_global_id, to_global_id
from domain.image_formats import SourceFormat
from domain.limits import IDEMPOTENCY_HOURS
from domain.records.users import UserRecord
from tests.support.factories import World, now

Input = dict[str, Any]


@dataclass(frozen=True)
class Making:
    """A mutation that makes something: where its id is in the answer, how its input begins, and how it may differ."""

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

    async def ask(self, world: World, viewer: UserRecord, given: Input) -> tuple[str | None, list[Any]]:
        """The id of what was made, and the refusals."""
        result = await world.execute(self.document, viewer, input=given)
        assert result.errors is None, result.errors
        assert result.data is not None
        payload = result.data[self.name]
        made: Any = payload
        for step in self.path:
            made = made and made[step]
        return made, [(error["code"], error["field"]) for error in payload["userErrors"]]

    async def number(self, world: World, viewer: UserRecord) -> int:
        """How many of these the viewer has."""
        return await world.sources.database[self.collection].count_documents({self.owner: viewer.id})


async def an_upload(_world: World, _viewer: UserRecord) -> Input:
    return {"format": "JPEG", "byteSize": 1000, "sha256": base64.b64encode(secrets.token_bytes(32)).decode()}


async def a_post(world: World, viewer: UserRecord) -> Input:
    upload = await world.sources.uploads.announce(viewer.id, SourceFormat.JPEG, 1000, "sum", now())
    return {"images": [{"uploadId": to_global_id("MediaUpload", upload.id)}], "caption": "once"}


async def a_comment(world: World, viewer: UserRecord) -> Input:
    post = await world.post(await world.user())
    return {"postId": to_global_id("Post", post.id), "text": "once"}


UPLOAD = Making("createUpload", "upload { id }", ("upload", "id"), "uploads", "owner_id", an_upload, {"byteSize": 2000})
POST = Making("createPost", "post { id }", ("post", "id"), "posts", "author_id", a_post, {"caption": "other"})
COMMENT = Making(
    "addComment",
    "commentEdge { node { id text } }",
    ("commentEdge", "node", "id"),
    "comments",
    "author_id",
    a_comment,
    {"text": "other"},
)
MAKINGS = pytest.mark.parametrize("making", [UPLOAD, POST, COMMENT], ids=lambda making: making.name)
DELETED = [("NOT_FOUND", ["idempotencyKey"])]


@MAKINGS
async def test_fifty_simultaneous_twins_make_one(world: World, making: Making) -> None:
    ana = await world.user()
    given = {**await making.begin(world, ana), "idempotencyKey": "twins"}
    answers = await asyncio.gather(*(making.ask(world, ana, given) for _ in range(50)))
    assert len({made for made, _ in answers}) == 1
    assert all(made is not None and refused == [] for made, refused in answers)
    assert await making.number(world, ana) == 1


@MAKINGS
async def test_a_key_with_other_input_is_refused_and_makes_nothing(world: World, making: Making) -> None:
    ana = await world.user()
    given = {**await making.begin(world, ana), "idempotencyKey": "k"}
    await making.ask(world, ana, given)
    reused = (None, [("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])])
    assert await making.ask(world, ana, given | making.other) == reused
    assert await making.number(world, ana) == 1


@MAKINGS
async def test_a_key_is_its_users_own(world: World, making: Making) -> None:
    ana, bob = await world.users(2)
    mine, _ = await making.ask(world, ana, {**await making.begin(world, ana), "idempotencyKey": "k"})
    theirs, _ = await making.ask(world, bob, {**await making.begin(world, bob), "idempotencyKey": "k"})
    assert None not in (mine, theirs)
    assert mine != theirs


async def test_a_comment_whose_answer_was_lost_is_answered_to_the_retry_whatever_has_changed(world: World) -> None:
    ana = await world.user()
    given = {**await a_comment(world, ana), "idempotencyKey": "lost"}
    made, _ = await COMMENT.ask(world, ana, given)
    _, post_id = from_global_id(given["postId"])
    post = await world.stored_post(post_id)
    await world.sources.posts.update(post_id, post.author_id, {"comments_enabled": False}, now())
    assert await COMMENT.ask(world, ana, given) == (made, [])
    _, refused = await COMMENT.ask(world, ana, given | {"idempotencyKey": "new"})
    assert refused == [("COMMENTS_OFF", ["postId"])]


async def test_a_retry_after_the_comment_was_deleted_makes_no_other(world: World) -> None:
    ana = await world.user()
    given = {**await a_comment(world, ana), "idempotencyKey": "gone"}
    made, _ = await COMMENT.ask(world, ana, given)
    comment_id = from_global_id(str(made))[1]
    await world.sources.comments.delete(comment_id, now())
    assert await COMMENT.ask(world, ana, given) == (None, DELETED)
    await world.drain()
    assert await COMMENT.ask(world, ana, given) == (None, DELETED)
    other = given | COMMENT.other
    assert (await COMMENT.ask(world, ana, other))[1] == [("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])]
    (tombstone,) = await world.sources.database["comments"].find({"author_id": ana.id}).to_list()
    assert tombstone["text"] == ""
    assert "outbox" not in tombstone
    assert tombstone["expires_at"] == comment_id.generation_time + timedelta(hours=IDEMPOTENCY_HOURS)


async def test_a_comment_without_a_key_leaves_no_tombstone(world: World) -> None:
    ana = await world.user()
    made, _ = await COMMENT.ask(world, ana, await a_comment(world, ana))
    await world.sources.comments.delete(from_global_id(str(made))[1], now())
    await world.drain()
    assert await COMMENT.number(world, ana) == 0


async def test_a_retry_after_the_post_was_deleted_makes_no_other(world: World) -> None:
    ana, bob = await world.users(2)
    given = {**await a_post(world, ana), "idempotencyKey": "gone"}
    made, _ = await POST.ask(world, ana, given)
    post_id = from_global_id(str(made))[1]
    comment = await world.comment(
        await world.stored_post(post_id), bob, idempotency=Idempotency.of("c", "addComment", {})
    )
    await world.sources.posts.delete(post_id, ana.id, now())
    assert await POST.ask(world, ana, given) == (None, DELETED)
    for _ in range(2):
        await world.drain()
    assert await POST.ask(world, ana, given) == (None, DELETED)
    (tombstone,) = await world.sources.database["posts"].find({"author_id": ana.id}).to_list()
    assert (tombstone["caption"], tombstone["image_inputs"]) == ("", [])
    assert not {"outbox", "upload_ids"} & tombstone.keys()
    assert tombstone["expires_at"] == post_id.generation_time + timedelta(hours=IDEMPOTENCY_HOURS)
    assert await world.sources.comments.documents([comment.id]) == []


async def test_a_retry_of_a_failed_upload_answers_that_upload(world: World) -> None:
    ana = await world.user()
    given = {**await an_upload(world, ana), "idempotencyKey": "refused"}
    made, _ = await UPLOAD.ask(world, ana, given)
    await world.sources.uploads.expire([from_global_id(str(made))[1]])
    assert await UPLOAD.ask(world, ana, given) == (made, [])


@pytest.mark.parametrize("collection", ["posts", "comments"])
async def test_tombstones_go_by_an_index(world: World, collection: str) -> None:
    indexes = await world.sources.database[collection].index_information()
    assert indexes["expires_at_1"]["expireAfterSeconds"] == 0


async def test_an_insert_that_meets_a_tombstone_makes_nothing(world: World) -> None:
    """As of a twin that looked for its key before there was one, and writes when all is over."""
    ana = await world.user()
    post, key = await world.post(ana), Idempotency.of("late", "addComment", {})
    made = await world.comment(post, ana, idempotency=key)
    await world.sources.comments.delete(made.id, now())
    await world.drain()
    with pytest.raises(Refusal) as refused:
        await world.comment(post, ana, idempotency=key)
    assert refused.value.code is UserErrorCode.NOT_FOUND
