"""Files sent through the API: stored whole or not at all, with their quota, at most a few at once."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from bson import ObjectId

from datasources.jobs.idempotency import Idempotency
from datasources.media.file_intake import Intake
from domain.errors import Refusal, RequestError, RequestErrorCode, UserErrorCode
from domain.image_formats import SourceFormat
from domain.limits import IMAGES_PER_DAY, MAX_IMAGE_BYTES
from domain.records.uploads import UploadRecord, UploadStatus
from tests.support.factories import World, now
from workers.handlers.ingest import ingest

JPEG = b"\xff\xd8\xff\xe0"
LONGEST = timedelta(seconds=30)


class Dropped(Exception):
    """The sender has gone."""


def picture(size: int = 1000) -> bytes:
    """Bytes that begin as a JPEG does. No two are the same."""
    return (JPEG + secrets.token_bytes(32) + bytes(size))[:size]


async def sent(data: bytes, *, piece: int = 64 * 1024, then: BaseException | None = None) -> AsyncIterator[bytes]:
    """A file as it arrives, whole or up to a failure."""
    for start in range(0, len(data), piece):
        yield data[start : start + piece]
    if then is not None:
        raise then


class Sender:
    """A sender who sends the beginning of a file and waits for `goes_on`."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = data or picture()
        self.goes_on = asyncio.Event()
        self.has_begun = asyncio.Event()

    async def file(self) -> AsyncIterator[bytes]:
        yield self.data[:500]
        self.has_begun.set()
        await self.goes_on.wait()
        yield self.data[500:]


def key(name: str = "k") -> Idempotency | None:
    return Idempotency.of(name, "uploadImage", {})


def take(
    world: World, owner_id: ObjectId, file: bytes | AsyncIterator[bytes], idempotency: Idempotency | None = None
) -> "asyncio.Task[UploadRecord]":
    coming = sent(file) if isinstance(file, bytes) else file
    return asyncio.create_task(world.sources.intake.take(owner_id, coming, idempotency))


async def refusal(taking: "asyncio.Task[UploadRecord]") -> Refusal:
    with pytest.raises(Refusal) as caught:
        await taking
    return caught.value


async def used(world: World, owner_id: ObjectId) -> int:
    return (await world.sources.uploads.reservations.use(owner_id, now())).used_today


async def left(world: World, owner_id: ObjectId) -> int:
    """Documents and quota of an owner: what a failure must leave none of."""
    return await world.sources.database["uploads"].count_documents({"owner_id": owner_id}) + await used(world, owner_id)


async def stored(world: World, upload: UploadRecord) -> bytes | None:
    return await world.sources.blobs.read_incoming(upload.key, MAX_IMAGE_BYTES)


@pytest.mark.parametrize("size", [3, 1000, MAX_IMAGE_BYTES // 2 + 1, MAX_IMAGE_BYTES])
async def test_a_file_of_any_size_is_stored_unchanged(world: World, size: int) -> None:
    owner_id, data = ObjectId(), picture(size)
    upload = await take(world, owner_id, data)
    assert await stored(world, upload) == data
    assert (upload.byte_size, upload.format) == (size, SourceFormat.JPEG)
    assert base64.b64decode(upload.sha256) == hashlib.sha256(data).digest()
    assert upload.status is UploadStatus.AWAITING_BYTES
    assert await used(world, owner_id) == 1
    document = await world.sources.database["uploads"].find_one({"_id": upload.id})
    assert document is not None
    assert (document["outbox"], "coming_until" in document) == (["ingest"], False)


async def test_a_file_may_arrive_byte_by_byte(world: World) -> None:
    data = picture(50)
    assert await stored(world, await take(world, ObjectId(), sent(data, piece=1))) == data


@pytest.mark.parametrize(
    ("head", "expected"),
    [(b"\x89PNG\r\n\x1a\n", SourceFormat.PNG), (b"GIF87a", SourceFormat.GIF), (b"GIF89a", SourceFormat.GIF)],
)
async def test_the_format_is_read_from_the_bytes(world: World, head: bytes, expected: SourceFormat) -> None:
    assert (await take(world, ObjectId(), head + bytes(100))).format is expected


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xd8", b"GIF", b"<svg/>", b"%PDF-1.7", b"MZ" * 500, b" \xff\xd8\xff"]
)
async def test_a_file_that_cannot_be_an_image_is_refused_and_leaves_nothing(world: World, data: bytes) -> None:
    owner_id = ObjectId()
    refused = await refusal(take(world, owner_id, data))
    assert (refused.code, refused.field) == (UserErrorCode.UNSUPPORTED_FORMAT, ["file"])
    assert await left(world, owner_id) == 0


async def test_a_file_is_refused_at_the_first_byte_over_the_limit(world: World) -> None:
    owner_id, unread = ObjectId(), 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal unread
        yield picture(MAX_IMAGE_BYTES)
        yield b"!"
        unread = 1
        yield b"!"

    refused = await refusal(take(world, owner_id, endless()))
    assert (refused.code, refused.field, unread) == (UserErrorCode.IMAGE_TOO_LARGE, ["file"], 0)
    assert await left(world, owner_id) == 0


@pytest.mark.parametrize("size", [100, MAX_IMAGE_BYTES])
async def test_a_sender_who_leaves_half_way_leaves_nothing_behind(world: World, size: int) -> None:
    owner_id = ObjectId()
    with pytest.raises(Dropped):
        await take(world, owner_id, sent(picture(size), then=Dropped()), key())
    assert await left(world, owner_id) == 0
    data = picture()
    assert await stored(world, await take(world, owner_id, data, key())) == data, "the key is free again"


async def test_a_cancelled_upload_request_leaves_nothing_behind(world: World) -> None:
    owner_id, sender = ObjectId(), Sender()
    taking = take(world, owner_id, sender.file())
    await sender.has_begun.wait()
    assert await used(world, owner_id) == 1
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert await left(world, owner_id) == 0


async def test_quota_is_reserved_before_a_file_is_read(world: World) -> None:
    owner_id, senders = ObjectId(), [Sender() for _ in range(3)]
    for _ in range(IMAGES_PER_DAY - 2):
        await world.sources.uploads.announce(owner_id, SourceFormat.PNG, 1, "c2hh", now())
    taking = [take(world, owner_id, sender.file()) for sender in senders]
    await asyncio.wait(taking, return_when=asyncio.FIRST_COMPLETED)
    (refused,) = [task for task in taking if task.done()]
    assert (await refusal(refused)).code is UserErrorCode.QUOTA_EXCEEDED
    for sender in senders:
        sender.goes_on.set()
    results = await asyncio.gather(*taking, return_exceptions=True)
    assert len([result for result in results if isinstance(result, UploadRecord)]) == 2
    assert await used(world, owner_id) == IMAGES_PER_DAY


async def test_no_more_files_than_allowed_are_taken_at_once(world: World) -> None:
    sources, senders = world.sources, [Sender() for _ in range(2)]
    intake = Intake(sources.uploads, sources.blobs, max_concurrent=2, max_time=LONGEST)
    taking = [asyncio.create_task(intake.take(ObjectId(), sender.file())) for sender in senders]
    await asyncio.gather(*(sender.has_begun.wait() for sender in senders))
    refused = await refusal(asyncio.create_task(intake.take(ObjectId(), sent(picture()))))
    assert (refused.code, refused.retryable) == (UserErrorCode.BUSY, True)
    taking[0].cancel()
    await asyncio.wait(taking[:1])
    assert (await intake.take(ObjectId(), sent(picture()))).sha256
    senders[1].goes_on.set()
    assert (await taking[1]).sha256


async def test_a_replay_with_the_same_file_is_the_first_upload(world: World) -> None:
    owner_id, data = ObjectId(), picture()
    first = await take(world, owner_id, data, key())
    assert (await take(world, owner_id, data, key())).id == first.id
    assert await used(world, owner_id) == 1
    assert (await take(world, owner_id, data, key("another"))).id != first.id
    assert (await take(world, ObjectId(), data, key())).id != first.id


@pytest.mark.parametrize("size", [100, MAX_IMAGE_BYTES])
async def test_a_key_with_another_file_is_an_error(world: World, size: int) -> None:
    owner_id, data = ObjectId(), picture(size)
    first = await take(world, owner_id, data, key())
    refused = await refusal(take(world, owner_id, data[:-1] + b"!", key()))
    assert (refused.code, refused.field) == (UserErrorCode.IDEMPOTENCY_KEY_REUSED, ["idempotencyKey"])
    assert await stored(world, first) == data


async def test_of_concurrent_duplicates_one_is_taken_and_the_others_are_told_to_wait(world: World) -> None:
    owner_id, sender = ObjectId(), Sender()
    first = take(world, owner_id, sender.file(), key())
    await sender.has_begun.wait()
    for duplicate in [take(world, owner_id, sender.data, key()) for _ in range(4)]:
        refused = await refusal(duplicate)
        assert (refused.code, refused.retryable) == (UserErrorCode.IN_PROGRESS, True)
    sender.goes_on.set()
    upload = await first
    assert (await take(world, owner_id, sender.data, key())).id == upload.id
    assert await used(world, owner_id) == 1


async def test_a_retry_takes_the_place_of_an_upload_whose_process_died(world: World) -> None:
    owner_id, data, uploads = ObjectId(), picture(), world.sources.uploads
    dead = await uploads.begin_intake(owner_id, SourceFormat.JPEG, now() - LONGEST, LONGEST, key())
    upload = await take(world, owner_id, data, key())
    assert (upload.id, await stored(world, upload), await used(world, owner_id)) == (dead.id, data, 1)
    with pytest.raises(Refusal, match="still coming"):
        await uploads.finish_intake(dead, 1, "c2hh")  # it was only slow
    await uploads.undo_intake(dead)
    assert await used(world, owner_id) == 1


async def test_an_upload_whose_process_died_expires_and_gives_its_quota_back(world: World) -> None:
    owner_id, uploads = ObjectId(), world.sources.uploads
    long_ago = now() - timedelta(hours=1)
    dead = await uploads.begin_intake(owner_id, SourceFormat.JPEG, long_ago, LONGEST, key())
    await ingest(world.tools, str(dead.id))
    (upload,) = await uploads.by_ids([dead.id])
    assert upload is not None
    assert upload.status is UploadStatus.EXPIRED
    assert await used(world, owner_id) == 0
    assert (await refusal(take(world, owner_id, picture(), key()))).code is UserErrorCode.UPLOAD_EXPIRED


async def test_an_error_while_the_file_arrives_is_passed_on(world: World) -> None:
    error = RequestError(RequestErrorCode.BAD_REQUEST, "The form is cut off.")
    with pytest.raises(RequestError, match="cut off"):
        await take(world, ObjectId(), sent(picture(), then=error))
