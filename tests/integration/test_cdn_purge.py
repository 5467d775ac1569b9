"""What is deleted from storage is removed from the CDN: a real nginx, and CloudFront as moto's server has it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from botocore.exceptions import ClientError
from bson import ObjectId

from config import Settings
from datasources.mongo import clock
from datasources.outages import is_outage
from datasources.s3.cdn import Cdn, CdnBusyError, CdnRefusedError, open_cdn
from datasources.s3.keys import account_part, folder_of
from datasources.s3.storage import LONGEST_AT_EDGES
from domain.image_formats import SourceFormat
from domain.records.posts import PostDraft, PostImage, PostRecord
from domain.records.users import UserRecord
from domain.visibility import Area
from tests.support.amazon import Amazon, running_amazon
from tests.support.factories import World, changed_sources, image, now, opened
from tests.support.nginx import NGINX, nginx
from tests.support.own_databases import own_database
from workers.handlers.purge_cdn import purge_cdn
from workers.runtime.handler import RetryLater, Tools

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@pytest.fixture(scope="module")
async def edge(shared_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The address of the media bucket at an nginx."""
    async with nginx(shared_settings, tmp_path_factory.mktemp("nginx")) as url:
        yield f"{url}/{shared_settings.media_bucket}"


@pytest.fixture(scope="module")
async def world(shared_settings: Settings, edge: str) -> AsyncIterator[World]:
    with own_database(shared_settings, cdn_purge_urls=(edge,), media_base_url=edge, signed_url_ttl=2) as settings:
        async with opened(settings) as world:
            yield world


async def ready_post(world: World, author: UserRecord, images: int = 1) -> PostRecord:
    """A published post whose files are in storage."""
    sources, upload_ids = world.sources, list[ObjectId]()
    for _ in range(images):
        upload = await sources.uploads.announce(author.id, SourceFormat.JPEG, 1000, "c2hh", now())
        made = image(upload.id, Area.PRIVATE, folder_of(author.id, upload.id))
        for rendition in made.renditions:
            await sources.blobs.put_media(rendition.key, rendition.key.encode(), rendition.format.media_type)
        await sources.uploads.record_image(upload.id, made)
        upload_ids.append(upload.id)
    draft = PostDraft(images=[PostImage(upload_id=upload_id) for upload_id in upload_ids])
    post = await sources.publishing.create(author.id, draft, now())
    await world.drain()
    return await world.stored_post(post.id)


def keys(post: PostRecord) -> list[str]:
    return [rendition.key for image in post.images for rendition in image.renditions]


def addresses(world: World, post: PostRecord) -> list[str]:
    return [world.sources.blobs.public_url(key) or "" for key in keys(post)]


async def statuses(web: httpx2.AsyncClient, urls: list[str]) -> set[int]:
    return {answer.status_code for answer in await asyncio.gather(*map(web.get, urls))}


async def pending(world: World) -> int:
    return await world.sources.database["purges"].count_documents({})


async def test_a_deleted_post_is_gone_from_the_edge_and_others_stay(world: World, web: httpx2.AsyncClient) -> None:
    ana = await world.user()
    deleted, kept = [await ready_post(world, ana) for _ in range(2)]
    urls = [addresses(world, post) for post in (deleted, kept)]
    for each in urls:
        assert await statuses(web, each) == {200}
    await world.sources.blobs.delete_media(keys(kept))
    await world.sources.posts.delete(deleted.id, ana.id, now())
    await world.drain()
    assert await statuses(web, urls[0]) == {404}
    assert await statuses(web, urls[1]) == {200}, "the edge has copies of what nobody purged"
    assert await pending(world) == 0


async def test_going_private_and_back_shows_no_old_address(world: World, web: httpx2.AsyncClient) -> None:
    ana = await world.user()
    post = await ready_post(world, ana, images=2)
    urls = addresses(world, post)
    assert await statuses(web, urls) == {200}
    for is_private in (True, False):
        await world.sources.users.update_profile(ana.id, {"is_private": is_private})
        await world.drain()
        assert await statuses(web, urls) == {404}
    assert await statuses(web, addresses(world, await world.stored_post(post.id))) == {200}


async def test_a_process_that_dies_before_it_deletes_leaves_the_deletion_and_the_purge_to_others(
    world: World, web: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = await ready_post(world, await world.user())
    urls = addresses(world, post)
    assert await statuses(web, urls) == {200}
    with monkeypatch.context() as dying:

        async def die(_keys: object) -> None:
            raise KeyboardInterrupt

        dying.setattr(world.sources.blobs, "delete_media", die)
        with pytest.raises(KeyboardInterrupt):
            await world.sources.purges.delete_media(keys(post))
    await world.drain()
    assert await statuses(web, urls) == {404}
    assert await statuses(web, [f"{world.sources.settings.media_bucket_url}/{key}" for key in keys(post)]) == {404}


async def test_an_edge_that_is_away_or_broken_leaves_the_purge_pending(world: World) -> None:
    ana = await world.user()
    key, job = f"public/{folder_of(ana.id, ObjectId())}/0/a.jpg", str(account_part(ana.id))
    await world.sources.purges.delete_media([key])

    async def handle(request: asyncio.StreamReader, response: asyncio.StreamWriter) -> None:
        await request.readuntil(b"\r\n\r\n")
        response.write(b"HTTP/1.1 %d x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        response.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    settings = world.sources.settings.model_copy(update={"cdn_purge_urls": (f"http://{host}:{port}",)})
    async with open_cdn(settings) as cdn:
        tools = Tools(sources=changed_sources(world.sources, cdn=cdn))
        for status in (502, 200):
            with pytest.raises((ConnectionError, CdnRefusedError)) as caught:
                await purge_cdn(tools, job)
            assert is_outage(caught.value) is (status == 502)
        server.close()
        await server.wait_closed()
        with pytest.raises(OSError) as away:
            await purge_cdn(tools, job)
        assert is_outage(away.value)
    assert len(await world.sources.purges.pending(account_part(ana.id), 10)) == 1
    await world.sources.database["purges"].delete_many({})


async def test_what_every_edge_has_asked_for_again_since_is_not_purged(world: World) -> None:
    ana = await world.user()
    await world.sources.purges.delete_media([f"public/{folder_of(ana.id, ObjectId())}/0/a.jpg"])
    before = clock.now() - timedelta(seconds=LONGEST_AT_EDGES + 1)
    await world.sources.database["purges"].update_many({}, {"$set": {"deleted_at": before}})
    nowhere = world.sources.settings.model_copy(update={"cdn_purge_urls": ("http://127.0.0.1:1",)})
    async with open_cdn(nowhere) as cdn:
        await purge_cdn(Tools(sources=changed_sources(world.sources, cdn=cdn)), str(account_part(ana.id)))
    assert await pending(world) == 0


async def test_private_files_and_installations_without_a_cdn_leave_no_purge(world: World) -> None:
    ana = await world.user()
    await world.sources.purges.delete_media([f"private/{folder_of(ana.id, ObjectId())}/0/a.jpg", "public/strange"])
    without = world.sources.settings.model_copy(update={"cdn_purge_urls": ()})
    async with opened(without) as other:
        await other.sources.purges.delete_media([f"public/{folder_of(ana.id, ObjectId())}/0/a.jpg"])
    assert await pending(world) == 0


# CloudFront


@pytest.fixture(scope="module")
def amazon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Amazon]:
    with running_amazon(tmp_path_factory.mktemp("amazon")) as amazon:
        yield amazon


@pytest.fixture
async def at_cloudfront(settings: Settings, amazon: Amazon) -> AsyncIterator[World]:
    settings = settings.model_copy(update={"aws_endpoint": amazon.url, "aws_access_key": "tested"})
    async with open_cdn(settings.model_copy(update={"cloudfront_distribution_id": "none"})) as cdn:
        assert cdn._cloudfront is not None
        origin: Any = {
            "Id": "s3",
            "DomainName": "media.s3.amazonaws.com",
            "S3OriginConfig": {"OriginAccessIdentity": ""},
        }
        configuration: Any = {
            "CallerReference": settings.key_prefix,
            "Origins": {"Quantity": 1, "Items": [origin]},
            "DefaultCacheBehavior": {"TargetOriginId": "s3", "ViewerProtocolPolicy": "redirect-to-https"},
            "Comment": "",
            "Enabled": True,
        }
        made = await cdn._cloudfront.create_distribution(DistributionConfig=configuration)
    here = {"cloudfront_distribution_id": made["Distribution"]["Id"], "media_base_url": "https://media.example"}
    async with opened(settings.model_copy(update=here)) as world:
        yield world


async def invalidated(world: World) -> list[list[str]]:
    """The paths of every invalidation."""
    client, distribution = world.sources.cdn._cloudfront, world.sources.settings.cloudfront_distribution_id or ""
    assert client is not None
    listed = (await client.list_invalidations(DistributionId=distribution))["InvalidationList"].get("Items", [])
    found = [await client.get_invalidation(DistributionId=distribution, Id=each["Id"]) for each in listed]
    return [each["Invalidation"]["InvalidationBatch"]["Paths"]["Items"] for each in found]


async def test_one_path_invalidates_a_post_and_one_an_account(at_cloudfront: World) -> None:
    world = at_cloudfront
    ana, bob = await world.user(), await world.user()
    post, *_ = [await ready_post(world, ana, images=2), *[await ready_post(world, bob) for _ in range(4)]]
    await world.sources.posts.delete(post.id, ana.id, now())
    await world.drain()
    assert await invalidated(world) == [[f"/public/{account_part(ana.id)}/{post.id}/*"]]
    await world.sources.users.update_profile(bob.id, {"is_private": True})
    await world.drain()
    assert [f"/public/{account_part(bob.id)}/*"] in await invalidated(world)
    assert await pending(world) == 0


class SlowCloudFront:
    """Takes two looks to complete an invalidation, or has too many of them in progress."""

    def __init__(self, *, is_busy: bool = False) -> None:
        self.looks = 0
        self.references = list[str]()
        self._is_busy = is_busy

    async def create_invalidation(self, **given: Any) -> Any:
        self.references.append(given["InvalidationBatch"]["CallerReference"])
        if self._is_busy:
            code = "TooManyInvalidationsInProgress"
            raise ClientError({"Error": {"Code": code}}, "CreateInvalidation")
        return {"Invalidation": {"Id": "I1", "Status": "InProgress"}}

    async def get_invalidation(self, **_given: Any) -> Any:
        self.looks += 1
        return {"Invalidation": {"Id": "I1", "Status": "Completed" if self.looks == 2 else "InProgress"}}


@pytest.mark.parametrize("is_busy", [False, True])
async def test_a_purge_is_done_when_the_invalidation_is_completed_and_waits_while_there_are_too_many(
    at_cloudfront: World, is_busy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasources.s3.cdn.FIRST_PAUSE", 0.01)
    world, client = at_cloudfront, SlowCloudFront(is_busy=is_busy)
    ana = await world.user()
    await world.sources.purges.delete_media([f"public/{folder_of(ana.id, ObjectId())}/0/a.jpg"])
    cdn: Any = Cdn(world.sources.settings, client, world.sources.cdn._http)  # type: ignore[arg-type]
    tools, job = Tools(sources=changed_sources(world.sources, cdn=cdn)), str(account_part(ana.id))
    if is_busy:
        for _ in range(2):
            with pytest.raises(RetryLater) as caught:
                await purge_cdn(tools, job)
            assert isinstance(caught.value.__cause__, CdnBusyError)
        assert len(set(client.references)) == 1, "the same purge has the same reference"
    else:
        await purge_cdn(tools, job)
        assert client.looks == 2
    assert await pending(world) == int(is_busy)
