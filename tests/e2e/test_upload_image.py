"""uploadImage: a file through GraphQL becomes an upload like any other."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from deploy.local.ports import LOOPBACK
from domain.ids import expect_id
from domain.limits import MAX_IMAGE_BYTES
from tests.e2e.conftest import Register
from tests.support.client import CREATE_POST, UPLOAD_IMAGE, Person, small_jpeg
from tests.support.factories import opened
from tests.support.pictures import moving, quarters, saved
from tests.support.stack import Stack, stack_on
from tests.support.waiting import eventually

LEFT = "{ viewer { uploadQuota { remainingToday } } }"


async def taken(person: Person, data: bytes, **given: Any) -> str:
    """The id of the upload that a file has become."""
    payload = (await person.upload_image(data, **given)).data["uploadImage"]
    assert payload["userErrors"] == []
    return str(payload["upload"]["id"])


async def refused(person: Person, data: bytes, **given: Any) -> tuple[str, list[str] | None]:
    """Code and field of the one error."""
    payload = (await person.upload_image(data, **given)).data["uploadImage"]
    assert payload["upload"] is None
    [error] = payload["userErrors"]
    return error["code"], error["field"]


async def remaining(person: Person) -> int:
    return int((await person.get(LEFT))["viewer"]["uploadQuota"]["remainingToday"])


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
async def test_a_file_sent_through_graphql_becomes_a_post(register: Register, kind: str) -> None:
    ana = await register()
    post_id = await ana.create_post(await taken(ana, saved(quarters((160, 120)), kind)))
    await ana.wait_for_status(post_id, "READY")
    assert await remaining(ana) == 9


async def test_a_file_that_is_no_image_inside_fails_its_post_and_gives_the_quota_back(register: Register) -> None:
    ana = await register()
    upload_id = await taken(ana, b"\xff\xd8\xff\xe0 but no picture follows")
    payload = (await ana.get(CREATE_POST, input={"images": [{"uploadId": upload_id}]}))["createPost"]
    if payload["post"] is None:  # a worker was quicker
        assert [error["code"] for error in payload["userErrors"]] == ["IMAGE_CORRUPT"]
    else:
        await ana.wait_for_status(payload["post"]["id"], "FAILED")
    assert await remaining(ana) == 10


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (b"Dear diary", ("UNSUPPORTED_FORMAT", ["file"])),
        (b"\xff\xd8\xff" + bytes(MAX_IMAGE_BYTES), ("IMAGE_TOO_LARGE", ["file"])),
    ],
)
async def test_a_refused_file_takes_no_quota(
    people: list[Person], data: bytes, refusal: tuple[str, list[str] | None]
) -> None:
    assert await refused(people[0], data) == refusal
    assert await remaining(people[0]) == 10


async def test_the_eleventh_file_of_a_day_is_refused_in_either_way(register: Register) -> None:
    ana = await register()
    for _ in range(5):
        await taken(ana, small_jpeg())
        assert (await ana.announce(b"x"))["userErrors"] == []
    assert await refused(ana, small_jpeg()) == ("QUOTA_EXCEEDED", None)
    assert [error["code"] for error in (await ana.announce(b"x"))["userErrors"]] == ["QUOTA_EXCEEDED"]


async def test_a_retry_with_its_key_is_one_upload(register: Register) -> None:
    ana, data = await register(), small_jpeg()
    upload_id = await taken(ana, data, idempotencyKey="again")
    assert await taken(ana, data, idempotencyKey="again") == upload_id
    assert await refused(ana, small_jpeg(), idempotencyKey="again") == ("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])
    assert await remaining(ana) == 9


async def test_files_beyond_the_limit_of_a_process_are_told_to_wait(
    register: Register, http: httpx2.AsyncClient
) -> None:
    """Sixteen people send at once. Each file is accepted or refused with BUSY."""
    senders = await asyncio.gather(*(register() for _ in range(16)))
    data = b"\xff\xd8\xff" + bytes(4 * 1024 * 1024)
    answers = await asyncio.gather(*(sender.upload_image(data) for sender in senders))
    codes = [[error["code"] for error in answer.data["uploadImage"]["userErrors"]] for answer in answers]
    assert all(each in ([], ["BUSY"]) for each in codes)
    assert [] in codes
    for sender, each in zip(senders, codes, strict=True):
        assert await remaining(sender) >= (9 if not each else 10)


async def test_uploading_needs_a_session(http: httpx2.AsyncClient) -> None:
    answer = await Person(http, "nobody").upload_image(small_jpeg())
    assert (answer.data, answer.codes) == (None, ["UNAUTHENTICATED"])


@pytest.mark.parametrize("value", ["photo.jpg", None, 7, {"name": "photo.jpg"}])
async def test_an_argument_that_is_no_file_is_bad_input(people: list[Person], value: object) -> None:
    document = "mutation ($input: UploadImageInput!) { uploadImage(input: $input) { upload { id } } }"
    answer = await people[0].ask(document, input={"file": value})
    assert (answer.data, answer.codes) == (None, ["BAD_USER_INPUT"])


async def test_content_decides_what_a_file_is_and_not_its_name_or_type(register: Register) -> None:
    ana = await register()
    upload_id = await taken(ana, moving((120, 90), 3), called=("photo.jpg", "image/jpeg"))
    post_id = await ana.create_post(upload_id)
    await ana.wait_for_status(post_id, "READY")
    shown = await ana.get("query ($id: ID!) { post(id: $id) { images { isAnimated } } }", id=post_id)
    assert shown["post"]["images"] == [{"isAnimated": True}]


@pytest.fixture(scope="module")
async def impatient(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Another API process on the same data with a short time limit for files."""
    settings = stack.settings.model_copy(update={"file_timeout": 2.0})
    with stack_on(settings, tmp_path_factory.mktemp("impatient")) as running:
        await running.api()
        yield running


@pytest.mark.parametrize("size", [1_000, 7 * 1024 * 1024], ids=["a little", "more than a part"])
@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "stalls"])
async def test_a_sender_who_does_not_finish_leaves_nothing_behind(
    register: Register, impatient: Stack, size: int, leaves: bool
) -> None:
    ana = await register()
    reader, writer = await asyncio.open_connection(LOOPBACK, impatient.settings.port)
    writer.write(begun_form(ana, b"\xff\xd8\xff" + secrets.token_bytes(size)))
    await writer.drain()

    async def is_reserved() -> bool:
        return await remaining(ana) == 9

    await eventually(is_reserved)
    if leaves:
        writer.transport.abort()
    else:
        async with asyncio.timeout(30):
            answer = await reader.read()
        assert answer.split()[1] == b"408"
        writer.close()

    async def is_given_back() -> bool:
        return await remaining(ana) == 10

    await eventually(is_given_back, seconds=30)
    async with opened(impatient.settings) as world:
        owner_id = expect_id(ana.id, "User")
        assert await world.sources.database["uploads"].count_documents({"owner_id": owner_id}) == 0


def begun_form(person: Person, data: bytes) -> bytes:
    """A request that has sent less of its file than it announced."""
    operations = json.dumps({"query": UPLOAD_IMAGE, "variables": {"input": {"file": None}}})
    fields = {"operations": operations, "map": '{"0": ["variables.input.file"]}', "0": ""}
    body = "\r\n".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}' for name, value in fields.items()
    )
    headers = {
        "host": "x",
        "authorization": f"Bearer {person.token}",
        "graphql-require-preflight": "1",
        "content-type": "multipart/form-data; boundary=b",
        "content-length": len(body) + len(data) + 1_000,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /graphql HTTP/1.1\r\n{head}\r\n{body}".encode() + data
