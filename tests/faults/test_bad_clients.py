"""Clients that break the rules of uploads, and a storage that is slow, away or cuts bodies: nothing is lost by either.

The product reaches storage through a proxy; clients and tests reach it directly.
"""

import asyncio
import io
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from bson import ObjectId
from PIL import Image
from pymongo import MongoClient

from config import Settings
from domain.ids import expect_id
from domain.records.uploads import UploadRecord
from tests.support.auditing import audit
from tests.support.client import Person, small_jpeg
from tests.support.factories import World, opened
from tests.support.stack import Stack, stack_on, start_all
from tests.support.toxic_proxy import Proxy, Toxic, proxied
from tests.support.uploads import files_of
from tests.support.waiting import eventually

S3_TIMEOUT = 1.0
POST = "query ($id: ID!) { post(id: $id) { status failure { code message } images { width height } } }"
QUOTA = "{ viewer { uploadQuota { remainingToday } } }"
UPLOAD = "query ($id: ID!) { node(id: $id) { ... on MediaUpload { status failure { code } } } }"


@pytest.fixture(scope="module")
async def proxy(shared_settings: Settings) -> AsyncIterator[Proxy]:
    assert shared_settings.s3_endpoint_url is not None
    async with proxied(shared_settings.s3_endpoint_url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
async def world(shared_settings: Settings) -> AsyncIterator[World]:
    """The test's own view, with storage that is not behind the proxy."""
    name = f"test_{uuid4().hex[:12]}"
    async with opened(shared_settings.model_copy(update={"mongo_database": name, "key_prefix": f"{name}:"})) as world:
        yield world
    with MongoClient[dict[str, object]](shared_settings.mongo_url, serverSelectionTimeoutMS=5000) as client:
        client.drop_database(name)


@pytest.fixture(scope="module")
async def stack(world: World, proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The API and the workers, which reach storage through the proxy."""
    direct = world.sources.settings
    through = {
        "s3_endpoint_url": proxy.url,
        "s3_public_endpoint_url": direct.s3_endpoint_url,
        "s3_timeout": S3_TIMEOUT,
    }
    logs: Path = tmp_path_factory.mktemp("logs")
    with stack_on(direct.model_copy(update=through), logs) as stack:
        await start_all(stack)
        yield stack


@pytest.fixture
async def ana(stack: Stack) -> AsyncIterator[Person]:
    async with httpx2.AsyncClient(base_url=stack.url, timeout=60) as http:
        yield await Person.register(http)


@pytest.fixture(autouse=True)
def _healthy(proxy: Proxy) -> None:
    proxy.become(Toxic.NONE)


def photograph() -> bytes:
    """A JPEG of several chunks. No two are the same."""
    data = io.BytesIO()
    Image.frombytes("L", (400, 300), secrets.token_bytes(120_000)).save(data, "JPEG", quality=90)
    return data.getvalue()


async def remaining(person: Person) -> int:
    return int((await person.get(QUOTA))["viewer"]["uploadQuota"]["remainingToday"])


async def failure(person: Person, post_id: str) -> str:
    """Waits until a post has failed. Returns the code; there must be a message too."""
    await person.wait_for_status(post_id, "FAILED", seconds=60)
    error = (await person.get(POST, id=post_id))["post"]["failure"]
    assert error["message"]
    return str(error["code"])


async def stored(world: World, global_id: str) -> UploadRecord:
    upload_id = expect_id(global_id, "MediaUpload")
    assert upload_id is not None
    (upload,) = await world.sources.uploads.by_ids([upload_id])
    assert upload is not None
    return upload


async def put_unsigned(world: World, upload: UploadRecord, data: bytes) -> None:
    """Stores a file that the presigned request does not allow, as a storage would that checks nothing."""
    await world.sources.blobs.put_incoming(upload.key, data, "image/jpeg")


async def make_late(world: World, upload_id: ObjectId) -> None:
    """Moves the announcement of an upload an hour into the past."""
    (upload,) = await world.sources.uploads.by_ids([upload_id])
    assert upload is not None
    long_ago = {"expires_at": upload.expires_at - timedelta(hours=1)}
    await world.sources.database["uploads"].update_one({"_id": upload_id}, {"$set": long_ago})


async def failed_attempts(world: World) -> list[dict[str, Any]]:
    """Dead letters and counted failures."""
    return [dict(each) for each in await world.sources.database["failures"].find().to_list()]


async def assert_published_whole(world: World, person: Person, post_id: str) -> None:
    """Asserts that a post's files are the ones that it names, and that nothing else is left."""
    await audit(world)  # first, because files may be moving between the areas
    stored_id = expect_id(post_id, "Post")
    assert stored_id is not None
    post = await world.stored_post(stored_id)
    for image in post.images:
        assert set(await files_of(world.sources, image.id)) == {each.key for each in image.renditions}
    assert await failed_attempts(world) == []


TOXICS = {
    "refuses": (Toxic.REFUSE, {}),
    "is a black hole": (Toxic.BLACK_HOLE, {}),
    "cuts its answers": (Toxic.CUT_ANSWERS, {"after": 20_000}),
    "cuts requests": (Toxic.CUT_REQUESTS, {"after": 3_000}),
}


@pytest.mark.parametrize(("toxic", "how"), TOXICS.values(), ids=TOXICS)
async def test_a_post_waits_for_a_storage_that(
    world: World, proxy: Proxy, ana: Person, toxic: Toxic, how: dict[str, int]
) -> None:
    proxy.become(toxic, **how)
    post_id = await ana.create_post(await ana.upload(photograph()))

    async def workers_have_tried() -> bool:
        return proxy.met >= 4

    await eventually(workers_have_tried, seconds=60)
    assert (await ana.get(POST, id=post_id))["post"] == {"status": "PROCESSING", "failure": None, "images": []}
    assert await failed_attempts(world) == []
    proxy.become(Toxic.NONE)
    await ana.wait_for_status(post_id, "READY", seconds=60)
    await assert_published_whole(world, ana, post_id)


async def test_a_slow_storage_makes_a_slow_post(world: World, proxy: Proxy, ana: Person) -> None:
    proxy.become(Toxic.SLOW, pause=0.1)
    post_id = await ana.create_post(await ana.upload(photograph()))
    await ana.wait_for_status(post_id, "READY", seconds=120)
    await assert_published_whole(world, ana, post_id)


@pytest.mark.parametrize(("toxic", "how"), TOXICS.values(), ids=TOXICS)
async def test_a_file_sent_through_the_api_costs_no_quota_with_a_storage_that(
    world: World, proxy: Proxy, ana: Person, toxic: Toxic, how: dict[str, int]
) -> None:
    data = photograph()
    if toxic is Toxic.CUT_ANSWERS:
        how = {"after": 10}  # of an answer that is mostly headers
    proxy.become(toxic, **how)
    answer = await ana.upload_image(data, idempotencyKey="k")
    assert (answer.data, answer.codes) == ({"uploadImage": None}, ["UNAVAILABLE"])
    assert await remaining(ana) == 10, "the API answers, and the quota is back"
    proxy.become(Toxic.NONE)
    again = (await ana.upload_image(data, idempotencyKey="k")).data["uploadImage"]
    post_id = await ana.create_post(again["upload"]["id"])
    await ana.wait_for_status(post_id, "READY", seconds=60)
    await assert_published_whole(world, ana, post_id)


async def test_announcing_a_file_needs_no_storage(world: World, proxy: Proxy, ana: Person) -> None:
    proxy.become(Toxic.BLACK_HOLE)
    payload = await ana.announce(small_jpeg())
    assert (payload["userErrors"], proxy.met) == ([], 0)
    await make_late(world, (await stored(world, payload["upload"]["id"])).id)  # nobody will send it


async def test_a_file_sent_twice_is_one_image(world: World, ana: Person) -> None:
    data = small_jpeg()
    payload = await ana.announce(data)
    sent = await asyncio.gather(*(ana.send(payload["request"], data) for _ in range(2)))
    assert min(each.status_code for each in sent) == 200
    post_id = await ana.create_post(payload["upload"]["id"])
    await ana.wait_for_status(post_id, "READY", seconds=60)
    await assert_published_whole(world, ana, post_id)


async def test_a_post_made_before_its_file_is_sent_waits_for_it(world: World, ana: Person) -> None:
    data = photograph()
    payload = await ana.announce(data)
    post_id = await ana.create_post(payload["upload"]["id"], await ana.upload(small_jpeg()))
    upload_id = (await stored(world, payload["upload"]["id"])).id

    first = await world.sources.database["uploads"].find_one({"_id": upload_id})
    assert first is not None

    async def was_looked_for() -> bool:  # whoever looks for a file reschedules the upload
        later = {"_id": upload_id, "due_at": {"$gt": first["due_at"]}}
        return await world.sources.database["uploads"].find_one(later) is not None

    await eventually(was_looked_for, seconds=60)
    assert (await ana.get(POST, id=post_id))["post"]["status"] == "PROCESSING"
    assert (await ana.send(payload["request"], data)).is_success
    await ana.wait_for_status(post_id, "READY", seconds=60)
    images = (await ana.get(POST, id=post_id))["post"]["images"]
    assert images == [{"width": 400, "height": 300}, {"width": 160, "height": 120}]
    await assert_published_whole(world, ana, post_id)


async def test_a_post_of_a_file_that_is_never_sent_fails_and_returns_its_quota(world: World, ana: Person) -> None:
    sent = await ana.upload(small_jpeg())
    payload = await ana.announce(small_jpeg())
    post_id = await ana.create_post(sent, payload["upload"]["id"])
    assert await remaining(ana) == 8
    await make_late(world, (await stored(world, payload["upload"]["id"])).id)
    assert await failure(ana, post_id) == "UPLOAD_EXPIRED"
    assert await remaining(ana) == 9
    assert await ana.refused("createPost", images=[{"uploadId": payload["upload"]["id"]}]) == (
        "UPLOAD_EXPIRED",
        ["images", "uploadId"],
    )
    again = await ana.create_post(sent)  # the good file of the failed post
    await ana.wait_for_status(again, "READY", seconds=60)
    await assert_published_whole(world, ana, again)


async def test_a_file_sent_to_the_wrong_address_counts_as_never_sent(world: World, ana: Person) -> None:
    data = small_jpeg()
    payload = await ana.announce(data)
    request = payload["request"]
    key = (await stored(world, payload["upload"]["id"])).key
    wrong = {**request, "url": request["url"].replace(key, key[::-1])}
    assert (await ana.send(wrong, data)).status_code == 403
    await make_late(world, (await stored(world, payload["upload"]["id"])).id)
    assert await failure(ana, await ana.create_post(payload["upload"]["id"])) == "UPLOAD_EXPIRED"
    assert await remaining(ana) == 10


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (small_jpeg((1, 2, 3)), "CHECKSUM_MISMATCH"),
        (b"", "CHECKSUM_MISMATCH"),
        (bytes(10 * 1024 * 1024 + 1), "IMAGE_TOO_LARGE"),
    ],
    ids=["other bytes", "nothing", "too much"],
)
async def test_the_worker_rejects_bytes_that_storage_should_have_refused(
    world: World, ana: Person, data: bytes, why: str
) -> None:
    upload_id = (await ana.announce(small_jpeg()))["upload"]["id"]
    upload = await stored(world, upload_id)
    await put_unsigned(world, upload, data)
    assert await failure(ana, await ana.create_post(upload_id)) == why
    assert (await ana.get(UPLOAD, id=upload_id))["node"] == {"status": "REJECTED", "failure": {"code": why}}
    assert await remaining(ana) == 10
    await audit(world)
    assert [blob async for blob in world.sources.blobs.list_incoming(upload.key)] == []
