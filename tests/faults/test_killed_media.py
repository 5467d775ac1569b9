"""The media worker killed again and again during uploads: each ends once, with exactly its renditions or its reason."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from random import Random

import httpx2
from bson import ObjectId

from datasources.media.uploads import UPLOAD_LEASE
from domain.image_formats import RenditionFormat, SourceFormat
from domain.jobs import Task
from domain.limits import IMAGES_PER_DAY
from domain.records.uploads import UploadRecord, UploadStatus
from tests.support.auditing import audit
from tests.support.client import small_jpeg
from tests.support.factories import World, now
from tests.support.stack import Stack
from tests.support.uploads import put_file, sha256_base64
from tests.support.waiting import eventually

LONGEST_LIFE = 0.7  # seconds after the first lease
PATIENCE = 60.0  # after the last kill
AT_ONCE = 8
WORKERS = ("media", "formats", "janitor", "relay")
ENDS = {UploadStatus.READY, UploadStatus.REJECTED, UploadStatus.EXPIRED}

Record = Callable[[str, object], None]


@dataclass(frozen=True)
class Sent:
    """A file that storage has acknowledged, and how its upload must end."""

    upload_id: ObjectId
    due: UploadStatus


async def send(world: World, http: httpx2.AsyncClient, owner_id: ObjectId, data: bytes) -> ObjectId:
    """Creates an upload and sends its file, as a client does. Returns the upload's id."""
    upload = await world.sources.uploads.announce(owner_id, SourceFormat.JPEG, len(data), sha256_base64(data), now())
    (await put_file(world, upload, data, http)).raise_for_status()
    await world.sources.uploads.check_now([upload.id])
    return upload.id


async def send_all(world: World, files: list[tuple[ObjectId, bytes, UploadStatus]]) -> list[Sent]:
    slots = asyncio.Semaphore(AT_ONCE)
    async with httpx2.AsyncClient(timeout=60) as http:

        async def send_file(owner_id: ObjectId, data: bytes, due: UploadStatus) -> Sent:
            async with slots:
                return Sent(await send(world, http, owner_id, data), due)

        return list(await asyncio.gather(*(send_file(*file) for file in files)))


async def records(world: World, sent: list[Sent]) -> list[UploadRecord]:
    uploads = await world.sources.uploads.by_ids([file.upload_id for file in sent])
    return [upload for upload in uploads if upload is not None]


async def count_leased(world: World, since: datetime) -> int:
    """How many uploads are leased by a worker that claimed or renewed them since then."""
    held = {"leased_until": {"$gt": since + UPLOAD_LEASE}}
    return await world.sources.database["uploads"].count_documents(held)


async def test_uploads_end_once_however_often_the_media_worker_is_killed(
    world: World, stack: Stack, rng: Random, full_size: bool, record_property: Record
) -> None:
    kills, number = (20, 500) if full_size else (2, 20)
    owners = [user.id for user in await world.users(number // IMAGES_PER_DAY)]
    good, bad = UploadStatus.READY, UploadStatus.REJECTED
    files = [
        (owners[n % len(owners)], small_jpeg() if n % 10 else rng.randbytes(500), good if n % 10 else bad)
        for n in range(number)
    ]
    sent: list[Sent] = []
    kills_during_work = 0
    for n in range(kills):
        worker = await stack.workers(*WORKERS)
        sending, began = asyncio.create_task(send_all(world, files[n::kills])), now()
        await eventually(partial(count_leased, world, began), seconds=PATIENCE)
        await asyncio.sleep(rng.uniform(0, LONGEST_LIFE))
        worker.kill()
        kills_during_work += await count_leased(world, began) > 0
        sent += await sending
    last, at_last_kill = time.monotonic(), Counter(upload.status for upload in await records(world, sent))
    await stack.workers(*WORKERS)

    async def all_have_ended() -> bool:
        return all(upload.status in ENDS for upload in await records(world, sent))

    async def all_have_formats() -> bool:
        return not await world.sources.database["uploads"].count_documents({"outbox": Task.ADD_FORMATS.value}, limit=1)

    await eventually(all_have_ended, seconds=PATIENCE - (time.monotonic() - last), every=0.5)
    record_property("uploads", len(sent))
    record_property("kills", kills)
    record_property("kills_during_work", kills_during_work)
    record_property("open_at_the_last_kill", number - at_last_kill[good] - at_last_kill[bad])
    record_property("seconds", round(time.monotonic() - last, 1))
    await eventually(all_have_formats, seconds=PATIENCE, every=0.5)
    await audit(world)
    await assert_each_has_exactly_its_files(world, sent)
    assert await world.sources.database["failures"].find().to_list() == [], "a kill counts as no failed attempt"
    for owner_id in owners:
        used = (await world.sources.uploads.reservations.use(owner_id, now())).used_today
        theirs = [due for (owner, _, due) in files if owner == owner_id]
        assert used == theirs.count(good)


async def assert_each_has_exactly_its_files(world: World, sent: list[Sent]) -> None:
    """Storage holds the renditions that an upload names (their keys are hashes), and nothing of a rejected one."""
    blobs, uploads = world.sources.blobs, {upload.id: upload for upload in await records(world, sent)}
    for file in sent:
        upload = uploads[file.upload_id]
        assert upload.status is file.due, upload
        named = {each.key for each in upload.image.renditions} if upload.image else set()
        assert set(await blobs.media_of(upload)) == named
        formats = {each.format for each in upload.image.renditions} if upload.image else set()
        assert formats == ({RenditionFormat.JPEG, RenditionFormat.WEBP} if file.due is UploadStatus.READY else set())
        assert [blob async for blob in blobs.list_incoming(upload.key)] == []
