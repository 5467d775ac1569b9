"""The main job, as real clients do it, on servers of its own: from the first account to after a full restart."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
from PIL import Image

from config import Settings
from datasources.sources import prepare
from deploy.local.servers import local_servers
from tests.support.client import PASSWORD, Person, Socket
from tests.support.pictures import QUARTERS, quarters
from tests.support.stack import Stack, stack_on, start_all
from tests.support.waiting import eventually

NOTIFIED = """subscription ($after: Int) {
  notificationAdded(after: $after) {
    seq gap { newestSeq }
    notification {
      kind actors { username }
      ... on PostNotification { post { id } comment { text } }
    }
  }
}"""
FEED = """{
  feed(first: 5) {
    edges { node { id caption likeCount commentCount viewerHasLiked author { username }
      previewComments { text author { username } }
      images { width height blurHash renditions { format width height url } } } }
  }
}"""
NOTIFICATIONS = "{ notifications { edges { node { seq kind } } } viewer { unreadNotificationCount } }"


def photograph() -> bytes:
    """A photograph of twelve megapixels as a phone held upright takes it: lying, with its orientation and place."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "Phone"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 29.0), 3: "E", 4: (2.0, 17.0, 40.0)})
    buffer = BytesIO()
    quarters((4032, 3024)).save(buffer, "JPEG", quality=92, exif=exif)
    return buffer.getvalue()


@asynccontextmanager
async def running(folder: Path, settings: Settings) -> AsyncIterator[Stack]:
    """Servers on this folder, the API and the workers; whatever still runs is stopped at the end."""
    with local_servers(folder / "data", Settings(environment="test")) as servers, contextlib.ExitStack() as stack:
        addresses = {name: getattr(servers, name) for name in ("mongo_url", "redis_url", "s3_endpoint_url")}
        await prepare(settings.model_copy(update=addresses))
        product = stack.enter_context(stack_on(settings.model_copy(update=addresses), folder))
        await start_all(product)
        yield product


async def next_notice(socket: Socket) -> Any:
    event = (await socket.next())["notificationAdded"]
    assert event["gap"] is None
    return event["seq"], event["notification"]["kind"], [user["username"] for user in event["notification"]["actors"]]


async def looks_upright(http: httpx2.AsyncClient, rendition: dict[str, Any]) -> None:
    """Asserts that the served file has its size and orientation, and nothing but the picture in it."""
    response = await http.get(rendition["url"])
    assert response.status_code == 200
    assert response.headers["content-type"] == f"image/{rendition['format'].lower()}"
    picture = Image.open(BytesIO(response.content))
    assert (picture.format, picture.size) == (rendition["format"], (rendition["width"], rendition["height"]))
    assert len(picture.getexif()) == 0
    assert not {"exif", "xmp", "comment"} & set(picture.info)
    width, height = picture.size
    corners = {"blue": (1, 1), "red": (3, 1), "yellow": (1, 3), "green": (3, 3)}
    for colour, (x, y) in corners.items():
        pixel = picture.convert("RGB").getpixel((width * x // 4, height * y // 4))
        assert isinstance(pixel, tuple)
        assert all(abs(value - expected) < 24 for value, expected in zip(pixel, QUARTERS[colour], strict=True)), colour


async def the_feed_shows_it(reader: Person) -> Any:
    """The one post in somebody's feed, once it is there."""

    async def look() -> Any:
        return (await reader.get(FEED))["feed"]["edges"]

    (edge,) = await eventually(look)
    return edge["node"]


WIDTHS = (150, 320, 640, 1080)


async def published(ana: Person, bob: Person) -> str:
    """Posts a photograph, which the other person sees in four widths and two formats."""
    data = photograph()
    assert len(data) < 10 * 1024 * 1024
    post_id = await ana.create_post(await ana.upload(data), caption="Four quarters")
    await ana.wait_for_status(post_id, "READY", seconds=60)

    async def with_every_format() -> Any:
        """The post, once it has its WEBPs beside the JPEGs with which it became READY."""
        node = await the_feed_shows_it(bob)
        return node if len(node["images"][0]["renditions"]) > len(WIDTHS) else None

    node = await eventually(with_every_format, seconds=60)
    assert (node["id"], node["caption"], node["author"]["username"]) == (post_id, "Four quarters", ana.username)
    (image,) = node["images"]
    assert (image["width"], image["height"]) == (3024, 4032)
    renditions = {(each["format"], each["width"]): each for each in image["renditions"]}
    assert set(renditions) == {(kind, width) for kind in ("JPEG", "WEBP") for width in WIDTHS}
    assert {each["height"] for each in image["renditions"]} == {150, 427, 853, 1440}
    for key in (("JPEG", 320), ("WEBP", 1080), ("JPEG", 150)):
        await looks_upright(ana.http, renditions[key])
    return post_id


async def the_live_part(ana: Person, bob: Person, eve: Person) -> tuple[str, int]:
    """The actions of both people, and the events that the author receives. Returns the post and the last number."""
    async with ana.socket() as socket:
        await socket.subscribe(NOTIFIED, after=0)
        await bob.done("followUser", userId=ana.id)
        assert await next_notice(socket) == (1, "FOLLOWED", [bob.username])
        post_id = await published(ana, bob)
        assert await next_notice(socket) == (2, "POST_READY", [])
        liked = await bob.done("likePost", "post { likeCount viewerHasLiked }", postId=post_id)
        assert liked["post"] == {"likeCount": 1, "viewerHasLiked": True}
        assert await next_notice(socket) == (3, "POST_LIKED", [bob.username])
        await bob.done("addComment", postId=post_id, text="Lovely colours")
        assert await next_notice(socket) == (4, "COMMENTED", [bob.username])
        await eve.done("followUser", userId=ana.id)
        assert await next_notice(socket) == (5, "FOLLOWED", [eve.username])
    return post_id, 5


async def everything_is_still_there(ana: Person, bob: Person, post_id: str) -> None:
    node = await the_feed_shows_it(bob)
    assert (node["id"], node["likeCount"], node["commentCount"], node["viewerHasLiked"]) == (post_id, 1, 1, True)
    assert node["previewComments"] == [{"text": "Lovely colours", "author": {"username": bob.username}}]
    await looks_upright(bob.http, node["images"][0]["renditions"][0])
    answer = await ana.get(NOTIFICATIONS)
    kinds = [edge["node"]["kind"] for edge in answer["notifications"]["edges"]]
    assert kinds == ["FOLLOWED", "COMMENTED", "POST_LIKED", "POST_READY", "FOLLOWED"]
    assert answer["viewer"]["unreadNotificationCount"] == 4  # POST_READY is not counted
    counts = "viewer { user { postCount followerCount } }"
    payload = await ana.done("login", counts, login=ana.username, password=PASSWORD)
    assert payload["viewer"]["user"] == {"postCount": 1, "followerCount": 2}


async def what_was_missed_is_replayed(ana: Person, eve: Person, post_id: str, last: int) -> None:
    await eve.done("likePost", postId=post_id)

    async def has_come() -> bool:
        edges = (await ana.get(NOTIFICATIONS))["notifications"]["edges"]
        return bool(edges[0]["node"]["seq"] > last)

    await eventually(has_come)
    async with ana.socket() as socket:
        await socket.subscribe(NOTIFIED, after=last)
        seq, kind, actors = await next_notice(socket)
        assert (seq, kind, set(actors)) == (last + 1, "POST_LIKED", {eve.username, *actors})
        await eve.done("addComment", postId=post_id, text="Late")
        assert await next_notice(socket) == (last + 2, "COMMENTED", [eve.username])


async def test_the_main_job_and_all_of_it_after_a_restart_of_everything(
    tmp_path: Path, with_job_queue: Callable[[Settings], Settings]
) -> None:
    settings = with_job_queue(Settings(environment="test", mongo_database="main_job", aws_prefix="main-job-"))
    async with running(tmp_path, settings) as product, httpx2.AsyncClient(base_url=product.url, timeout=20) as http:
        ana, bob, eve = [await Person.register(http) for _ in range(3)]
        post_id, last = await the_live_part(ana, bob, eve)
        async with bob.socket() as idle:
            await idle.subscribe(NOTIFIED)
            assert await product.stop(*product.living) == [0, 0]
            assert await idle.closed() == 1012
    async with running(tmp_path, settings) as product, httpx2.AsyncClient(base_url=product.url, timeout=20) as http:
        for person in (ana, bob, eve):
            person.http = http
        await everything_is_still_there(ana, bob, post_id)
        await what_was_missed_is_replayed(ana, eve, post_id, last)
