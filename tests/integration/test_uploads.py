"""Uploads: quota, claims, and that each ends once."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId

from datasources.jobs.idempotency import Idempotency
from datasources.media.uploads import UPLOAD_LEASE
from domain.errors import Refusal, UserErrorCode
from domain.image_formats import SourceFormat
from domain.limits import IMAGES_PER_DAY, IMAGES_PER_MONTH
from domain.records.uploads import FailureRecord, UploadRecord, UploadStatus
from tests.support.factories import World, image, now
from tests.support.uploads import stored_upload
from workers.handlers.ingest import ingest
from workers.runtime.handler import RetryLater

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
FAILURE = FailureRecord(code=UserErrorCode.IMAGE_CORRUPT, message="No picture.")


async def announce(world: World, owner_id: ObjectId, at: datetime, key: Idempotency | None = None) -> UploadRecord:
    """As `createUpload`."""
    return await world.sources.uploads.announce(owner_id, SourceFormat.JPEG, 1000, "c2hh", at, key)


async def outcome(world: World, owner_id: ObjectId, at: datetime, key: Idempotency | None = None) -> object:
    """The upload's id, or why there is none."""
    try:
        return (await announce(world, owner_id, at, key)).id
    except Refusal as refusal:
        return refusal.code


async def test_of_a_hundred_simultaneous_uploads_ten_pass(world: World) -> None:
    owner_id = ObjectId()
    outcomes = await asyncio.gather(*(outcome(world, owner_id, NOON) for _ in range(100)))
    passed = [result for result in outcomes if isinstance(result, ObjectId)]
    assert len(set(passed)) == len(passed) == IMAGES_PER_DAY
    assert Counter(outcomes)[UserErrorCode.QUOTA_EXCEEDED] == 100 - IMAGES_PER_DAY
    assert (await world.sources.uploads.reservations.use(owner_id, NOON)).remaining_today == 0


async def test_one_users_quota_is_nobody_elses(world: World) -> None:
    full, other = ObjectId(), ObjectId()
    for _ in range(IMAGES_PER_DAY):
        await announce(world, full, NOON)
    assert await outcome(world, full, NOON) is UserErrorCode.QUOTA_EXCEEDED
    assert (await announce(world, other, NOON)).owner_id == other


async def test_the_next_day_has_ten_again_and_counts_for_the_same_month(world: World) -> None:
    owner_id = ObjectId()
    for _ in range(IMAGES_PER_DAY):
        await announce(world, owner_id, NOON)
    await announce(world, owner_id, NOON + timedelta(days=1))
    use = await world.sources.uploads.reservations.use(owner_id, NOON + timedelta(days=1))
    assert (use.used_today, use.used_this_month) == (1, IMAGES_PER_DAY + 1)


async def test_a_new_month_starts_from_nothing(world: World) -> None:
    owner_id, end = ObjectId(), datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC)
    for _ in range(IMAGES_PER_DAY):
        await announce(world, owner_id, end)
    use = await world.sources.uploads.reservations.use(owner_id, end + timedelta(seconds=2))
    assert (use.used_today, use.used_this_month) == (0, 0)


async def test_quota_given_back_is_that_of_the_day_it_was_taken(world: World) -> None:
    owner_id, uploads, tomorrow = ObjectId(), world.sources.uploads, NOON + timedelta(days=1)
    refused, _ = await announce(world, owner_id, NOON), await announce(world, owner_id, tomorrow)
    await uploads.reject(refused.id, UploadStatus.EXPIRED, FAILURE)
    use = await uploads.reservations.use(owner_id, tomorrow)
    assert (use.used_today, use.used_this_month) == (1, 1)
    assert (await uploads.reservations.use(owner_id, NOON)).used_today == 0


async def test_a_hundred_uploads_around_the_end_of_a_month_get_ten_a_day(world: World) -> None:
    owner_id, end = ObjectId(), datetime(2028, 2, 29, 23, 59, 59, 999_000, tzinfo=UTC)
    moments = [end + timedelta(milliseconds=n % 2) for n in range(100)]
    outcomes = await asyncio.gather(*(outcome(world, owner_id, moment) for moment in moments))
    assert len([result for result in outcomes if isinstance(result, ObjectId)]) == 2 * IMAGES_PER_DAY
    for moment in moments[:2]:
        use = await world.sources.uploads.reservations.use(owner_id, moment)
        assert (use.used_today, use.used_this_month, use.remaining_today) == (IMAGES_PER_DAY, IMAGES_PER_DAY, 0)


async def test_a_full_month_ends_the_day_early(world: World) -> None:
    owner_id = ObjectId()
    rows = [
        {
            "_id": ObjectId(b"\1" * 4 + ObjectId().binary[4:]),  # not of this hour
            "owner_id": owner_id,
            "quota_month": "2026-06",
            "quota_day": f"2026-06-{1 + slot // 40:02}",
            "month_slot": slot,
        }
        for slot in range(IMAGES_PER_MONTH - 2)
    ]
    await world.sources.database["uploads"].insert_many([{**row, "day_slot": n} for n, row in enumerate(rows)])
    outcomes = await asyncio.gather(*(outcome(world, owner_id, NOON) for _ in range(8)))
    assert len([result for result in outcomes if isinstance(result, ObjectId)]) == 2
    assert Counter(outcomes)[UserErrorCode.QUOTA_EXCEEDED] == 6


async def test_fifty_concurrent_duplicates_with_one_key_are_one_upload_and_one_image_of_the_quota(world: World) -> None:
    owner_id, key = ObjectId(), Idempotency.of("k", "createUpload", {"byteSize": 1000})
    outcomes = await asyncio.gather(*(outcome(world, owner_id, NOON, key) for _ in range(50)))
    assert len(set(outcomes)) == 1
    assert isinstance(outcomes[0], ObjectId)
    assert (await world.sources.uploads.reservations.use(owner_id, NOON)).used_today == 1


async def test_a_replay_is_answered_when_the_quota_is_used_up(world: World) -> None:
    owner_id, key = ObjectId(), Idempotency.of("k", "createUpload", {})
    first = await announce(world, owner_id, NOON, key)
    for _ in range(IMAGES_PER_DAY - 1):
        await announce(world, owner_id, NOON)
    assert (await announce(world, owner_id, NOON, key)).id == first.id


async def test_a_key_with_other_input_is_an_error(world: World) -> None:
    owner_id = ObjectId()
    await announce(world, owner_id, NOON, Idempotency.of("k", "createUpload", {"byteSize": 1}))
    other = Idempotency.of("k", "createUpload", {"byteSize": 2})
    assert await outcome(world, owner_id, NOON, other) is UserErrorCode.IDEMPOTENCY_KEY_REUSED


async def test_keys_of_two_users_do_not_meet(world: World) -> None:
    key = Idempotency.of("k", "createUpload", {})
    assert await outcome(world, ObjectId(), NOON, key) != await outcome(world, ObjectId(), NOON, key)


async def test_of_twenty_workers_one_claims_an_upload(world: World) -> None:
    upload = await announce(world, ObjectId(), now())
    claims = await asyncio.gather(*(world.sources.uploads.claim(upload.id, now()) for _ in range(20)))
    assert len([claim for claim in claims if claim is not None]) == 1


async def test_a_claim_ends_by_itself_unless_it_is_renewed(world: World) -> None:
    uploads, start = world.sources.uploads, now()
    upload = await announce(world, ObjectId(), start)
    assert await uploads.claim(upload.id, start) is not None
    assert await uploads.claim(upload.id, start + UPLOAD_LEASE - timedelta(seconds=1)) is None
    await uploads.renew(upload.id, start + UPLOAD_LEASE / 2)
    assert await uploads.claim(upload.id, start + UPLOAD_LEASE) is None
    assert await uploads.claim(upload.id, start + 2 * UPLOAD_LEASE) is not None


async def test_a_claim_given_back_can_be_taken_at_once(world: World) -> None:
    uploads, upload = world.sources.uploads, await announce(world, ObjectId(), now())
    assert await uploads.claim(upload.id, now()) is not None
    await uploads.release(upload.id, now())
    assert await uploads.claim(upload.id, now()) is not None


async def test_the_first_result_stays(world: World) -> None:
    uploads, upload = world.sources.uploads, await announce(world, ObjectId(), now())
    assert await uploads.confirm_arrival(upload, now())
    assert (await stored_upload(world.sources, upload.id)).status is UploadStatus.PROCESSING
    await uploads.record_image(upload.id, image(upload.id))
    await uploads.reject(upload.id, UploadStatus.REJECTED, FAILURE)
    record = await stored_upload(world.sources, upload.id)
    assert (record.status, record.failure) == (UploadStatus.READY, None)
    assert record.image == image(upload.id)
    assert await uploads.claim(upload.id, now() + 10 * UPLOAD_LEASE) is None


async def test_a_refused_upload_gives_its_quota_back_once(world: World) -> None:
    owner_id, uploads = ObjectId(), world.sources.uploads
    refused = [await announce(world, owner_id, NOON) for _ in range(IMAGES_PER_DAY)]
    for _ in range(3):
        await uploads.reject(refused[0].id, UploadStatus.REJECTED, FAILURE)
    use = await uploads.reservations.use(owner_id, NOON)
    assert (use.used_today, use.used_this_month) == (IMAGES_PER_DAY - 1, IMAGES_PER_DAY - 1)
    record = await stored_upload(world.sources, refused[0].id)
    assert (record.status, record.failure) == (UploadStatus.REJECTED, FAILURE)
    assert isinstance(await outcome(world, owner_id, NOON), ObjectId)


async def test_keys_in_storage_cannot_be_guessed(world: World) -> None:
    keys = {(await announce(world, ObjectId(), NOON)).key for _ in range(5)}
    assert len(keys) == 5
    assert all(len(key.rsplit("/", 1)[-1]) >= 22 for key in keys)


@pytest.mark.parametrize("status", [UploadStatus.AWAITING_BYTES, UploadStatus.REJECTED])
async def test_only_a_ready_upload_of_ones_own_becomes_an_avatar(world: World, status: UploadStatus) -> None:
    uploads, owner_id = world.sources.uploads, ObjectId()
    upload = await announce(world, owner_id, now())
    if status is UploadStatus.REJECTED:
        await uploads.reject(upload.id, status, FAILURE)
    assert await uploads.take_as_avatar(upload.id, owner_id) is None
    ready = await announce(world, owner_id, now())
    await uploads.record_image(ready.id, image(ready.id))
    assert await uploads.take_as_avatar(ready.id, ObjectId()) is None
    assert await uploads.take_as_avatar(ready.id, owner_id) is not None


@pytest.mark.parametrize(("age", "pause"), [(0, 2), (8, 2), (20, 5), (60, 15), (600, 15)])
async def test_a_file_that_does_not_arrive_is_looked_for_less_and_less_often(
    world: World, age: int, pause: int
) -> None:
    upload = await announce(world, ObjectId(), now() - timedelta(seconds=age))
    before = now()
    with pytest.raises(RetryLater):
        await ingest(world.tools, str(upload.id))
    after = now() + timedelta(milliseconds=1)
    document = await world.sources.database["uploads"].find_one({"_id": upload.id})
    assert document is not None
    earliest = before + timedelta(seconds=pause)
    assert earliest <= document["due_at"] <= earliest + 2 * (after - before)
