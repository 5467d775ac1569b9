"""createPost, updatePost, deletePost, post."""

import asyncio
from typing import Any

import pytest

from tests.e2e.conftest import Register
from tests.support.client import Api, Person, small_jpeg
from tests.support.waiting import eventually

SHOWN = """query ($id: ID!) {
  post(id: $id) {
    caption hashtags mentions { username } status location { name latitude longitude }
    images { altText taggedUsers { user { username } x y } }
  }
}"""


async def test_a_post_has_what_its_author_gave(people: list[Person], nobody: Api) -> None:
    ana, bob, _ = people
    tags = [{"userId": bob.id, "x": 0.25, "y": 1}]
    image = {"uploadId": await ana.upload(small_jpeg()), "altText": " A hill ", "taggedUsers": tags}
    place = {"name": "Here", "latitude": 48.5, "longitude": -2.25}
    caption = f"Up the #Hill with @{bob.username.upper()} and @nobody_of_that_name"
    post_id = await ana.create_post(images=[image], caption=caption, location=place)
    await ana.wait_for_status(post_id, "READY")
    post = (await nobody.get(SHOWN, id=post_id))["post"]
    assert post == {
        "caption": caption,
        "hashtags": ["hill"],
        "mentions": [{"username": bob.username}],
        "status": "READY",
        "location": place,
        "images": [{"altText": "A hill", "taggedUsers": [{"user": {"username": bob.username}, "x": 0.25, "y": 1.0}]}],
    }


async def test_ten_images_keep_their_order_words_and_people(register: Register) -> None:
    ana, bob = await asyncio.gather(register(), register())
    uploads = [await ana.upload(small_jpeg(size=(100 + 10 * number, 100))) for number in range(10)]
    images: list[dict[str, Any]] = [
        {
            "uploadId": upload_id,
            "altText": f"{number} ".ljust(1_000, "\U0001f3d4"),
            "taggedUsers": [{"userId": bob.id, "x": number / 10, "y": 1 - number / 10}] * 2,
        }
        for number, upload_id in enumerate(uploads)
    ]
    spoiled: list[tuple[list[dict[str, Any]], str]] = [
        ([*images, {"uploadId": uploads[0]}], "images"),
        ([{**images[0], "altText": "x" * 1_001}], "images.altText"),
        ([{**images[0], "altText": "x" * 4_001}], "images.altText"),
        ([{**images[0], "taggedUsers": [{"userId": bob.id, "x": 0, "y": 0}] * 21}], "images.taggedUsers"),
        ([{**images[0], "taggedUsers": [{"userId": bob.id, "x": 1.01, "y": 0}]}], "images.taggedUsers"),
        ([{**images[0], "taggedUsers": [{"userId": bob.id, "x": 0, "y": -0.01}]}], "images.taggedUsers"),
    ]
    for wrong, field in spoiled:
        code, at = await ana.refused("createPost", images=wrong)
        assert (code, ".".join(at or ())) == ("INVALID_INPUT", field)
    post_id = await ana.create_post(images=images)
    await ana.wait_for_status(post_id, "READY", seconds=60)
    fields = "images { width altText taggedUsers { user { id } x y } }"
    shown = (await ana.get(f"query ($id: ID!) {{ post(id: $id) {{ {fields} }} }}", id=post_id))["post"]["images"]
    assert [image["width"] for image in shown] == [100 + 10 * number for number in range(10)]
    assert [image["altText"] for image in shown] == [given["altText"] for given in images]
    for image, given in zip(shown, images, strict=True):
        tags = [{"userId": tag["user"]["id"], "x": tag["x"], "y": tag["y"]} for tag in image["taggedUsers"]]
        assert tags == given["taggedUsers"]


async def test_a_post_is_refused_with_the_field_at_fault_and_nothing_is_made(register: Register) -> None:
    ana, bob = await asyncio.gather(register(), register())
    mine, theirs = await ana.upload(small_jpeg()), await bob.upload(small_jpeg())
    images = [{"uploadId": mine}]
    cases: list[tuple[dict[str, object], tuple[str, list[str]]]] = [
        ({"images": []}, ("INVALID_INPUT", ["images"])),
        ({"images": images * 2}, ("UPLOAD_USED", ["images"])),
        ({"images": [{"uploadId": theirs}]}, ("NOT_FOUND", ["images", "uploadId"])),
        ({"images": [{"uploadId": "nonsense"}]}, ("NOT_FOUND", ["images", "uploadId"])),
        ({"images": [{"uploadId": ana.id}]}, ("NOT_FOUND", ["images", "uploadId"])),
        ({"images": images, "caption": "x" * 2_201}, ("INVALID_INPUT", ["caption"])),
        (
            {"images": images, "location": {"name": "Mars", "latitude": 91, "longitude": 0}},
            ("INVALID_INPUT", ["location", "latitude"]),
        ),
        (
            {"images": images, "location": {"name": "Half", "latitude": 1}},
            ("INVALID_INPUT", ["location", "longitude"]),
        ),
        ({"images": images, "location": {"name": "\u3164"}}, ("INVALID_INPUT", ["location", "name"])),
    ]
    for given, refusal in cases:
        assert await ana.refused("createPost", **given) == refusal, given
    posts = "query ($id: ID!) { node(id: $id) { ... on User { posts { edges { cursor } } } } }"
    assert (await ana.get(posts, id=ana.id))["node"]["posts"]["edges"] == []


async def test_an_upload_makes_one_post_and_a_retry_with_its_key_the_same(people: list[Person]) -> None:
    ana, upload_id = people[1], await people[1].upload(small_jpeg())
    given = {"images": [{"uploadId": upload_id}], "idempotencyKey": "post once"}
    made = await asyncio.gather(*(ana.done("createPost", "post { id }", **given) for _ in range(5)))
    assert len({answer["post"]["id"] for answer in made}) == 1
    assert await ana.refused("createPost", images=given["images"]) == ("UPLOAD_USED", ["images"])
    other = await ana.refused("createPost", **{**given, "caption": "other"})
    assert other == ("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])


async def test_only_its_author_sees_a_post_until_it_is_ready(people: list[Person], nobody: Api) -> None:
    ana, bob, _ = people
    waiting = (await ana.announce(small_jpeg()))["upload"]["id"]  # its file never comes
    post_id = await ana.create_post(waiting)
    assert (await ana.get(SHOWN, id=post_id))["post"]["status"] == "PROCESSING"
    for other in (bob, nobody):
        assert (await other.get(SHOWN, id=post_id))["post"] is None
    assert await bob.refused("likePost", postId=post_id) == ("NOT_FOUND", ["postId"])


@pytest.mark.parametrize("verb", ["deletePost", "updatePost"])
async def test_a_post_is_changed_by_its_author_alone(people: list[Person], verb: str) -> None:
    ana, eve, _ = people
    post_id = await ana.ready_post(caption="mine")
    code, field = await eve.refused(verb, postId=post_id)
    assert (code in ("NOT_FOUND", "NOT_ALLOWED"), field) == (True, ["postId"])
    assert await ana.refused(verb, postId="nonsense") == ("NOT_FOUND", ["postId"])
    assert (await eve.get(SHOWN, id=post_id))["post"]["caption"] == "mine"


async def test_new_words_replace_the_old_with_their_hashtags(people: list[Person]) -> None:
    ana = people[2]
    post_id = await ana.ready_post(caption="#old")
    payload = await ana.done("updatePost", "post { caption hashtags editedAt }", postId=post_id, caption="#new words")
    assert (payload["post"]["caption"], payload["post"]["hashtags"]) == ("#new words", ["new"])
    assert payload["post"]["editedAt"] is not None


async def test_a_deleted_post_is_gone_for_everybody_with_its_files(register: Register, nobody: Api) -> None:
    ana = await register()
    post_id = await ana.ready_post()
    files = "query ($id: ID!) { post(id: $id) { images { id renditions { url } } } }"
    (image,) = (await nobody.get(files, id=post_id))["post"]["images"]
    assert (await ana.http.get(image["renditions"][0]["url"])).status_code == 200
    assert (await ana.done("deletePost", "deletedPostId", postId=post_id))["deletedPostId"] == post_id
    node = "query ($id: ID!) { node(id: $id) { id } }"
    for client in (ana, nobody):
        assert (await client.get(SHOWN, id=post_id))["post"] is None
        assert (await client.get(node, id=post_id))["node"] is None
    assert (await nobody.get(node, id=image["id"]))["node"] is None
    await files_are_gone(ana, [rendition["url"] for rendition in image["renditions"]])


async def files_are_gone(client: Api, urls: list[str]) -> None:
    """Waits until storage has none of these."""

    async def look() -> bool:
        return {(await client.http.get(url)).status_code for url in urls} == {404}

    await eventually(look)
