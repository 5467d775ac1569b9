"""The request that createUpload hands out, abused: storage refuses it, and the honest PUT still works afterwards."""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from config import Settings
from datasources.media.uploads import NOT_ARRIVED
from domain.ids import expect_id
from domain.limits import UPLOAD_LATENESS
from domain.records.uploads import UploadRecord, UploadStatus
from domain.records.users import UserRecord
from tests.support.client import CREATE_UPLOAD, small_jpeg
from tests.support.factories import World, opened
from tests.support.waiting import eventually
from workers.handlers import clean_up
from workers.handlers.ingest import ingest
from workers.maintenance.pending import find_stuck
from workers.rendering.pool import RenderPool
from workers.runtime.handler import RetryLater, Tools

JPEG, OTHER = small_jpeg(), small_jpeg((200, 40, 10))
REFUSED = {400, 403, 411, 412}


@dataclass(frozen=True)
class Put:
    """A request as a client would send it."""

    url: str
    headers: Mapping[str, str]
    data: bytes
    method: str = "PUT"
    chunked: bool = False

    def with_header(self, name: str, value: str) -> "Put":
        return replace(self, headers={**self.headers, name: value})

    def without(self, name: str) -> "Put":
        return replace(self, headers={key: value for key, value in self.headers.items() if key != name})

    def of(self, data: bytes) -> "Put":
        """With other bytes and their length."""
        return replace(self, data=data).with_header("content-length", str(len(data)))

    async def send(self, web: httpx2.AsyncClient) -> int:
        """The answer's status; a server that hangs up at once has refused too."""
        content: Any = _pieces(self.data) if self.chunked else self.data
        try:
            return (await web.request(self.method, self.url, headers=self.headers, content=content)).status_code
        except (httpx2.WriteError, httpx2.ReadError, httpx2.RemoteProtocolError):
            return 400


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


def digest(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def signed(put: Put, name: str, value: str) -> Put:
    """The request with another value of one parameter of the signature."""
    url, count = re.subn(rf"({name}=)[^&]+", rf"\g<1>{value}", put.url)
    assert count == 1, put.url
    return replace(put, url=url)


def at_key(put: Put, change: Callable[[str], str]) -> Put:
    """The request to another key in the same bucket, or outside it."""
    before, query = put.url.split("?")
    base, key = before.rsplit("/", 1)
    return replace(put, url=f"{base}/{change(key)}?{query}")


ABUSES: dict[str, Callable[[Put], Put]] = {
    "too big": lambda put: put.of(put.data + b"!"),
    "much too big": lambda put: put.of(put.data + bytes(20_000_000)),
    "too small": lambda put: put.of(put.data[:-1]),
    "empty": lambda put: put.of(b""),
    "wrong type": lambda put: put.with_header("content-type", "text/html"),
    "another image type": lambda put: put.with_header("content-type", "image/svg+xml"),
    "wrong key": lambda put: at_key(put, lambda key: key[:-1] + ("a" if key[-1] != "a" else "b")),
    "key below the key": lambda put: at_key(put, lambda key: f"{key}/more"),
    "key in another bucket": lambda put: at_key(put, lambda key: f"../photogram-media/{key}"),
    "wrong checksum": lambda put: put.with_header("x-amz-checksum-sha256", digest(OTHER)),
    "other bytes of the same length": lambda put: replace(put, data=put.data[:-2] + b"\0\0"),
    "other bytes with their own checksum": lambda put: put.of(OTHER).with_header(
        "x-amz-checksum-sha256", digest(OTHER)
    ),
    "overwriting": lambda put: put.with_header("if-none-match", '"etag"'),
    "type left out": lambda put: put.without("content-type"),
    "checksum left out": lambda put: put.without("x-amz-checksum-sha256"),
    "condition left out": lambda put: put.without("if-none-match"),
    "length left out": lambda put: replace(put.without("content-length"), chunked=True),
    "public": lambda put: put.with_header("x-amz-acl", "public-read"),
    "longer life": lambda put: signed(put, "X-Amz-Expires", "604800"),
    "another day": lambda put: signed(put, "X-Amz-Date", "20300101T000000Z"),
    "fewer headers signed": lambda put: signed(put, "X-Amz-SignedHeaders", "host"),
    "no signature": lambda put: replace(put, url=put.url.partition("?")[0]),
    "reading": lambda put: replace(put, method="GET", data=b"").without("content-length"),
    "deleting": lambda put: replace(put, method="DELETE", data=b"").without("content-length"),
}


@pytest.fixture(scope="module")
async def tools(world: World, shared_settings: Settings) -> AsyncIterator[Tools]:
    """The tools of a media worker."""
    async with RenderPool(1, shared_settings.render_timeout, shared_settings.render_memory_mb) as pool:
        yield Tools(sources=world.sources, pool=pool)


async def announced(world: World, owner: UserRecord, data: bytes = JPEG) -> tuple[UploadRecord, Put]:
    """What createUpload answers for a file."""
    described = {"format": "JPEG", "byteSize": len(data), "sha256": digest(data)}
    result = await world.execute(CREATE_UPLOAD, owner, input=described)
    assert result.data is not None, result.errors
    payload = result.data["createUpload"]
    upload_id = expect_id(payload["upload"]["id"], "MediaUpload")
    assert upload_id is not None
    headers = {header["name"].lower(): header["value"] for header in payload["request"]["headers"]}
    return await stored(world, upload_id), Put(payload["request"]["url"], headers, data, payload["request"]["method"])


async def stored(world: World, upload_id: Any) -> UploadRecord:
    (upload,) = await world.sources.uploads.by_ids([upload_id])
    assert upload is not None
    return upload


async def bytes_of(world: World, upload: UploadRecord) -> bytes | None:
    return await world.sources.blobs.read_incoming(upload.key, 30_000_000)


@pytest.mark.parametrize("abuse", ABUSES.values(), ids=ABUSES)
async def test_an_abused_request_is_refused_and_spoils_nothing(
    world: World, web: httpx2.AsyncClient, abuse: Callable[[Put], Put]
) -> None:
    upload, put = await announced(world, await world.user())
    assert await abuse(put).send(web) in REFUSED
    assert await bytes_of(world, upload) is None
    assert [blob async for blob in world.sources.blobs.list_incoming(upload.key)] == []
    assert await put.send(web) == 200
    assert await bytes_of(world, upload) == JPEG


async def test_a_second_put_is_refused_even_of_the_same_bytes(world: World, web: httpx2.AsyncClient) -> None:
    upload, put = await announced(world, await world.user())
    assert await put.send(web) == 200
    assert await put.send(web) == 412
    assert await put.of(OTHER).send(web) in REFUSED
    assert await bytes_of(world, upload) == JPEG


async def test_of_simultaneous_puts_one_is_taken(world: World, web: httpx2.AsyncClient) -> None:
    upload, put = await announced(world, await world.user())
    statuses = await asyncio.gather(*(put.send(web) for _ in range(8)))
    assert min(statuses) == 200
    assert set(statuses) <= {200, 409, 412}
    assert await bytes_of(world, upload) == JPEG


async def test_a_request_replayed_for_another_upload_is_refused(world: World, web: httpx2.AsyncClient) -> None:
    owner = await world.user()
    (_, put), (other, _) = await announced(world, owner), await announced(world, owner)
    assert await at_key(put, lambda _: other.key).send(web) == 403
    assert await bytes_of(world, other) is None


async def test_a_request_replayed_when_all_is_done_changes_nothing(
    world: World, web: httpx2.AsyncClient, tools: Tools
) -> None:
    """By then the source is deleted, so storage cannot know; it takes the same bytes, which nobody reads any more."""
    upload, put = await announced(world, await world.user())
    assert await put.send(web) == 200
    await ingest(tools, str(upload.id))
    await clean_up.clean_upload(tools, str(upload.id))
    ready = await stored(world, upload.id)
    assert (ready.status, await bytes_of(world, upload)) == (UploadStatus.READY, None)
    assert await put.send(web) == 200
    await ingest(tools, str(upload.id))
    assert await stored(world, upload.id) == ready


@pytest.mark.parametrize("is_rejected", [False, True], ids=["cancelled", "rejected"])
async def test_a_file_sent_after_its_upload_ended_is_deleted_once_its_address_has_expired(
    world: World, web: httpx2.AsyncClient, *, is_rejected: bool
) -> None:
    upload, put = await announced(world, await world.user())
    if is_rejected:
        await world.sources.uploads.reject(upload.id, UploadStatus.REJECTED, NOT_ARRIVED)
    else:
        await world.sources.uploads.cancel(upload.id)
    with pytest.raises(RetryLater):
        await clean_up.clean_upload(world.tools, str(upload.id))
    assert await put.send(web) == 200, "an address that was given out cannot be taken back"
    uploads, over = world.sources.database["uploads"], upload.last_arrival
    document = await uploads.find_one({"_id": upload.id})
    assert document is not None
    assert (document["outbox"], document["due_at"], document["enqueues"]) == (["clean_up"], over, 0)
    assert [stuck for stuck in await find_stuck(world.sources, over) if stuck.id == str(upload.id)] == []
    past = {"expires_at": datetime.now(UTC) - UPLOAD_LATENESS}
    await uploads.update_one({"_id": upload.id}, {"$set": past})
    await clean_up.clean_upload(world.tools, str(upload.id))
    assert await bytes_of(world, upload) is None
    assert await uploads.count_documents({"_id": upload.id, "outbox": {"$exists": True}}) == 0


async def test_an_expired_request_is_refused_and_its_quota_given_back(
    settings: Settings, web: httpx2.AsyncClient
) -> None:
    async with opened(settings.model_copy(update={"upload_ttl": 6})) as world:
        owner = await world.user()
        upload, put = await announced(world, owner)

        async def is_late() -> bool:
            return datetime.now(UTC) > upload.expires_at + timedelta(seconds=1)  # the signature's clock has whole ones

        await eventually(is_late)
        assert await put.send(web) == 403
        assert await bytes_of(world, upload) is None
        await world.sources.database["uploads"].update_one(
            {"_id": upload.id}, {"$set": {"expires_at": upload.expires_at - timedelta(minutes=5)}}
        )
        await ingest(world.tools, str(upload.id))
        assert (await stored(world, upload.id)).status is UploadStatus.EXPIRED
        assert (await world.sources.uploads.reservations.use(owner.id, datetime.now(UTC))).used_today == 0


async def test_a_request_lives_no_longer_than_its_upload(world: World) -> None:
    """A replay of createUpload gets a new address that is good until the same moment, and none once it is over."""
    owner = await world.user()
    upload, put = await announced(world, owner)
    seconds = int(re.findall(r"X-Amz-Expires=(\d+)", put.url)[0])
    assert 0 <= (upload.expires_at - datetime.now(UTC)).total_seconds() - seconds + 2 < 4
