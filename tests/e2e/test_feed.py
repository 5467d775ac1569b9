"""feed: newest first, own posts included, paged in both directions, and which paging arguments are refused."""

import asyncio

import pytest

from domain.ids import from_global_id
from tests.e2e.conftest import Register
from tests.support.client import Person, small_jpeg
from tests.support.waiting import eventually

FEED = """query ($first: Int, $after: String, $last: Int, $before: String) {
  feed(first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""


@pytest.fixture(scope="module")
async def home(register: Register) -> tuple[Person, list[str]]:
    """Somebody who follows somebody, and the ids of the posts that they should see, newest first."""
    ana, bob = await asyncio.gather(register(), register())
    await bob.done("followUser", userId=ana.id)
    uploads = [(author, await author.upload(small_jpeg())) for author in (ana, bob, ana, ana, bob)]
    posts = [await author.create_post(upload_id) for author, upload_id in uploads]

    async def all_there() -> bool:
        return len((await bob.get(FEED))["feed"]["edges"]) == len(posts)

    await eventually(all_there, seconds=40, every=0.2)
    # Those of one second are in the order of their ids, which two processes make independently.
    return bob, sorted(posts, key=from_global_id, reverse=True)


async def page(reader: Person, **arguments: object) -> tuple[list[str], dict[str, object]]:
    """The ids on a page, and its pageInfo."""
    feed = (await reader.get(FEED, **arguments))["feed"]
    return [edge["node"]["id"] for edge in feed["edges"]], feed["pageInfo"]


@pytest.mark.parametrize("size", [1, 2, 5, 50])
async def test_walking_forward_gives_every_post_once_newest_first(home: tuple[Person, list[str]], size: int) -> None:
    reader, posts = home
    seen: list[str] = []
    info: dict[str, object] = {"hasNextPage": True, "endCursor": None}
    while info["hasNextPage"]:
        ids, info = await page(reader, first=size, after=info["endCursor"])
        seen += ids
    assert seen == posts


@pytest.mark.parametrize("size", [1, 2, 5, 50])
async def test_walking_backward_gives_the_same(home: tuple[Person, list[str]], size: int) -> None:
    reader, posts = home
    seen: list[str] = []
    info: dict[str, object] = {"hasPreviousPage": True, "startCursor": None}
    while info["hasPreviousPage"]:
        ids, info = await page(reader, last=size, before=info["startCursor"])
        seen = ids + seen
    assert seen == posts


async def test_a_page_in_the_middle_has_both_neighbours(home: tuple[Person, list[str]]) -> None:
    reader, posts = home
    _, first = await page(reader, first=1)
    ids, info = await page(reader, first=2, after=first["endCursor"])
    assert (ids, info["hasNextPage"], info["hasPreviousPage"]) == (posts[1:3], True, True)


@pytest.mark.parametrize(
    "arguments",
    [
        {"first": 0},
        {"first": 51},
        {"last": -1},
        {"first": 1, "last": 1},
        {"after": "nonsense"},
        {"before": ""},
        {"after": "aQAAAAAAAAAF"},  # a cursor of the notifications
        {"after": "af__________"},  # a number that the database cannot hold
    ],
)
async def test_paging_arguments_that_make_no_sense_are_bad_input(
    home: tuple[Person, list[str]], arguments: dict[str, object]
) -> None:
    answer = await home[0].ask(FEED, **arguments)
    assert (answer.data, answer.codes) == ({"feed": None}, ["BAD_USER_INPUT"])


async def test_a_new_account_has_an_empty_feed(register: Register) -> None:
    ids, info = await page(await register())
    assert (ids, info["hasNextPage"], info["startCursor"], info["endCursor"]) == ([], False, None, None)


async def test_a_socket_reports_new_posts_until_the_session_ends(register: Register) -> None:
    ana, bob = await asyncio.gather(register(), register())
    await bob.done("followUser", userId=ana.id)
    await ana.create_post(await ana.upload(small_jpeg()))

    async def is_read() -> bool:
        return bool((await bob.get(FEED))["feed"]["edges"])

    await eventually(is_read, seconds=40, every=0.2)
    async with bob.socket() as socket:
        await socket.subscribe("subscription { feedUpdated { newPostCount } }")
        await ana.create_post(await ana.upload(small_jpeg()))
        assert await socket.next(seconds=60) == {"feedUpdated": {"newPostCount": 1}}
        await bob.get(FEED)
        assert await socket.next(seconds=60) == {"feedUpdated": {"newPostCount": 0}}
        await bob.done("logout")
        assert await socket.closed() == 4403


async def test_a_ranked_feed_says_why_and_is_paged(home: tuple[Person, list[str]]) -> None:
    reader, posts = home
    await reader.done("updatePreferences", showsSuggestedPosts=False)
    document = FEED.replace("(first: $first", "(order: RANKED, first: $first").replace("{ cursor", "{ cursor reason")
    first = (await reader.get(document, first=2))["feed"]
    rest = (await reader.get(document, first=50, after=first["pageInfo"]["endCursor"]))["feed"]
    edges = first["edges"] + rest["edges"]
    assert sorted(edge["node"]["id"] for edge in edges) == sorted(posts)
    assert {edge["reason"].split()[0] for edge in edges} == {"You"}
    gone = await reader.ask(FEED, first=2, after=first["pageInfo"]["endCursor"])
    assert gone.codes == ["BAD_USER_INPUT"]
