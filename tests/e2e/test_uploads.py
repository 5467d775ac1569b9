"""createUpload, the presigned PUT, what the worker makes of it, uploadUpdated, uploadLimits."""

import asyncio
from importlib.util import find_spec
from typing import Any

import pytest
from PIL import Image

from domain.image_formats import SourceFormat
from tests.e2e.conftest import Register
from tests.support.client import Api, Person, small_jpeg
from tests.support.pictures import moving, saved
from tests.support.waiting import eventually

LIMITS = "{ uploadLimits { maxBytes formats maxImagesPerPost imagesPerDay imagesPerMonth } }"
QUOTA = "{ viewer { uploadQuota { usedToday remainingToday usedThisMonth remainingThisMonth } } }"
UPDATED = "subscription ($id: ID!) { uploadUpdated(id: $id) { status failure { code } image { width height } } }"
FAILURE = "query ($id: ID!) { post(id: $id) { failure { code message } images { id } } }"
IMAGES = "query ($id: ID!) { post(id: $id) { images { width height isAnimated renditions { format } } } }"
UPLOAD = "query ($id: ID!) { node(id: $id) { ... on MediaUpload { status image { width } } } }"


async def remaining(person: Person) -> int:
    """Images left today."""
    return int((await person.get(QUOTA))["viewer"]["uploadQuota"]["remainingToday"])


async def test_everybody_can_read_what_may_be_uploaded(nobody: Api) -> None:
    limits = (await nobody.get(LIMITS))["uploadLimits"]
    formats = [each.value for each in SourceFormat if each is not SourceFormat.HEIC or find_spec("pillow_heif")]
    assert limits.pop("formats") == formats
    assert limits == {"maxBytes": 10 * 1024**2, "maxImagesPerPost": 10, "imagesPerDay": 10, "imagesPerMonth": 500}


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"byteSize": 10 * 1024 * 1024 + 1}, ("IMAGE_TOO_LARGE", ["byteSize"])),
        ({"byteSize": 0}, ("INVALID_INPUT", ["byteSize"])),
        ({"byteSize": -1}, ("INVALID_INPUT", ["byteSize"])),
        ({"sha256": "nonsense"}, ("INVALID_INPUT", ["sha256"])),
        ({"sha256": "AAAA"}, ("INVALID_INPUT", ["sha256"])),
        ({"idempotencyKey": ""}, ("INVALID_INPUT", ["idempotencyKey"])),
    ],
)
async def test_an_upload_is_refused_and_takes_no_quota(
    people: list[Person], given: dict[str, object], refusal: tuple[str, list[str]]
) -> None:
    good = {"format": "JPEG", "byteSize": 1000, "sha256": "A" * 43 + "="}
    assert await people[2].refused("createUpload", **{**good, **given}) == refusal
    assert await remaining(people[2]) == 10


async def test_the_eleventh_image_of_a_day_is_refused(register: Register) -> None:
    ana = await register()
    for _ in range(10):
        assert (await ana.announce(b"x"))["userErrors"] == []
    refused = await ana.announce(b"x")
    assert [error["code"] for error in refused["userErrors"]] == ["QUOTA_EXCEEDED"]
    assert (refused["upload"], refused["request"]) == (None, None)
    assert await remaining(ana) == 0
    (error,) = (await ana.do("createUpload", format="JPEG", byteSize=1, sha256="A" * 43 + "="))["userErrors"]
    assert error["retryable"]
    assert 0 < error["retryAfterMs"] <= 125_000
    assert await resets(ana) == [await resets_of_quota(ana)]


async def resets(person: Person) -> list[str]:
    document = "mutation ($input: CreateUploadInput!) { createUpload(input: $input) { userErrors { resetsAt } } }"
    given = {"format": "JPEG", "byteSize": 1, "sha256": "A" * 43 + "="}
    return [error["resetsAt"] for error in (await person.get(document, input=given))["createUpload"]["userErrors"]]


async def resets_of_quota(person: Person) -> str:
    return str((await person.get("{ viewer { uploadQuota { resetsAt } } }"))["viewer"]["uploadQuota"]["resetsAt"])


async def test_a_cancelled_upload_makes_room_and_its_file_is_not_taken(register: Register) -> None:
    ana, data = await register(), small_jpeg()
    first, *_ = [await ana.announce(data) for _ in range(10)]
    upload_id = first["upload"]["id"]
    for _ in range(2):
        payload = await ana.done("cancelUpload", "upload { status failure { code } }", uploadId=upload_id)
        assert payload["upload"] == {"status": "EXPIRED", "failure": {"code": "UPLOAD_EXPIRED"}}
        assert await remaining(ana) == 1
    assert (await ana.send(first["request"], data)).is_success  # storage knows nothing of it
    assert await ana.refused("createPost", images=[{"uploadId": upload_id}]) == (
        "UPLOAD_EXPIRED",
        ["images", "uploadId"],
    )
    assert (await ana.announce(data))["userErrors"] == []
    assert (await ana.get(UPLOAD, id=upload_id))["node"]["status"] == "EXPIRED"


async def test_an_upload_that_is_used_or_anothers_is_not_cancelled(people: list[Person]) -> None:
    ana, ben = people[0], people[1]
    waiting = (await ana.announce(small_jpeg()))["upload"]["id"]
    assert await ben.refused("cancelUpload", uploadId=waiting) == ("NOT_FOUND", ["uploadId"])
    assert await ana.refused("cancelUpload", uploadId="nonsense") == ("NOT_FOUND", ["uploadId"])
    post_id = await ana.create_post(waiting)
    assert await ana.refused("cancelUpload", uploadId=waiting) == ("UPLOAD_USED", ["uploadId"])
    await ana.done("deletePost", postId=post_id)
    ready = await ana.upload(small_jpeg())
    await ana.wait_for_status(await ana.create_post(ready), "READY")
    assert await ana.refused("cancelUpload", uploadId=ready) == ("NOT_ALLOWED", ["uploadId"])


async def test_a_retry_with_its_key_reserves_once(people: list[Person]) -> None:
    ana = people[0]
    before = await remaining(ana)
    duplicates = await asyncio.gather(*(ana.announce(b"x", idempotencyKey="again") for _ in range(5)))
    assert len({duplicate["upload"]["id"] for duplicate in duplicates}) == 1
    assert await remaining(ana) == before - 1
    other = await ana.announce(b"xy", idempotencyKey="again")
    assert [error["code"] for error in other["userErrors"]] == ["IDEMPOTENCY_KEY_REUSED"]


async def test_storage_refuses_a_file_that_was_not_announced(people: list[Person]) -> None:
    data = small_jpeg()
    request = (await people[0].announce(data))["request"]
    longer, other = data + b"more", data[:-2] + b"\0\0"
    for wrong in (longer, other, b""):
        assert (await people[0].send(request, wrong)).status_code in (400, 403)
    assert (await people[0].send(request, data)).status_code == 200
    assert (await people[0].send(request, data)).status_code == 412


async def test_an_upload_tells_how_it_goes_until_it_is_ready(people: list[Person]) -> None:
    ana, data = people[1], small_jpeg()
    payload = await ana.announce(data)
    upload_id = payload["upload"]["id"]
    async with ana.socket() as socket:
        await socket.subscribe(UPDATED, id=upload_id)
        assert (await socket.next())["uploadUpdated"]["status"] == "AWAITING_BYTES"
        assert (await ana.send(payload["request"], data)).is_success
        seen = (await socket.next())["uploadUpdated"]
        if seen["status"] == "PROCESSING":
            seen = (await socket.next())["uploadUpdated"]
        assert seen == {"status": "READY", "failure": None, "image": {"width": 160, "height": 120}}
        assert (await socket.hear())["type"] == "complete"
    ready = (await ana.get(UPLOAD, id=upload_id))["node"]
    assert ready == {"status": "READY", "image": {"width": 160}}
    assert (await people[0].get(UPLOAD, id=upload_id))["node"] is None


async def test_a_text_that_calls_itself_an_image_fails_its_post_and_gives_the_quota_back(people: list[Person]) -> None:
    ana = people[1]
    before = await remaining(ana)
    post_id = await ana.create_post(await ana.upload(b"Dear diary, this is no picture. " * 40))
    await ana.wait_for_status(post_id, "FAILED")
    post = (await ana.get("query ($id: ID!) { post(id: $id) { failure { code message } images { id } } }", id=post_id))[
        "post"
    ]
    assert post["failure"]["code"] in ("UNSUPPORTED_FORMAT", "IMAGE_CORRUPT")
    assert post["failure"]["message"]
    assert post["images"] == []
    assert await remaining(ana) == before
    assert (await people[0].get("query ($id: ID!) { post(id: $id) { status } }", id=post_id))["post"] is None

    async def notified() -> Any:
        return (await ana.get("{ notifications(kinds: [POST_FAILED]) { edges { node { kind } } } }"))["notifications"][
            "edges"
        ]

    assert len(await eventually(notified, seconds=30)) == 1


async def test_pngs_and_moving_gifs_become_posts_too(people: list[Person]) -> None:
    ana = people[0]
    png = await ana.upload(saved(Image.new("RGBA", (200, 100), (9, 99, 199, 128)), "PNG"), format="PNG")
    gif = await ana.upload(moving((120, 90), 3), format="GIF")
    post_id = await ana.create_post(png, gif)
    await ana.wait_for_status(post_id, "READY")
    fields = "images { width height isAnimated renditions { format } }"
    still, animated = (await ana.get(f"query ($id: ID!) {{ post(id: $id) {{ {fields} }} }}", id=post_id))["post"][
        "images"
    ]
    assert (still["width"], still["height"], still["isAnimated"]) == (200, 100, False)
    assert (animated["width"], animated["height"], animated["isAnimated"]) == (120, 90, True)
    assert {"WEBP", "GIF"} & {rendition["format"] for rendition in animated["renditions"]}


async def test_an_upload_becomes_an_avatar(register: Register, nobody: Api) -> None:
    ana = await register()
    upload_id = await ana.upload(small_jpeg())
    async with ana.socket() as socket:
        await socket.subscribe(UPDATED, id=upload_id)
        while (await socket.next())["uploadUpdated"]["status"] != "READY":
            pass
    await ana.done("updateProfile", avatarUploadId=upload_id)
    avatar = "query ($name: String!) { user(username: $name) { avatar { rendition(width: 150) { url width } } } }"
    rendition = (await nobody.get(avatar, name=ana.username))["user"]["avatar"]["rendition"]
    assert (await ana.http.get(rendition["url"])).status_code == 200
    assert await ana.refused("createPost", images=[{"uploadId": upload_id}]) == ("UPLOAD_USED", ["images", "uploadId"])
