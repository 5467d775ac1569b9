"""Refused files: the upload, its subscription and the post that waits for it all say why."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from domain.ids import expect_id
from domain.records.uploads import UploadRecord
from tests.e2e.conftest import Register
from tests.support.client import Person, small_jpeg
from tests.support.factories import World, now, opened
from tests.support.pictures import gif_of_many_frames, png_that_claims, quarters, saved
from tests.support.stack import Stack

UPDATED = "subscription ($id: ID!) { uploadUpdated(id: $id) { status failure { code message } image { id } } }"
UPLOAD = "query ($id: ID!) { node(id: $id) { ... on MediaUpload { status failure { code message } image { id } } } }"
POST = "query ($id: ID!) { post(id: $id) { status failure { code message } images { id } } }"
LEFT = "{ viewer { uploadQuota { remainingToday } } }"

Deliver = Callable[[Person, World, UploadRecord, dict[str, Any]], Awaitable[None]]


async def sent(data: bytes, person: Person, _world: World, _upload: UploadRecord, request: dict[str, Any]) -> None:
    """The file arrives as it was announced."""
    assert (await person.send(request, data)).is_success


async def let_in(data: bytes, _person: Person, world: World, upload: UploadRecord, _request: dict[str, Any]) -> None:
    """Other bytes than announced arrive, by a storage that checks nothing."""
    await world.sources.blobs.put_incoming(upload.key, data, upload.format.media_type)


async def never(_person: Person, world: World, upload: UploadRecord, _request: dict[str, Any]) -> None:
    """Nothing arrives until it is too late."""
    past = {"expires_at": now() - timedelta(hours=1)}
    await world.sources.database["uploads"].update_one({"_id": upload.id}, {"$set": past})


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


def arrives(data: bytes) -> tuple[bytes, Deliver]:
    """It is announced as it is."""
    return data, partial(sent, data)


def replaced(data: bytes) -> tuple[bytes, Deliver]:
    """A good file is announced."""
    return small_jpeg(), partial(let_in, data)


JPEG = saved(quarters(), "JPEG")
PNG = saved(quarters(), "PNG")
CASES: dict[str, tuple[str, str, tuple[bytes, Deliver]]] = {  # format announced, code, file and how it comes
    "too big": ("JPEG", "IMAGE_TOO_LARGE", replaced(bytes(10 * 1024 * 1024 + 1))),
    "wrong type": ("PNG", "UNSUPPORTED_FORMAT", arrives(b"%PDF-1.7\n" + secrets.token_bytes(500))),
    "another image type": ("JPEG", "UNSUPPORTED_FORMAT", arrives(saved(quarters(), "TIFF"))),
    "not an image": ("GIF", "UNSUPPORTED_FORMAT", arrives(b"<html><script>alert(1)</script>")),
    "only the name of an image": ("GIF", "IMAGE_CORRUPT", arrives(b"GIF89a and nothing more")),
    "truncated": ("JPEG", "IMAGE_CORRUPT", arrives(JPEG[: len(JPEG) // 2])),
    "corrupt": ("PNG", "IMAGE_CORRUPT", arrives(flipped(PNG))),
    "too many pixels": ("PNG", "TOO_MANY_PIXELS", arrives(png_that_claims(20_000, 20_000))),
    "too many frames": ("GIF", "TOO_MANY_FRAMES", arrives(gif_of_many_frames(300))),
    "checksum mismatch": ("JPEG", "CHECKSUM_MISMATCH", replaced(small_jpeg((9, 9, 9)))),
    "expired": ("JPEG", "UPLOAD_EXPIRED", (small_jpeg(), never)),
}


@pytest.fixture(scope="module")
async def world(stack: Stack) -> AsyncIterator[World]:
    """The same database and storage, without the API."""
    async with opened(stack.settings) as world:
        yield world


@pytest.mark.parametrize(("kind", "code", "file"), CASES.values(), ids=CASES)
async def test_a_refused_file_says_why_live_on_the_upload_and_on_the_post(
    register: Register, world: World, kind: str, code: str, file: tuple[bytes, Deliver]
) -> None:
    ana, (data, deliver) = await register(), file
    announced = await ana.announce(data, format=kind)
    upload_id = announced["upload"]["id"]
    post_id = await ana.create_post(upload_id)
    object_id = expect_id(upload_id, "MediaUpload")
    assert object_id is not None
    (upload,) = await world.sources.uploads.by_ids([object_id])
    assert upload is not None
    async with ana.socket() as socket:
        await socket.subscribe(UPDATED, id=upload_id)
        waiting = (await socket.next())["uploadUpdated"]
        assert waiting == {"status": "AWAITING_BYTES", "failure": None, "image": None}
        await deliver(ana, world, upload, announced["request"])
        seen = (await socket.next(seconds=60))["uploadUpdated"]
        if seen["status"] == "PROCESSING":
            assert seen["failure"] is None
            seen = (await socket.next(seconds=60))["uploadUpdated"]
        assert (await socket.hear())["type"] == "complete"
    failure = seen["failure"]
    assert (seen["status"], failure["code"]) == ("EXPIRED" if code == "UPLOAD_EXPIRED" else "REJECTED", code)
    assert_is_a_sentence(failure["message"])
    assert (await ana.get(UPLOAD, id=upload_id))["node"] == seen
    await ana.wait_for_status(post_id, "FAILED", seconds=60)
    assert (await ana.get(POST, id=post_id))["post"] == {"status": "FAILED", "failure": failure, "images": []}
    again = await ana.do("createPost", images=[{"uploadId": upload_id}])
    assert [(error["code"], error["message"]) for error in again["userErrors"]] == [(code, failure["message"])]
    assert (await ana.get(LEFT))["viewer"]["uploadQuota"]["remainingToday"] == 10


async def test_mistakes_known_before_the_file_arrives_are_refused_before_it(register: Register) -> None:
    ana = await register()
    too_big = (await ana.announce(b"", byteSize=10 * 1024 * 1024 + 1))["userErrors"]
    for _ in range(10):
        assert (await ana.announce(b"x"))["userErrors"] == []
    used_up = (await ana.announce(b"x"))["userErrors"]
    assert [error["code"] for error in (*too_big, *used_up)] == ["IMAGE_TOO_LARGE", "QUOTA_EXCEEDED"]
    for error in (*too_big, *used_up):
        assert_is_a_sentence(error["message"])


def assert_is_a_sentence(text: str) -> None:
    """Something to show to a person."""
    assert " " in text
    assert text[0].isupper()
    assert text.endswith(".")
