"""Quota that is reserved and not used: it lapses, is given back by cancelling, and is never taken twice."""

import asyncio
import base64
import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId

from datasources.media.uploads import NOT_ARRIVED
from domain.errors import Refusal, UserErrorCode
from domain.image_formats import SourceFormat
from domain.limits import IMAGES_PER_DAY, IMAGES_PER_MONTH, RESERVATION_HOLD, UPLOADS_PER_HOUR
from domain.records.uploads import FailureRecord, UploadRecord, UploadStatus
from tests.support.factories import World, image, now
from tests.support.uploads import stored_upload
from workers.handlers.ingest import ingest
from workers.runtime.handler import RetryLater

DATA = b"\xff\xd8\xff and so on"
SHA256 = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
EXCEEDED = UserErrorCode.QUOTA_EXCEEDED


async def announce(world: World, owner_id: ObjectId, at: datetime) -> UploadRecord:
    return await world.sources.uploads.announce(owner_id, SourceFormat.JPEG, len(DATA), SHA256, at)


async def announced(world: World, owner_id: ObjectId, at: datetime, count: int = IMAGES_PER_DAY) -> list[UploadRecord]:
    return [await announce(world, owner_id, at) for _ in range(count)]


async def lapsed(world: World, owner_id: ObjectId, at: datetime, count: int = IMAGES_PER_DAY) -> list[UploadRecord]:
    """Uploads whose files did not come in time."""
    uploads = await announced(world, owner_id, at, count)
    for upload in uploads:
        await world.sources.uploads.reservations.free_slots(upload, at + RESERVATION_HOLD)
    return uploads


async def refusal(world: World, owner_id: ObjectId, at: datetime) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await announce(world, owner_id, at)
    assert refused.value.code is EXCEEDED
    return refused.value


async def outcome(taking: object) -> object:
    try:
        return await taking  # type: ignore[misc]
    except Refusal as refused:
        return refused.code


async def used(world: World, owner_id: ObjectId, at: datetime = NOON) -> int:
    return (await world.sources.uploads.reservations.use(owner_id, at)).used_today


async def arrive(world: World, upload: UploadRecord) -> None:
    """The file, as its PUT leaves it."""
    await world.sources.blobs.put_incoming(upload.key, DATA, "image/jpeg")


@pytest.mark.parametrize(("age", "held"), [(RESERVATION_HOLD - 5 * SECOND, 1), (RESERVATION_HOLD, 0)])
async def test_the_quota_of_a_file_that_does_not_arrive_is_free_after_the_hold(
    world: World, age: timedelta, held: int
) -> None:
    owner_id, at = ObjectId(), now() - age
    upload = await announce(world, owner_id, at)
    for _ in range(2):
        await world.sources.uploads.release(upload.id, at)
        with pytest.raises(RetryLater):
            await ingest(world.tools, str(upload.id))
        assert await used(world, owner_id, at) == held
    assert (await stored_upload(world.sources, upload.id)).status is UploadStatus.AWAITING_BYTES


async def test_a_file_is_looked_for_at_the_moment_its_reservation_lapses(world: World) -> None:
    left = 4 * SECOND
    upload = await announce(world, ObjectId(), now() - RESERVATION_HOLD + left)
    with pytest.raises(RetryLater):
        await ingest(world.tools, str(upload.id))
    document = await world.sources.database["uploads"].find_one({"_id": upload.id})
    assert document is not None
    assert document["due_at"] <= upload.created_at + RESERVATION_HOLD


async def test_ten_abandoned_uploads_delay_ten_others_no_longer_than_the_hold(world: World) -> None:
    owner_id = ObjectId()
    await announced(world, owner_id, NOON)
    refused = await refusal(world, owner_id, NOON + 30 * SECOND)
    assert refused.retryable
    assert refused.retry_after_ms is not None
    assert 90_000 <= refused.retry_after_ms <= 95_000
    assert refused.resets_at == datetime(2026, 6, 16, tzinfo=UTC)
    other = ObjectId()
    await lapsed(world, other, NOON)
    assert len(await announced(world, other, NOON)) == IMAGES_PER_DAY
    await refusal(world, other, NOON)


async def test_uploads_can_be_announced_and_cancelled_sixty_times_an_hour(world: World) -> None:
    owner_id, uploads = ObjectId(), world.sources.uploads
    for _ in range(UPLOADS_PER_HOUR):
        await uploads.cancel((await announce(world, owner_id, NOON)).id)
    refused = await refusal(world, owner_id, NOON)
    assert await used(world, owner_id) == 0
    assert refused.retry_after_ms is not None
    assert 3_500_000 < refused.retry_after_ms <= 3_600_001
    collection = world.sources.database["uploads"]
    oldest = await collection.find_one({"owner_id": owner_id}, sort=[("_id", 1)])
    assert oldest is not None
    an_hour_ago = ObjectId.from_datetime(now() - timedelta(hours=1, seconds=1))
    await collection.delete_one({"_id": oldest["_id"]})
    await collection.insert_one({**oldest, "_id": an_hour_ago})
    await announce(world, owner_id, NOON)
    await refusal(world, owner_id, NOON)


async def test_a_refusal_is_not_retryable_if_every_image_of_the_day_is_used(world: World) -> None:
    owner_id = ObjectId()
    for upload in await announced(world, owner_id, NOON):
        await world.sources.uploads.record_image(upload.id, image(upload.id))
    refused = await refusal(world, owner_id, NOON)
    assert (refused.retryable, refused.resets_at) == (False, datetime(2026, 6, 16, tzinfo=UTC))


async def test_a_refusal_by_the_monthly_quota_says_when_the_next_month_starts(world: World) -> None:
    owner_id, december = ObjectId(), datetime(2026, 12, 15, 12, tzinfo=UTC)
    rows = [
        {
            "owner_id": owner_id,
            "quota_month": "2026-12",
            "quota_day": f"2026-12-{1 + slot // 40:02}",
            "month_slot": slot,
        }
        for slot in range(IMAGES_PER_MONTH)
    ]
    await world.sources.database["uploads"].insert_many([{**row, "day_slot": n} for n, row in enumerate(rows)])
    refused = await refusal(world, owner_id, december)
    assert (refused.retryable, refused.resets_at) == (False, datetime(2027, 1, 1, tzinfo=UTC))
    assert (await world.sources.uploads.reservations.use(owner_id, december)).resets_at == datetime(
        2027, 1, 1, tzinfo=UTC
    )


async def test_a_late_file_takes_its_quota_again(world: World) -> None:
    owner_id = ObjectId()
    (late,) = await lapsed(world, owner_id, NOON, 1)
    assert await used(world, owner_id) == 0
    for _ in range(2):
        assert await world.sources.uploads.confirm_arrival(late, NOON)
        assert await used(world, owner_id) == 1
    assert (await stored_upload(world.sources, late.id)).status is UploadStatus.PROCESSING


async def test_a_late_file_is_refused_if_no_quota_is_left(world: World) -> None:
    owner_id, at = ObjectId(), now()
    (late,) = await lapsed(world, owner_id, at, 1)
    for moment in (at, at + timedelta(days=1)):  # whatever day it is by then
        await announced(world, owner_id, moment)
    await arrive(world, late)
    await ingest(world.tools, str(late.id))
    rejected = await stored_upload(world.sources, late.id)
    assert rejected.status is UploadStatus.REJECTED
    assert rejected.failure is not None
    assert rejected.failure.code is EXCEEDED


async def test_of_concurrent_late_and_new_files_ten_get_quota(world: World) -> None:
    owner_id = ObjectId()
    late = await lapsed(world, owner_id, NOON, 8) + await lapsed(world, owner_id, NOON, 8)
    uploads = world.sources.uploads
    outcomes = await asyncio.gather(
        *(outcome(uploads.confirm_arrival(upload, NOON)) for upload in late),
        *(outcome(announce(world, owner_id, NOON)) for _ in range(16)),
    )
    assert Counter(outcomes)[EXCEEDED] == 32 - IMAGES_PER_DAY
    assert False not in outcomes
    assert await used(world, owner_id) == IMAGES_PER_DAY


async def test_a_file_sent_through_the_api_keeps_its_quota_until_its_time_limit(world: World) -> None:
    owner_id, minute = ObjectId(), timedelta(minutes=5)
    upload = await world.sources.uploads.begin_intake(owner_id, SourceFormat.JPEG, NOON, minute)
    await world.sources.uploads.reservations.free_slots(upload, NOON + RESERVATION_HOLD)
    assert await used(world, owner_id) == 1
    await world.sources.uploads.reservations.free_slots(upload, NOON + minute)
    assert await used(world, owner_id) == 0


async def test_a_file_that_is_being_processed_keeps_its_quota(world: World) -> None:
    owner_id = ObjectId()
    upload = await announce(world, owner_id, NOON)
    await world.sources.uploads.confirm_arrival(upload, NOON)
    await world.sources.uploads.reservations.free_slots(upload, NOON + RESERVATION_HOLD)
    assert await used(world, owner_id) == 1


async def test_a_cancelled_upload_returns_its_quota_once_and_its_file_will_be_deleted(world: World) -> None:
    owner_id, uploads = ObjectId(), world.sources.uploads
    upload, *_ = await announced(world, owner_id, NOON)
    for _ in range(3):
        await uploads.cancel(upload.id)
        assert await used(world, owner_id) == IMAGES_PER_DAY - 1
    cancelled = await stored_upload(world.sources, upload.id)
    assert cancelled.status is UploadStatus.EXPIRED
    assert cancelled.failure is not None
    document = await world.sources.database["uploads"].find_one({"_id": upload.id})
    assert document is not None
    assert document["outbox"] == ["clean_up"]
    await arrive(world, upload)
    await ingest(world.tools, str(upload.id))
    assert (await stored_upload(world.sources, upload.id)).status is UploadStatus.EXPIRED
    assert not await uploads.confirm_arrival(upload, NOON)


async def test_an_upload_that_has_its_file_or_its_result_is_not_cancelled(world: World) -> None:
    uploads = world.sources.uploads
    working, ready, refused = await announced(world, ObjectId(), NOON, 3)
    await uploads.confirm_arrival(working, NOON)
    await uploads.record_image(ready.id, image(ready.id))
    failure = FailureRecord(code=UserErrorCode.IMAGE_CORRUPT, message="No picture.")
    await uploads.reject(refused.id, UploadStatus.REJECTED, failure)
    for upload, status in ((working, "PROCESSING"), (ready, "READY"), (refused, "REJECTED")):
        before = await stored_upload(world.sources, upload.id)
        await uploads.cancel(upload.id)
        assert await stored_upload(world.sources, upload.id) == before
        assert before.status == status


async def test_of_concurrent_cancelling_and_starting_one_succeeds(world: World) -> None:
    owner_id, uploads = ObjectId(), world.sources.uploads
    for upload in await announced(world, owner_id, NOON):
        is_started, _ = await asyncio.gather(uploads.confirm_arrival(upload, NOON), uploads.cancel(upload.id))
        status = (await stored_upload(world.sources, upload.id)).status
        assert status is (UploadStatus.PROCESSING if is_started else UploadStatus.EXPIRED)
        document = await world.sources.database["uploads"].find_one({"_id": upload.id})
        assert document is not None
        assert ("day_slot" in document) is is_started


async def test_concurrent_cancelling_and_expiring_gives_the_quota_back(world: World) -> None:
    owner_id, uploads = ObjectId(), world.sources.uploads
    for upload in await announced(world, owner_id, NOON, 5):
        await asyncio.gather(
            uploads.cancel(upload.id),
            uploads.reservations.free_slots(upload, NOON),
            uploads.reject(upload.id, UploadStatus.EXPIRED, NOT_ARRIVED),
        )
        assert (await stored_upload(world.sources, upload.id)).status is UploadStatus.EXPIRED
    assert await used(world, owner_id) == 0
