"""Images are shown as soon as every client can show them; the formats that save bytes come after, whatever happens."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import msgspec
import pytest

from config import Settings
from datasources.s3.keys import folder_of, is_in_area
from domain.errors import Refusal, UserErrorCode
from domain.image_formats import RenditionFormat, SourceFormat
from domain.jobs import Task
from domain.records.images import ImageRecord
from domain.records.posts import PostDraft, PostImage, PostRecord, PostStatus
from domain.records.uploads import UploadRecord
from domain.records.users import UserRecord
from domain.visibility import Area
from tests.support.client import small_jpeg
from tests.support.factories import World, now, opened
from tests.support.pictures import moving
from tests.support.uploads import files_of, replace_file, store_upload
from tests.support.waiting import eventually
from workers.handlers.add_formats import add_formats
from workers.handlers.clean_up import clean_upload
from workers.handlers.complete_post import complete_post
from workers.handlers.ingest import ingest
from workers.rendering.pool import RenderPool
from workers.rendering.rendered import Formats, Rendered
from workers.runtime.handler import RetryLater, Tools

JPEG, GIF, WEBP, AVIF = (RenditionFormat(name) for name in ("JPEG", "GIF", "WEBP", "AVIF"))


class Halting(RenderPool):
    """A pool that gives the first answer and holds the second back until the test lets it go on or fail."""

    def __init__(self) -> None:
        super().__init__(1, 60, 1024)
        self.has_shown = asyncio.Event()
        self.goes_on = asyncio.Event()
        self.failure: Exception | None = None

    @asynccontextmanager
    async def renderings(self, data: bytes, *passes: Formats) -> AsyncIterator[AsyncIterator[Rendered]]:
        async with super().renderings(data, *passes) as answers:
            yield self._held_back(answers)

    async def _held_back(self, answers: AsyncIterator[Rendered]) -> AsyncIterator[Rendered]:
        yield await anext(answers)
        self.has_shown.set()
        await self.goes_on.wait()
        if self.failure is not None:
            raise self.failure
        yield await anext(answers)


@pytest.fixture
async def pool() -> AsyncIterator[Halting]:
    async with Halting() as opened:
        yield opened


@pytest.fixture
def tools(world: World, pool: Halting) -> Tools:
    """The tools of a media worker, with that pool."""
    return Tools(sources=world.sources, pool=pool)


@pytest.fixture(scope="module")
async def adding_formats(world: World) -> AsyncIterator[Tools]:
    """The tools of the worker that adds formats."""
    async with RenderPool(1, 60, 1024) as pool:
        yield Tools(sources=world.sources, pool=pool)


async def create_post(world: World, owner: UserRecord, upload: UploadRecord) -> PostRecord:
    draft = PostDraft(images=[PostImage(upload_id=upload.id, alt_text="a sea")])
    return await world.sources.publishing.create(owner.id, draft, now())


async def begin_ingest(world: World, tools: Tools, pool: Halting, upload: UploadRecord) -> "asyncio.Task[None]":
    """The media worker's call, halted once it has shown the image."""
    ingesting = asyncio.create_task(ingest(tools, str(upload.id)))
    await asyncio.wait([ingesting, asyncio.create_task(pool.has_shown.wait())], return_when=asyncio.FIRST_COMPLETED)
    assert not ingesting.done(), ingesting
    return ingesting


async def kill_worker(world: World, ingesting: "asyncio.Task[None]", upload: UploadRecord) -> None:
    """Ends a worker's call where it stands, and waits until it has ended."""
    ingesting.cancel()
    await asyncio.wait([ingesting])
    assert Task.ADD_FORMATS.value in (await document(world, upload))["outbox"]


async def document(world: World, upload: UploadRecord) -> dict[str, Any]:
    row = await world.sources.database["uploads"].find_one({"_id": upload.id})
    assert row is not None
    return dict(row)


async def image_of(world: World, upload: UploadRecord) -> ImageRecord:
    (upload_record,) = await world.sources.uploads.by_ids([upload.id])
    assert upload_record is not None
    assert upload_record.image is not None
    return upload_record.image


def formats(image: ImageRecord) -> set[RenditionFormat]:
    return {rendition.format for rendition in image.renditions}


def keys(image: ImageRecord) -> set[str]:
    return {rendition.key for rendition in image.renditions}


async def stored_source(world: World, upload: UploadRecord) -> bytes | None:
    return await world.sources.blobs.read_incoming(upload.key, 1_000_000)


async def assert_nothing_else_is_stored(world: World, upload: UploadRecord, expected: set[str]) -> None:
    """Asserts that in the end exactly these files are stored, without the source, and that nothing is pending."""

    async def is_so() -> bool:
        await world.drain()
        return "outbox" not in await document(world, upload)

    await eventually(is_so)
    assert set(await files_of(world.sources, upload.id)) == expected
    assert await stored_source(world, upload) is None


async def test_a_post_is_shown_before_its_webp_exists_and_gets_it_later(
    world: World, tools: Tools, pool: Halting
) -> None:
    ana = await world.user(is_private=True)
    upload = await store_upload(world, ana, small_jpeg())
    post = await create_post(world, ana, upload)
    ingesting = await begin_ingest(world, tools, pool, upload)
    await complete_post(tools, str(post.id))
    shown = await world.stored_post(post.id)
    assert (shown.status, formats(shown.images[0])) == (PostStatus.READY, {JPEG})
    pool.goes_on.set()
    await ingesting
    complete = (await world.stored_post(post.id)).images[0]
    assert (formats(complete), complete.alt_text) == ({JPEG, WEBP}, "a sea")
    assert keys(complete) > keys(shown.images[0]), "addresses that clients have stay valid"
    widths = [rendition.width for rendition in complete.renditions]
    assert widths == sorted(widths)
    assert keys(await image_of(world, upload)) == keys(complete)
    assert (await document(world, upload))["outbox"] == ["clean_up"]
    await assert_nothing_else_is_stored(world, upload, keys(complete))


async def test_an_avatar_taken_before_its_webp_exists_gets_it_later(world: World, tools: Tools, pool: Halting) -> None:
    ana = await world.user(is_private=True)
    upload = await store_upload(world, ana, small_jpeg())
    ingesting = await begin_ingest(world, tools, pool, upload)
    taken = await world.sources.uploads.take_as_avatar(upload.id, ana.id)
    assert taken is not None
    await world.sources.users.update_profile(ana.id, {"avatar": taken.image})
    pool.goes_on.set()
    await ingesting
    avatar = (await world.stored_user(ana.id)).avatar
    assert avatar is not None
    assert formats(avatar) == {JPEG, WEBP}


async def test_the_source_stays_until_a_worker_that_died_is_replaced(
    world: World, tools: Tools, pool: Halting, adding_formats: Tools
) -> None:
    ana, data = await world.user(), small_jpeg()
    upload = await store_upload(world, ana, data)
    await kill_worker(world, await begin_ingest(world, tools, pool, upload), upload)
    await world.sources.images.schedule_clean_up(upload.id)
    with pytest.raises(RetryLater):
        await clean_upload(world.tools, str(upload.id))
    assert await stored_source(world, upload) == data
    await asyncio.gather(*(add_formats(adding_formats, str(upload.id)) for _ in range(3)))
    image = await image_of(world, upload)
    assert formats(image) == {JPEG, WEBP}
    await assert_nothing_else_is_stored(world, upload, keys(image))


async def test_formats_are_left_to_a_worker_that_is_still_alive(
    world: World, tools: Tools, pool: Halting, adding_formats: Tools
) -> None:
    upload = await store_upload(world, await world.user(), small_jpeg())
    ingesting = await begin_ingest(world, tools, pool, upload)
    await add_formats(adding_formats, str(upload.id))
    assert formats(await image_of(world, upload)) == {JPEG}
    pool.goes_on.set()
    await ingesting
    assert formats(await image_of(world, upload)) == {JPEG, WEBP}


async def test_a_worker_that_was_taken_for_dead_adds_nothing_twice(
    world: World, tools: Tools, pool: Halting, adding_formats: Tools
) -> None:
    upload = await store_upload(world, await world.user(), small_jpeg())
    ingesting = await begin_ingest(world, tools, pool, upload)
    await world.sources.uploads.release(upload.id, now())
    await add_formats(adding_formats, str(upload.id))
    before = await image_of(world, upload)
    assert formats(before) == {JPEG, WEBP}
    pool.goes_on.set()
    await ingesting
    assert await image_of(world, upload) == before
    await assert_nothing_else_is_stored(world, upload, keys(before))


@pytest.mark.parametrize("is_private", [True, False])
async def test_formats_are_added_in_the_area_to_which_the_files_were_moved(
    world: World, tools: Tools, pool: Halting, is_private: bool
) -> None:
    ana = await world.user(is_private=not is_private)
    upload = await store_upload(world, ana, small_jpeg())
    post = await create_post(world, ana, upload)
    ingesting = await begin_ingest(world, tools, pool, upload)
    await complete_post(tools, str(post.id))
    await world.sources.users.update_profile(ana.id, {"is_private": is_private})
    await world.drain()
    pool.goes_on.set()
    await ingesting
    image = await image_of(world, upload)
    assert is_in_area(image, Area.PRIVATE if is_private else Area.PUBLIC)
    assert formats(image) == {JPEG, WEBP}
    assert keys((await world.stored_post(post.id)).images[0]) == keys(image)
    await world.drain()
    waiting = await document(world, upload)
    assert is_private or waiting["due_at"] >= waiting["clean_up_at"]  # no worker is asked for what has to wait
    await world.sources.database["uploads"].update_one({"_id": upload.id}, {"$unset": {"clean_up_at": ""}})
    await assert_nothing_else_is_stored(world, upload, keys(image))


async def test_moving_files_and_adding_formats_concurrently_both_succeed(
    world: World, tools: Tools, pool: Halting
) -> None:
    ana = await world.user()
    upload = await store_upload(world, ana, small_jpeg())
    post = await create_post(world, ana, upload)
    ingesting = await begin_ingest(world, tools, pool, upload)
    await complete_post(tools, str(post.id))
    await world.sources.users.update_profile(ana.id, {"is_private": True})
    pool.goes_on.set()
    await asyncio.gather(ingesting, *(world.drain() for _ in range(2)))
    image = await image_of(world, upload)
    assert is_in_area(image, Area.PRIVATE)
    assert formats(image) == {JPEG, WEBP}
    await assert_nothing_else_is_stored(world, upload, keys(image))


async def test_a_post_deleted_between_its_formats_leaves_no_files(world: World, tools: Tools, pool: Halting) -> None:
    ana = await world.user()
    upload = await store_upload(world, ana, small_jpeg())
    post = await create_post(world, ana, upload)
    ingesting = await begin_ingest(world, tools, pool, upload)
    await world.sources.posts.delete(post.id, ana.id, now())
    await world.drain()
    pool.goes_on.set()
    await ingesting
    await assert_nothing_else_is_stored(world, upload, set())


async def test_a_post_deleted_while_its_image_is_made_leaves_no_files(world: World, adding_formats: Tools) -> None:
    ana = await world.user()
    upload = await store_upload(world, ana, small_jpeg())
    post = await create_post(world, ana, upload)
    assert await world.sources.uploads.claim(upload.id, now()) is not None
    await world.sources.posts.delete(post.id, ana.id, now())
    await world.drain()
    late = f"private/{upload.id}/0/late-150.jpg"
    await world.sources.blobs.put_media(late, b"late", "image/jpeg")
    await world.sources.uploads.release(upload.id, now())  # the worker is gone
    await assert_nothing_else_is_stored(world, upload, set())


@pytest.mark.parametrize("failure", [Refusal(UserErrorCode.IMAGE_CORRUPT, "no"), OSError("no"), TimeoutError()])
async def test_a_failure_after_an_image_is_shown_does_not_hide_it(
    world: World, tools: Tools, pool: Halting, adding_formats: Tools, failure: Exception
) -> None:
    upload = await store_upload(world, await world.user(), small_jpeg())
    pool.failure = failure
    pool.goes_on.set()
    await ingest(tools, str(upload.id))
    assert formats(await image_of(world, upload)) == {JPEG}
    await add_formats(adding_formats, str(upload.id))
    assert formats(await image_of(world, upload)) == {JPEG, WEBP}


@pytest.mark.parametrize("replacement", [None, small_jpeg((200, 0, 0))], ids=["nothing", "another picture"])
async def test_an_image_whose_source_is_gone_or_replaced_stays_as_it_is(
    world: World, tools: Tools, pool: Halting, adding_formats: Tools, replacement: bytes | None
) -> None:
    upload = await store_upload(world, await world.user(), small_jpeg())
    await kill_worker(world, await begin_ingest(world, tools, pool, upload), upload)
    await world.sources.blobs.delete_incoming([upload.key])
    if replacement is not None:
        await replace_file(world, upload, replacement)
    await add_formats(adding_formats, str(upload.id))
    image = await image_of(world, upload)
    assert formats(image) == {JPEG}
    await assert_nothing_else_is_stored(world, upload, keys(image))


@pytest.fixture(scope="module")
async def avif(shared_settings: Settings, world: World) -> AsyncIterator[Tools]:
    """The tools of workers with the setting."""
    settings = world.sources.settings.model_copy(update={"avif": True})
    async with opened(settings) as other, RenderPool(1, 60, 1024) as pool:
        yield replace(other.tools, pool=pool)


async def test_avif_is_added_last_by_another_worker_from_the_same_source(world: World, avif: Tools) -> None:
    data = small_jpeg()
    upload = await store_upload(world, await world.user(), data)
    await ingest(avif, str(upload.id))
    assert formats(await image_of(world, upload)) == {JPEG, WEBP}
    assert (await document(world, upload))["outbox"] == ["add_formats", "clean_up"]
    assert await stored_source(world, upload) == data
    await add_formats(avif, str(upload.id))
    image = await image_of(world, upload)
    assert formats(image) == {JPEG, WEBP, AVIF}
    for rendition in image.renditions:
        assert rendition.format is not AVIF or rendition.key.endswith(".avif"), rendition.key
    await assert_nothing_else_is_stored(world, upload, keys(image))


async def test_a_moving_image_gets_no_avif(world: World, avif: Tools) -> None:
    upload = await store_upload(world, await world.user(), moving((120, 90), 3), SourceFormat.GIF)
    await ingest(avif, str(upload.id))
    image = await image_of(world, upload)
    assert formats(image) == {JPEG, GIF, WEBP}
    assert (await document(world, upload))["outbox"] == ["clean_up"]


async def test_an_image_with_all_formats_has_nothing_pending(world: World, adding_formats: Tools) -> None:
    """As when a worker dies after it added the last format and before it recorded that."""
    upload = await store_upload(world, await world.user(), small_jpeg())
    await ingest(adding_formats, str(upload.id))
    before = await image_of(world, upload)
    pending: dict[str, Any] = {"$addToSet": {"outbox": Task.ADD_FORMATS.value}, "$set": {"due_at": now()}}
    await world.sources.database["uploads"].update_one({"_id": upload.id}, pending)
    await add_formats(adding_formats, str(upload.id))
    assert msgspec.structs.asdict(await image_of(world, upload)) == msgspec.structs.asdict(before)
    await assert_nothing_else_is_stored(world, upload, keys(before))


@pytest.fixture(scope="module")
async def keeping(world: World) -> AsyncIterator[World]:
    """The same database, with originals kept."""
    async with opened(world.sources.settings.model_copy(update={"keep_originals": True})) as other:
        yield other


async def test_a_kept_original_is_not_public_and_is_deleted_with_its_post(
    world: World, keeping: World, adding_formats: Tools
) -> None:
    ana, data, blobs = await world.user(), small_jpeg(), world.sources.blobs
    upload = await store_upload(world, ana, data)
    post = await create_post(world, ana, upload)
    await ingest(adding_formats, str(upload.id))
    await keeping.drain()
    kept = f"originals/{folder_of(ana.id, upload.id)}/0/{hashlib.sha256(data).hexdigest()[:32]}.jpg"
    files = keys((await world.stored_post(post.id)).images[0])
    assert set(await files_of(world.sources, upload.id)) == {kept, *files}
    assert blobs.public_url(kept) is None
    async with httpx2.AsyncClient(timeout=20) as web:
        address = f"{world.sources.settings.media_bucket_url}/{kept}"
        assert (await web.get(address)).status_code == 403
        (signed,) = await blobs.signed_urls([kept])
        assert (await web.get(signed)).content == data
    await world.sources.images.schedule_clean_up(upload.id)
    await keeping.drain()
    assert kept in await files_of(world.sources, upload.id)
    await world.sources.posts.delete(post.id, ana.id, now())
    await keeping.drain()
    await assert_nothing_else_is_stored(world, upload, set())


async def test_a_rejected_original_is_not_kept(world: World, keeping: World, adding_formats: Tools) -> None:
    upload = await store_upload(world, await world.user(), b"no picture")
    await ingest(adding_formats, str(upload.id))
    await keeping.drain()
    assert await files_of(world.sources, upload.id) == []
    assert await stored_source(world, upload) is None
