"""Files lie in the public area exactly while strangers may see their images, whatever happens at the same time."""

import asyncio
import gc
import random
from collections.abc import AsyncIterator

import pytest
from bson import ObjectId

from config import Settings
from datasources.media.images import Move
from datasources.s3.keys import account_part, folder_of, is_in_area, moved
from domain.image_formats import SourceFormat
from domain.jobs import Fact, Job, Task
from domain.records.images import ImageRecord
from domain.records.posts import PostDraft, PostImage, PostRecord, PostStatus
from domain.records.uploads import UploadRecord
from domain.records.users import UserRecord
from domain.visibility import Area
from tests.support.factories import World, image, now, opened
from tests.support.own_databases import own_database
from tests.support.uploads import files_of
from tests.support.waiting import eventually
from workers.handlers.image_files import copy_files
from workers.handlers.move_files import move_files_of_post, move_files_of_user
from workers.maintenance.verify import verify
from workers.maintenance.walk import Walk


@pytest.fixture(scope="module")
async def world(shared_settings: Settings) -> AsyncIterator[World]:
    """Sources whose signed addresses live for two seconds, so that old files are soon deleted."""
    with own_database(shared_settings, signed_url_ttl=2) as settings:
        async with opened(settings) as world:
            yield world


async def ready_upload(world: World, owner: UserRecord, *, has_older_keys: bool = False) -> ObjectId:
    """An upload with an image whose files are in storage, as the media worker leaves it."""
    sources = world.sources
    upload = await sources.uploads.announce(owner.id, SourceFormat.JPEG, 1000, "c2hh", now())
    made = image(upload.id, Area.PRIVATE, None if has_older_keys else folder_of(owner.id, upload.id))
    if has_older_keys:
        await sources.database["uploads"].update_one({"_id": upload.id}, {"$unset": {"has_account_folder": ""}})
    for rendition in made.renditions:
        await sources.blobs.put_media(rendition.key, rendition.key.encode(), rendition.format.media_type)
    await sources.uploads.record_image(upload.id, made)
    return upload.id


async def create_post(world: World, author: UserRecord, *upload_ids: ObjectId) -> PostRecord:
    """A post that is not complete yet."""
    draft = PostDraft(images=[PostImage(upload_id=upload_id, alt_text="a sea") for upload_id in upload_ids])
    return await world.sources.publishing.create(author.id, draft, now())


async def ready_post(world: World, author: UserRecord) -> PostRecord:
    """A published post. Nothing is pending but the clean-up, which has to wait."""
    post = await create_post(world, author, await ready_upload(world, author))
    await world.drain()
    return await world.stored_post(post.id)


async def stored_upload(world: World, upload_id: ObjectId) -> UploadRecord:
    (upload,) = await world.sources.uploads.by_ids([upload_id])
    assert upload is not None
    return upload


async def stored_image(world: World, upload_id: ObjectId) -> ImageRecord:
    record = (await stored_upload(world, upload_id)).image
    assert record is not None
    return record


def keys(record: ImageRecord) -> set[str]:
    return {rendition.key for rendition in record.renditions}


async def assert_stored(world: World, upload_id: ObjectId, area: Area) -> ImageRecord:
    """Asserts that the image lies in this area, and that in the end no other file of the upload is stored."""
    record = await stored_image(world, upload_id)
    assert is_in_area(record, area)

    async def nothing_else() -> bool:
        await world.drain()
        return set(await files_of(world.sources, upload_id)) == keys(record)

    await eventually(nothing_else)
    return record


async def set_private(world: World, user: UserRecord, is_private: bool) -> None:
    await world.sources.users.update_profile(user.id, {"is_private": is_private})


@pytest.mark.parametrize(("is_private", "area"), [(False, Area.PUBLIC), (True, Area.PRIVATE)])
async def test_the_files_of_a_published_post_lie_in_the_area_of_its_account(
    world: World, is_private: bool, area: Area
) -> None:
    ana = await world.user(is_private=is_private)
    post = await ready_post(world, ana)
    (shown,) = post.images
    assert (post.status, shown.alt_text) == (PostStatus.READY, "a sea")
    stored = await assert_stored(world, shown.id, area)
    assert keys(shown) == keys(stored)


async def test_an_image_that_no_post_shows_is_private(world: World) -> None:
    ana = await world.user()
    upload_id = await ready_upload(world, ana)
    await world.drain()
    assert is_in_area(await stored_image(world, upload_id), Area.PRIVATE)


async def test_private_files_of_a_published_image_stay_until_their_addresses_expire(world: World) -> None:
    ana = await world.user()
    upload_id = await ready_upload(world, ana)
    private = keys(await stored_image(world, upload_id))
    await create_post(world, ana, upload_id)
    assert await world.drain() == {Job(Task.CLEAN_UP, Fact.UPLOAD, str(upload_id))}
    assert private < set(await files_of(world.sources, upload_id))
    await assert_stored(world, upload_id, Area.PUBLIC)


async def test_going_private_ends_the_public_addresses_at_once_and_going_public_makes_new_ones(world: World) -> None:
    ana = await world.user()
    posts = [await ready_post(world, ana) for _ in range(3)]
    addresses = [keys(posts[0].images[0])]
    for is_private, area in ((True, Area.PRIVATE), (False, Area.PUBLIC), (True, Area.PRIVATE)):
        await set_private(world, ana, is_private)
        await world.drain()
        shown = [(await world.stored_post(post.id)).images[0] for post in posts]
        for record in shown:
            assert is_in_area(record, area)
            assert keys(record) <= set(await files_of(world.sources, record.id))
            assert keys(record) == keys(await stored_image(world, record.id))
            assert record.alt_text == "a sea"
        if is_private:
            for record in shown:
                assert not [key for key in await files_of(world.sources, record.id) if key.startswith("public/")]
        assert not keys(shown[0]) & set().union(*addresses)
        addresses.append(keys(shown[0]))


async def test_setting_the_same_privacy_again_moves_no_files(world: World) -> None:
    ana = await world.user()
    post = await ready_post(world, ana)
    for _ in range(2):
        await set_private(world, ana, False)
        await world.drain()
        await move_files_of_user(world.tools, str(ana.id))
    assert (await world.stored_post(post.id)).images[0].version == 1


async def test_an_avatar_is_public_also_of_a_private_account_and_a_replaced_one_is_not(world: World) -> None:
    ana = await world.user(is_private=True)
    old, new = [await ready_upload(world, ana) for _ in range(2)]
    for upload_id in (old, new):
        taken = await world.sources.uploads.take_as_avatar(upload_id, ana.id)
        assert taken is not None
        await world.sources.users.update_profile(ana.id, {"avatar": taken.image})
        await world.drain()
        avatar = (await world.stored_user(ana.id)).avatar
        assert avatar is not None
        assert keys(avatar) == keys(await assert_stored(world, upload_id, Area.PUBLIC))
    await assert_stored(world, old, Area.PRIVATE)


async def test_a_suspended_account_has_nothing_public(world: World) -> None:
    ana = await world.user()
    post = await ready_post(world, ana)
    await world.sources.users.update_profile(ana.id, {"state": "SUSPENDED"})
    await world.drain()
    await assert_stored(world, post.images[0].id, Area.PRIVATE)


async def test_a_post_is_not_published_from_an_image_read_before_a_move(world: World) -> None:
    ana = await world.user()
    upload_id = await ready_upload(world, ana)
    post = await create_post(world, ana, upload_id)
    read = await stored_image(world, upload_id)
    move = Move(read, moved(read, Area.PUBLIC, folder_of(ana.id, read.id, post.id)))
    assert await copy_files(world.sources, move)
    assert await world.sources.images.move(ana.id, move)
    assert not await world.sources.images.publish(post.id, [Move(read, read)], now())
    assert (await world.stored_post(post.id)).status is PostStatus.PROCESSING
    await world.drain()
    assert keys((await world.stored_post(post.id)).images[0]) == keys(move.after)


async def test_a_post_published_while_its_account_turned_private_ends_private(world: World) -> None:
    ana = await world.user()
    upload_id = await ready_upload(world, ana)
    post = await create_post(world, ana, upload_id)
    read = await stored_image(world, upload_id)
    move = Move(read, moved(read, Area.PUBLIC, folder_of(ana.id, read.id, post.id)))
    await set_private(world, ana, True)
    await move_files_of_user(world.tools, str(ana.id))
    await copy_files(world.sources, move)
    assert await world.sources.images.publish(post.id, [move], now())
    await move_files_of_post(world.tools, str(post.id))
    assert is_in_area((await world.stored_post(post.id)).images[0], Area.PRIVATE)
    await assert_stored(world, upload_id, Area.PRIVATE)


# What is cancelled while it opens a connection leaves the closing of it to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_files_end_where_they_belong_whatever_is_stopped_and_toggled(world: World, seed: int) -> None:
    chance = random.Random(seed)
    ana = await world.user()
    uploads = [await ready_upload(world, ana) for _ in range(4)]
    posts = [await create_post(world, ana, uploads[0]), await create_post(world, ana, *uploads[1:3])]
    is_private = False
    for number in range(12):
        is_private = not is_private
        await set_private(world, ana, is_private)
        if number == 6:
            posts.append(await create_post(world, ana, uploads[3]))
        working = [asyncio.create_task(world.drain()) for _ in range(3)]
        await asyncio.sleep(chance.uniform(0, 0.25))  # stopped anywhere
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    del working, task
    gc.collect()
    await set_private(world, ana, is_private)
    await world.drain()
    area = Area.PRIVATE if is_private else Area.PUBLIC
    for post in [await world.stored_post(post.id) for post in posts]:
        assert post.status is PostStatus.READY
        for shown in post.images:
            assert keys(shown) <= set(await files_of(world.sources, shown.id))
            assert keys(shown) == keys(await stored_image(world, shown.id))
            assert is_in_area(shown, area)


async def test_concurrent_moves_of_the_same_files_leave_one_set_of_them(world: World) -> None:
    ana = await world.user()
    post = await ready_post(world, ana)
    await set_private(world, ana, True)
    await asyncio.gather(*(move_files_of_user(world.tools, str(ana.id)) for _ in range(5)), return_exceptions=True)
    await world.drain()
    assert (await assert_stored(world, post.images[0].id, Area.PRIVATE)).version == 2


@pytest.mark.parametrize("is_private", [False, True])
async def test_copies_that_were_never_recorded_go_when_their_account_turns_back(world: World, is_private: bool) -> None:
    """As when a worker dies during a move. Public copies of a private image would otherwise stay readable."""
    ana = await world.user(is_private=is_private)
    post = await ready_post(world, ana)
    read = post.images[0]
    there = Area.PUBLIC if is_private else Area.PRIVATE
    await set_private(world, ana, not is_private)
    assert await copy_files(
        world.sources, Move(read, moved(read, there, folder_of(ana.id, read.id, post.id if is_private else None)))
    )
    await set_private(world, ana, is_private)
    await world.drain()
    here = Area.PRIVATE if is_private else Area.PUBLIC
    image = await assert_stored(world, read.id, here)
    assert keys(image) == keys(read) == keys((await world.stored_post(post.id)).images[0])


async def test_copies_of_a_post_that_was_never_published_go_when_its_account_turned_private(world: World) -> None:
    ana = await world.user()
    upload_id = await ready_upload(world, ana)
    post = await create_post(world, ana, upload_id)
    read = await stored_image(world, upload_id)
    assert await copy_files(world.sources, Move(read, moved(read, Area.PUBLIC, folder_of(ana.id, read.id, post.id))))
    await set_private(world, ana, True)
    await world.drain()
    assert (await world.stored_post(post.id)).status is PostStatus.READY
    await assert_stored(world, upload_id, Area.PRIVATE)


async def test_files_with_keys_of_the_older_form_are_moved_and_cleaned_up_like_others(world: World) -> None:
    ana = await world.user()
    upload_id = await ready_upload(world, ana, has_older_keys=True)
    older = keys(await stored_image(world, upload_id))
    post = await create_post(world, ana, upload_id)
    await world.drain()
    assert older < set(await files_of(world.sources, upload_id))
    await assert_stored(world, upload_id, Area.PUBLIC)
    await set_private(world, ana, True)
    await world.drain()
    await assert_stored(world, upload_id, Area.PRIVATE)
    await world.sources.posts.delete(post.id, ana.id, now())
    await world.drain()
    assert await files_of(world.sources, upload_id) == []


async def test_public_files_of_a_post_lie_in_one_folder_of_their_account(world: World) -> None:
    ana = await world.user()
    post = await create_post(world, ana, *[await ready_upload(world, ana) for _ in range(2)])
    await world.drain()
    images = (await world.stored_post(post.id)).images
    folder = f"public/{account_part(ana.id)}/{post.id}/"
    assert all(key.startswith(folder) for shown in images for key in keys(shown))


async def test_an_image_that_may_lie_in_another_posts_folder_is_not_copied_to_a_second(world: World) -> None:
    ana = await world.user()
    upload_id, first, second = await ready_upload(world, ana), ObjectId(), ObjectId()
    read = await stored_image(world, upload_id)
    for post_id, is_free in ((first, True), (second, False), (first, True)):
        move = Move(read, moved(read, Area.PUBLIC, folder_of(ana.id, upload_id, post_id)))
        assert await copy_files(world.sources, move) is is_free
        assert await world.sources.images.place_for(upload_id, post_id) is is_free


async def test_a_deleted_post_leaves_nothing_in_either_area(world: World) -> None:
    ana = await world.user()
    post = await ready_post(world, ana)
    upload_id = post.images[0].id
    assert {key.partition("/")[0] for key in await files_of(world.sources, upload_id)} == {"public", "private"}
    await world.sources.posts.delete(post.id, ana.id, now())
    await world.drain()
    assert await files_of(world.sources, upload_id) == []


async def test_verify_finds_files_in_the_wrong_area(world: World) -> None:
    ana = await world.user()
    post = await ready_post(world, ana)
    await world.sources.database["users"].update_one({"_id": ana.id}, {"$set": {"is_private": True}})
    findings = (await verify(Walk(sources=world.sources))).findings
    assert [finding.id for finding in findings if finding.kind == "post.area"] == [str(post.id)]
