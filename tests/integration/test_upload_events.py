"""S3's events about uploads wake their ingestion. They are hints: nothing depends on them, and nobody is believed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from bson import ObjectId

from config import Settings
from datasources.jobs.aws_clients import UPLOADS, Addresses, open_clients
from datasources.jobs.aws_setup import prepare_upload_events
from datasources.jobs.opening import open_consumer
from datasources.media.upload_events import uploads_of
from datasources.media.uploads import new_key, upload_of
from datasources.sources import prepare
from domain.image_formats import SourceFormat
from domain.jobs import Fact, Job, Task
from domain.limits import RESERVATION_HOLD
from domain.records.uploads import UploadRecord, UploadStatus
from tests.support.amazon import Amazon
from tests.support.client import small_jpeg
from tests.support.factories import World, now, opened, with_own_buckets
from tests.support.own_databases import own_database
from tests.support.uploads import replace_file, sha256_base64, store_upload
from tests.support.waiting import eventually
from workers.handlers.upload_lease import POLLING, REPORTED, next_pause
from workers.runtime.upload_watch import watch_uploads

if TYPE_CHECKING:
    from types_aiobotocore_s3.type_defs import QueueConfigurationTypeDef


@pytest.fixture(scope="module")
async def world(shared_settings: Settings, amazon: Amazon) -> AsyncIterator[World]:
    """A world whose storage and events are Amazon's."""
    with own_database(amazon.settings(shared_settings, job_queue="redis", upload_events=True)) as settings:
        changes = {"s3_endpoint_url": amazon.url, "s3_public_endpoint_url": amazon.url}
        async with opened(with_own_buckets(settings.model_copy(update=changes))) as world:
            yield world


@asynccontextmanager
async def watching(world: World) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    task = asyncio.create_task(watch_uploads(world.sources, stopping))
    try:
        yield
    finally:
        stopping.set()
        await task


async def woken(world: World, number: int) -> set[Job | None]:
    """The next jobs of the media worker, which are so many."""
    jobs: list[Job | None] = []
    async with open_consumer(world.sources.settings, "media", "one") as queue:

        async def have_come() -> bool:
            messages = await queue.read(100, 0.1)
            jobs.extend(message.job for message in messages)
            await queue.acknowledge([message.id for message in messages])
            return len(jobs) >= number

        await eventually(have_come)
    return set(jobs)


def ingestion(upload: UploadRecord) -> Job:
    return Job(Task.INGEST, Fact.UPLOAD, str(upload.id))


async def send_event(world: World, body: str) -> None:
    settings = world.sources.settings
    async with open_clients(settings) as (_, sqs):
        await sqs.send_message(QueueUrl=await Addresses(sqs, settings).queue(UPLOADS), MessageBody=body)


def event(*keys: str) -> str:
    """An event of S3, as its documentation has it, about objects with these keys."""
    records = [
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": "any"}, "object": {"key": key, "size": 1, "eTag": "0"}},
        }
        for key in keys
    ]
    return msgspec.json.encode({"Records": records}).decode()


async def test_a_file_that_comes_wakes_its_ingestion_at_once(world: World) -> None:
    ana = await world.user()
    async with watching(world):
        uploads = [await store_upload(world, ana, small_jpeg()) for _ in range(2)]
        assert await woken(world, 2) == {ingestion(upload) for upload in uploads}


async def test_events_that_make_no_sense_wake_nobody_and_are_gone(world: World) -> None:
    ana = await world.user()
    test_event = '{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "any"}'
    for body in ("no JSON", "{}", "[]", '{"Records": [{"s3": null}]}', test_event, event("a.jpg", "x.y", "", "%")):
        await send_event(world, body)
    async with watching(world):
        data = small_jpeg()
        upload = await world.sources.uploads.announce(ana.id, SourceFormat.JPEG, len(data), sha256_base64(data), now())
        await replace_file(world, upload, data)
        assert await woken(world, 1) == {ingestion(upload)}

        async def are_gone() -> bool:
            settings = world.sources.settings
            async with open_clients(settings) as (_, sqs):
                url = await Addresses(sqs, settings).queue(UPLOADS)
                answer = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
            found = answer["Attributes"]
            return found["ApproximateNumberOfMessages"] == found["ApproximateNumberOfMessagesNotVisible"] == "0"

        await eventually(are_gone)


async def test_preparing_again_keeps_the_rules_that_others_have_set(world: World) -> None:
    settings, blobs = world.sources.settings, world.sources.blobs
    queue = await prepare_upload_events(settings)
    other: QueueConfigurationTypeDef = {"Id": "theirs", "QueueArn": queue, "Events": ["s3:ObjectRemoved:*"]}
    await blobs._client.put_bucket_notification_configuration(
        Bucket=settings.incoming_bucket,
        NotificationConfiguration={"QueueConfigurations": [other]},
    )
    for _ in range(2):
        await prepare(settings)
    rules = await blobs._client.get_bucket_notification_configuration(Bucket=settings.incoming_bucket)
    assert sorted(rule.get("Id", "") for rule in rules["QueueConfigurations"]) == ["photogram-uploads", "theirs"]


async def test_storage_without_events_is_prepared_all_the_same(shared_settings: Settings, amazon: Amazon) -> None:
    with own_database(amazon.settings(shared_settings, job_queue="redis", upload_events=True)) as settings:
        await prepare(with_own_buckets(settings))


def test_a_key_tells_its_upload_and_quoted_keys_are_read() -> None:
    first, second = ObjectId(), ObjectId()
    assert upload_of(new_key(first)) == first
    assert new_key(first) != new_key(first)
    assert uploads_of(event(new_key(first), f"a%2Bb+c.{second}", new_key(first))) == [first, second]
    assert uploads_of(event(*(new_key(ObjectId()) for _ in range(1_000)))) != []
    assert upload_of("an-older-key") is None


def test_workers_look_less_often_where_files_are_reported() -> None:
    upload = UploadRecord(
        id=ObjectId(), owner_id=ObjectId(), status=UploadStatus.AWAITING_BYTES, key="", format=SourceFormat.JPEG,
        byte_size=1, sha256="", created_at=now(), expires_at=now() + timedelta(minutes=15),
    )  # fmt: skip
    looks = {}
    for name, pauses in (("polling", POLLING), ("reported", REPORTED)):
        moment, times = upload.created_at, list[timedelta]()
        while moment < upload.last_arrival:
            moment += next_pause(upload, moment, pauses)
            times.append(moment - upload.created_at)
        assert RESERVATION_HOLD in times, "then the quota is free again"
        assert times[-1] == upload.last_arrival - upload.created_at, "then it has failed"
        looks[name] = len(times)
    assert looks["reported"] < looks["polling"] / 3
