"""Who may fetch a file from real storage: those who may see its image, and only by the addresses they get."""

import asyncio
from typing import Any

import httpx2
import pytest

from datasources.s3.keys import MediaKey, is_public
from domain.visibility import Area
from tests.e2e.conftest import Register
from tests.support.client import Api, Person, small_jpeg
from tests.support.stack import Stack
from tests.support.waiting import eventually

POST = "query ($id: ID!) { post(id: $id) { images { id renditions { url } rendition(width: 640) { url } } } }"
IMAGE = "query ($id: ID!) { node(id: $id) { ... on Image { renditions { url } } } }"
AVATAR = "query ($name: String!) { user(username: $name) { avatar { renditions { url } } } }"
UPLOAD = "query ($id: ID!) { node(id: $id) { ... on MediaUpload { image { renditions { url } } } } }"


async def urls(viewer: Api, post_id: str) -> list[str]:
    """The addresses of a post's files for this viewer; none if they may not see it."""
    post = (await viewer.get(POST, id=post_id))["post"]
    return (
        [rendition["url"] for image in post["images"] for rendition in image["renditions"]] if post is not None else []
    )


async def statuses(http: httpx2.AsyncClient, addresses: list[str]) -> set[int]:
    return {answer.status_code for answer in await asyncio.gather(*(http.get(address) for address in addresses))}


def unsigned(addresses: list[str]) -> list[str]:
    return [address.partition("?")[0] for address in addresses]


def key_of(stack: Stack, address: str) -> str:
    return address.partition("?")[0].removeprefix(f"{stack.settings.media_bucket_url}/")


async def private_post(register: Register) -> tuple[Person, Person, str]:
    """A private account, somebody it has let in, and a ready post."""
    ana, bob = await register(), await register()
    await ana.done("updateProfile", isPrivate=True)
    await bob.done("followUser", userId=ana.id)
    await ana.done("acceptFollowRequest", userId=bob.id)
    return ana, bob, await ana.ready_post()


async def assert_ended(http: httpx2.AsyncClient, viewer: Api, post_id: str, old: list[str]) -> None:
    """Asserts that the viewer gets no new address and that the old ones expire."""
    assert await urls(viewer, post_id) == []

    async def have_expired() -> bool:
        return await statuses(http, old) == {403}

    await eventually(have_expired, seconds=20, every=0.5)


async def test_only_followers_get_signed_addresses_that_work(register: Register, nobody: Api, stack: Stack) -> None:
    ana, bob, post_id = await private_post(register)
    eve = await register()
    for viewer in (ana, bob):
        addresses = await urls(viewer, post_id)
        assert len(addresses) > 1
        assert not any(is_public(key_of(stack, address)) for address in addresses)
        assert await statuses(ana.http, addresses) == {200}
        assert await statuses(ana.http, unsigned(addresses)) == {403}
    image_id = (await bob.get(POST, id=post_id))["post"]["images"][0]["id"]
    for stranger in (eve, nobody):
        assert await urls(stranger, post_id) == []
        assert (await stranger.get(IMAGE, id=image_id))["node"] is None
    public = [key_of(stack, address).replace("private/", "public/") for address in await urls(bob, post_id)]
    base = stack.settings.media_bucket_url
    assert await statuses(ana.http, [f"{base}/{key}" for key in public]) <= {403, 404}


async def test_a_public_accounts_addresses_are_plain_and_for_everybody(
    register: Register, nobody: Api, stack: Stack
) -> None:
    ana = await register()
    addresses = await urls(nobody, await ana.ready_post())
    assert unsigned(addresses) == addresses
    assert all(is_public(key_of(stack, address)) for address in addresses)
    assert await statuses(ana.http, addresses) == {200}


@pytest.mark.parametrize("is_private", [False, True])
async def test_files_of_a_post_that_waits_for_them_are_never_moved(
    register: Register, stack: Stack, is_private: bool
) -> None:
    ana, data = await register(), small_jpeg()
    await ana.done("updateProfile", isPrivate=is_private)
    announced = await ana.announce(data)
    post_id = await ana.create_post(announced["upload"]["id"])
    assert (await ana.send(announced["request"], data)).is_success
    await ana.wait_for_status(post_id, "READY")
    keys = [MediaKey.parse(key_of(stack, address)) for address in await urls(ana, post_id)]
    area = Area.PRIVATE if is_private else Area.PUBLIC
    assert {key and key.area for key in keys} == {area}
    assert {key.version for key in keys if key is not None and key.name.endswith(".jpg")} == {0}


async def test_a_removed_follower_sees_until_the_address_expires(register: Register) -> None:
    ana, bob, post_id = await private_post(register)
    old = await urls(bob, post_id)
    assert await statuses(ana.http, old) == {200}
    await ana.done("removeFollower", userId=bob.id)
    await assert_ended(ana.http, bob, post_id, old)


async def test_a_blocked_follower_sees_until_the_address_expires(register: Register) -> None:
    ana, bob, post_id = await private_post(register)
    old = await urls(bob, post_id)
    await ana.done("blockUser", userId=bob.id)
    await assert_ended(ana.http, bob, post_id, old)


async def test_going_private_removes_the_public_files_and_going_public_restores_them(
    register: Register, nobody: Api
) -> None:
    ana = await register()
    post_id = await ana.ready_post()
    old = await urls(nobody, post_id)
    await ana.done("updateProfile", isPrivate=True)
    assert await urls(nobody, post_id) == []

    async def are_gone() -> bool:
        return await statuses(ana.http, old) <= {403, 404}

    await eventually(are_gone, seconds=20, every=0.2)
    own = await urls(ana, post_id)
    assert await statuses(ana.http, own) == {200}
    await ana.done("updateProfile", isPrivate=False)

    async def are_public() -> bool:
        addresses = await urls(nobody, post_id)
        return bool(addresses) and addresses == unsigned(addresses) and await statuses(ana.http, addresses) == {200}

    await eventually(are_public, seconds=20, every=0.2)


async def test_only_its_owner_sees_an_image_without_a_post(register: Register, nobody: Api) -> None:
    ana = await register()
    upload_id = await ana.upload(small_jpeg())

    async def image() -> Any:
        return (await ana.get(UPLOAD, id=upload_id))["node"]["image"]

    addresses = [rendition["url"] for rendition in (await eventually(image, seconds=30))["renditions"]]
    assert await statuses(ana.http, addresses) == {200}
    assert await statuses(ana.http, unsigned(addresses)) == {403}
    assert (await nobody.get(UPLOAD, id=upload_id))["node"] is None


async def test_a_private_accounts_avatar_is_for_everybody(register: Register, nobody: Api) -> None:
    ana = await register()
    await ana.done("updateProfile", isPrivate=True)
    upload_id = await ana.upload(small_jpeg())

    async def is_avatar() -> bool:
        return not (await ana.do("updateProfile", avatarUploadId=upload_id))["userErrors"]

    await eventually(is_avatar, seconds=30, every=0.2)

    async def is_plain() -> bool:
        avatar = (await nobody.get(AVATAR, name=ana.username))["user"]["avatar"]
        addresses = [rendition["url"] for rendition in avatar["renditions"]]
        return addresses == unsigned(addresses) and await statuses(ana.http, addresses) == {200}

    await eventually(is_plain, seconds=20, every=0.2)
