"""Processes killed during their work: nothing acknowledged is lost, and everything happens once."""

import asyncio
import io
import secrets
from typing import Any

import httpx2
from bson import ObjectId
from PIL import Image

from domain.ids import to_global_id
from domain.image_formats import SourceFormat
from domain.paging import PageRequest
from domain.records.notifications import NotificationKind
from domain.records.posts import PostDraft, PostImage, PostRecord, PostStatus
from domain.records.uploads import UploadStatus
from domain.records.users import UserRecord
from tests.support.auditing import audit
from tests.support.client import Person
from tests.support.emptying import wipe_redis
from tests.support.factories import World, now
from tests.support.stack import Stack
from tests.support.uploads import files_of, put_file, sha256_base64
from tests.support.waiting import eventually

PATIENCE = 60.0


def photograph() -> bytes:
    """A JPEG that takes a worker long: large and full of detail."""
    picture = Image.frombytes("L", (4000, 3000), secrets.token_bytes(12_000_000)).convert("RGB")
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=70)
    return data.getvalue()


async def create_upload(world: World, owner: UserRecord, data: bytes) -> ObjectId:
    """An upload whose file a client has sent."""
    upload = await world.sources.uploads.announce(owner.id, SourceFormat.JPEG, len(data), sha256_base64(data), now())
    async with httpx2.AsyncClient() as http:
        (await put_file(world, upload, data, http)).raise_for_status()
    return upload.id


async def test_a_post_becomes_ready_once_when_its_worker_is_killed_while_rendering(world: World, stack: Stack) -> None:
    author, follower = await world.users(2)
    await world.follow(follower, author)
    upload_id = await create_upload(world, author, photograph())
    draft = PostDraft(images=[PostImage(upload_id=upload_id)], caption="survives")
    first = await stack.workers()
    post = await world.sources.publishing.create(author.id, draft, now())
    await world.sources.uploads.check_now([upload_id])

    async def is_being_rendered() -> bool:
        (upload,) = await world.sources.uploads.by_ids([upload_id])
        return upload is not None and upload.status is UploadStatus.PROCESSING

    await eventually(is_being_rendered, seconds=PATIENCE, every=0.01)
    first.kill()
    (upload,) = await world.sources.uploads.by_ids([upload_id])
    assert upload is not None
    assert upload.image is None, "the worker was killed too late to prove anything"
    assert (await world.stored_post(post.id)).status is PostStatus.PROCESSING

    await stack.workers()

    async def is_ready() -> bool:
        return (await world.stored_post(post.id)).status is PostStatus.READY

    await eventually(is_ready, seconds=PATIENCE)
    await audit(world, seconds=PATIENCE)
    await assert_published_once(world, author, follower, await world.stored_post(post.id))


async def assert_published_once(world: World, author: UserRecord, follower: UserRecord, post: PostRecord) -> None:
    sources = world.sources
    assert [notification.kind for notification in await world.inbox(author)].count(NotificationKind.POST_READY) == 1
    assert (await world.stored_user(author.id)).post_count == 1
    page = await sources.home_feed.page(follower.id, PageRequest(limit=10))
    assert [post_id for _, post_id in page.items] == [post.id]
    (image,) = post.images
    stored = set(await files_of(sources, image.id))
    assert stored == {rendition.key for rendition in image.renditions}
    assert [blob async for blob in sources.blobs.list_incoming((await only_upload(world)).get("key", ""))] == []


async def only_upload(world: World) -> dict[str, Any]:
    (upload,) = await world.sources.database["uploads"].find().to_list()
    return upload


async def test_acknowledged_mutations_survive_a_killed_api_and_a_wiped_redis(world: World, stack: Stack) -> None:
    author = await world.user()
    post = await world.post(author)
    global_id = to_global_id("Post", post.id)
    api = await stack.api()
    async with httpx2.AsyncClient(base_url=stack.url, timeout=20) as client:
        likers = await asyncio.gather(*(Person.register(client) for _ in range(4)))
        await asyncio.gather(*(liker.done("likePost", postId=global_id) for liker in likers))
    api.kill()
    await wipe_redis(world)
    await stack.workers()

    async def is_counted() -> bool:
        return (await world.stored_post(post.id)).like_count == len(likers)

    await eventually(is_counted, seconds=PATIENCE)
    await audit(world, seconds=PATIENCE, has_files=False)
    (liked,) = [each for each in await world.inbox(author) if each.kind is NotificationKind.POST_LIKED]
    assert liked.actor_count == len(likers)
