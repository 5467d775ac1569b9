"""The worker that moves files killed while an account turns private and public: no file ends in the wrong area."""

import asyncio
import itertools
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from random import Random

import httpx2
import pytest
from bson import ObjectId

from config import Settings
from datasources.media.images import Move
from datasources.s3.keys import MediaKey, folder_of, is_in_area, is_public
from domain.image_formats import SourceFormat
from domain.limits import IMAGES_PER_DAY
from domain.records.images import ImageRecord
from domain.records.posts import PostDraft, PostImage
from domain.records.users import UserRecord
from domain.visibility import Area
from tests.support.auditing import audit
from tests.support.factories import World, image, now, with_own_buckets
from tests.support.stack import Stack
from tests.support.uploads import files_of
from tests.support.waiting import eventually
from workers.maintenance.gc.steps import collect

WORKERS = ("files", "listings", "janitor", "relay")
IMAGES_PER_POST = 3
LONGEST_LIFE = 0.2  # seconds after it has begun to move files
PATIENCE = 120.0

Record = Callable[[str, object], None]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With buckets of the test's own, for `gc` deletes what other tests have stored."""
    return with_own_buckets(settings)


async def ready_post(world: World, author: UserRecord, day: int) -> list[ObjectId]:
    """Creates a READY post of a public account. Each of its files holds its own key. Returns the ids of its uploads."""
    sources, made = world.sources, []
    for _ in range(IMAGES_PER_POST):
        upload = await sources.uploads.announce(
            author.id, SourceFormat.JPEG, 1000, "c2hh", now(), counts_at=now() - timedelta(days=day)
        )
        shown = image(upload.id, Area.PUBLIC, folder_of(upload.owner_id, upload.id))
        for one in shown.renditions:
            await sources.blobs.put_media(one.key, one.key.encode(), one.format.media_type)
        await sources.uploads.record_image(upload.id, shown)
        made.append(shown)
    draft = PostDraft(images=[PostImage(upload_id=one.id) for one in made])
    post = await sources.publishing.create(author.id, draft, now())
    assert await sources.images.publish(post.id, [Move(one, one) for one in made], now())
    return [one.id for one in made]


async def images_of(world: World, upload_ids: list[ObjectId]) -> list[ImageRecord]:
    uploads = await world.sources.uploads.by_ids(upload_ids)
    return [upload.image for upload in uploads if upload is not None and upload.image is not None]


async def has_begun(world: World, upload_ids: list[ObjectId], versions: int) -> bool:
    """Whether files are being moved, or were moved since the versions had this sum."""
    changed = sum(image.version for image in await images_of(world, upload_ids)) > versions
    return changed or await are_moving(world, upload_ids)


async def are_moving(world: World, upload_ids: list[ObjectId]) -> bool:
    """Whether a move of one of these files has begun and is not recorded as done."""
    begun = {"_id": {"$in": upload_ids}, "is_moving": True}
    return bool(await world.sources.database["uploads"].count_documents(begun, limit=1))


async def test_no_file_ends_in_the_wrong_area_however_often_the_worker_is_killed(
    world: World, stack: Stack, rng: Random, full_size: bool, record_property: Record
) -> None:
    posts, kills = (20, 15) if full_size else (4, 3)
    ana = await world.user()
    per_day = IMAGES_PER_DAY // IMAGES_PER_POST
    ids = list(itertools.chain(*[await ready_post(world, ana, number // per_day) for number in range(posts)]))
    await world.drain()
    addresses: set[str] = set()  # every public one so far, and those that a follower could guess
    kills_during_work = 0
    for number in range(kills):
        before = await images_of(world, ids)
        worker = await stack.workers(*WORKERS)
        await world.sources.users.update_profile(ana.id, {"is_private": number % 2 == 0})
        versions = sum(image.version for image in before)
        await eventually(partial(has_begun, world, ids, versions), seconds=PATIENCE, every=0.01)
        await asyncio.sleep(rng.uniform(0, LONGEST_LIFE))
        worker.kill()
        areas = {is_in_area(image, Area.PUBLIC) for image in await images_of(world, ids)}
        kills_during_work += len(areas) == 2 or await are_moving(world, ids)
        addresses |= await guessable(world, ids)
    await world.sources.users.update_profile(ana.id, {"is_private": True})
    await stack.workers(*WORKERS)
    await audit(world, seconds=PATIENCE)
    record_property("images", len(ids))
    record_property("kills", kills)
    record_property("kills_during_work", kills_during_work)
    await assert_all_lie_in(world, ids, Area.PRIVATE)
    addresses |= await guessable(world, ids)
    assert await readable(world, addresses) == []
    before_gc = {image.id: set(await files_of(world.sources, image.id)) for image in await images_of(world, ids)}
    record_property("extra_before_gc", sum(len(keys) for keys in before_gc.values()) - 8 * len(ids))
    await collect(world.sources, min_age=timedelta(0))
    for moved in await images_of(world, ids):
        assert set(await files_of(world.sources, moved.id)) == {each.key for each in moved.renditions}
    await world.sources.users.update_profile(ana.id, {"is_private": False})
    await audit(world, seconds=PATIENCE)
    await assert_all_lie_in(world, ids, Area.PUBLIC)


async def guessable(world: World, upload_ids: list[ObjectId]) -> set[str]:
    """The keys that these images' files can have in the public area, at this version and the ones next to it."""
    uploads = [upload for upload in await world.sources.uploads.by_ids(upload_ids) if upload is not None]
    return {
        str(MediaKey(Area.PUBLIC, folder_of(upload.owner_id, upload.id, post_id), version, name))
        for upload in uploads
        if upload.image is not None
        for name in {rendition.key.rpartition("/")[2] for rendition in upload.image.renditions}
        for version in range(max(upload.image.version - 1, 0), upload.image.version + 2)
        for post_id in (None, upload.post_id)
    }


async def readable(world: World, keys: set[str]) -> list[str]:
    """The keys that anybody can fetch."""
    base, slots = world.sources.settings.media_bucket_url, asyncio.Semaphore(16)
    async with httpx2.AsyncClient(timeout=60) as web:

        async def status(key: str) -> int:
            async with slots:
                return (await web.get(f"{base}/{key}")).status_code

        statuses = await asyncio.gather(*(status(key) for key in sorted(keys)))
    return [key for key, code in zip(sorted(keys), statuses, strict=True) if code not in (403, 404)]


async def assert_all_lie_in(world: World, ids: list[ObjectId], area: Area) -> None:
    """Uploads and posts name files of this area, which are in storage."""
    images = await images_of(world, ids)
    assert len(images) == len(ids)
    posts = await world.sources.database["posts"].find({"upload_ids": {"$in": ids}}).to_list()
    shown = {image["_id"] if "_id" in image else image["id"]: image for post in posts for image in post["images"]}
    for stored in images:
        assert is_in_area(stored, area), stored.renditions[0].key
        named = {each.key for each in stored.renditions}
        assert {each["key"] for each in shown[stored.id]["renditions"]} == named
        assert named <= set(await files_of(world.sources, stored.id))
        assert all(is_public(key) is (area is Area.PUBLIC) for key in named)
        assert stored.version == shown[stored.id]["version"]
