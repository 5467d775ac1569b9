"""The placing worker killed while an account turns private and public: no file ends where it does not belong."""

import asyncio
import itertools
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from random import Random

import httpx2
import msgspec
import pytest
from bson import ObjectId

from config import Settings
from datasources.media.images import Move
from datasources.s3.keys import is_in_area, is_public
from domain.image_formats import SourceFormat
from domain.limits import IMAGES_PER_DAY
from domain.records.images import ImageRecord
from domain.records.posts import PostDraft, PostImage
from domain.records.users import UserRecord
from domain.visibility import Area
from tests.support.auditing import audit
from tests.support.factories import World, image, now, with_own_buckets
from tests.support.stack import Stack
from tests.support.waiting import eventually
from workers.maintenance.gc import collect

WORKERS = ("files", "janitor", "relay")
IMAGES_PER_POST = 3
LONGEST_LIFE = 0.2  # seconds, after it has begun to move files
PATIENCE = 120.0

Record = Callable[[str, object], None]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With buckets of the test's own, for `gc` clears away what others' tests have stored."""
    return with_own_buckets(settings)


async def ready_post(world: World, author: UserRecord, day: int) -> list[ObjectId]:
    """The uploads of a post of a public account, with files in storage; each holds its own key."""
    sources, made = world.sources, []
    for _ in range(IMAGES_PER_POST):
        upload = await sources.uploads.announce(
            author.id, SourceFormat.JPEG, 1000, "c2hh", now(), counts_at=now() - timedelta(days=day)
        )
        shown = image(upload.id, Area.PUBLIC)
        for one in shown.renditions:
            await sources.blobs.put_media(one.key, one.key.encode(), one.format.media_type)
        await sources.uploads.record_image(upload.id, shown)
        made.append(shown)
    draft = PostDraft(images=[PostImage(upload_id=one.id) for one in made])
    post = await sources.publishing.create(author.id, draft, now())
    assert await sources.images.publish(post.id, [Move(one, one) for one in made], now())
    return [one.id for one in made]


async def images_of(world: World, upload_ids: list[ObjectId]) -> list[ImageRecord]:
    found = await world.sources.uploads.by_ids(upload_ids)
    return [upload.image for upload in found if upload is not None and upload.image is not None]


async def is_amid(world: World, upload_ids: list[ObjectId], versions: int) -> bool:
    """Whether files are being moved at this moment, or have been since the versions were added up."""
    changed = sum(one.version for one in await images_of(world, upload_ids)) > versions
    return changed or await are_moving(world, upload_ids)


async def are_moving(world: World, upload_ids: list[ObjectId]) -> bool:
    """Whether a move of one of these has begun and was not recorded."""
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
    addresses: set[str] = set()  # every public one there ever was, and those a follower could guess
    amid = 0
    for number in range(kills):
        before = await images_of(world, ids)
        worker = await stack.workers(*WORKERS)
        await world.sources.users.update_profile(ana.id, {"is_private": number % 2 == 0})
        versions = sum(one.version for one in before)
        await eventually(partial(is_amid, world, ids, versions), seconds=PATIENCE, every=0.01)
        await asyncio.sleep(rng.uniform(0, LONGEST_LIFE))
        worker.kill()
        areas = {is_in_area(one, Area.PUBLIC) for one in await images_of(world, ids)}
        amid += len(areas) == 2 or await are_moving(world, ids)
        addresses |= guessable(await images_of(world, ids))
    await world.sources.users.update_profile(ana.id, {"is_private": True})
    await stack.workers(*WORKERS)
    await audit(world, seconds=PATIENCE)
    record_property("images", len(ids))
    record_property("kills", kills)
    record_property("amid_work", amid)
    await assert_all_lie_in(world, ids, Area.PRIVATE)
    addresses |= guessable(await images_of(world, ids))
    assert await readable(world, addresses) == []
    before_gc = {one.id: set(await world.sources.blobs.media_of(one.id)) for one in await images_of(world, ids)}
    record_property("extra_before_gc", sum(len(found) for found in before_gc.values()) - 8 * len(ids))
    await collect(world.sources, min_age=timedelta(0))
    for one in await images_of(world, ids):
        assert set(await world.sources.blobs.media_of(one.id)) == {each.key for each in one.renditions}
    await world.sources.users.update_profile(ana.id, {"is_private": False})
    await audit(world, seconds=PATIENCE)
    await assert_all_lie_in(world, ids, Area.PUBLIC)


def guessable(images: list[ImageRecord]) -> set[str]:
    """The public keys of these images' files at this version and those around it, wherever they lie."""
    names = {
        (one.id, one.version + step, key.key.rpartition("/")[2])
        for one in images
        for key in one.renditions
        for step in (-1, 0, 1)
    }
    return {f"{Area.PUBLIC.value}/{upload_id}/{version}/{name}" for upload_id, version, name in names if version >= 0}


async def readable(world: World, keys: set[str]) -> list[str]:
    """Those of these keys that anybody can fetch."""
    base, slots = world.sources.settings.media_bucket_url, asyncio.Semaphore(16)
    async with httpx2.AsyncClient(timeout=60) as web:

        async def status(key: str) -> int:
            async with slots:
                return (await web.get(f"{base}/{key}")).status_code

        found = await asyncio.gather(*(status(key) for key in sorted(keys)))
    return [key for key, code in zip(sorted(keys), found, strict=True) if code not in (403, 404)]


async def assert_all_lie_in(world: World, ids: list[ObjectId], area: Area) -> None:
    """Uploads and posts say so alike, and the files are there, each with the bytes it always had."""
    images = await images_of(world, ids)
    assert len(images) == len(ids)
    posts = await world.sources.database["posts"].find({"upload_ids": {"$in": ids}}).to_list()
    shown = {one["_id"] if "_id" in one else one["id"]: one for post in posts for one in post["images"]}
    for one in images:
        assert is_in_area(one, area), one.renditions[0].key
        named = {each.key for each in one.renditions}
        assert {each["key"] for each in shown[one.id]["renditions"]} == named
        assert named <= set(await world.sources.blobs.media_of(one.id))
        assert all(is_public(key) is (area is Area.PUBLIC) for key in named)
        assert msgspec.structs.asdict(one)["version"] == shown[one.id]["version"]
