"""Finding hashtags and places: by which texts, in which order, page by page, and which nobody finds."""

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from datasources.mongo import search_keys
from domain.errors import BadInput
from domain.paging import Key, Match, encode_cursor
from domain.records.posts import LocationRecord, PostRecord
from domain.records.users import UserRecord
from domain.topic_search import MATCH_GROUPS
from domain.topics import TopicKind
from tests.support.factories import World, now
from tests.support.maintenance import find_faults
from workers.maintenance.repair import repair
from workers.maintenance.walk import Walk

SEARCH = """query ($text: String!, $kind: SearchKind!, $first: Int, $after: String) {
  search(query: $text, kind: $kind, first: $first, after: $after) {
    edges { cursor node { __typename ... on Hashtag { name postCount } ... on Place { name postCount } } }
    pageInfo { hasNextPage endCursor }
  }
}"""
HASHTAGS, PLACES = "HASHTAGS", "PLACES"


async def page(world: World, text: str, kind: str, viewer: UserRecord | None = None, **more: Any) -> Any:
    result = await world.execute(SEARCH, viewer, text=text, kind=kind, **more)
    assert result.errors is None, result.errors
    assert result.data is not None
    return result.data["search"]


async def found(world: World, text: str, kind: str = HASHTAGS, *, first: int = 20) -> list[str]:
    """The names on all pages."""
    names, after = list[str](), None
    for _ in range(100):
        got = await page(world, text, kind, first=first, after=after)
        names += [edge["node"]["name"] for edge in got["edges"]]
        if not got["pageInfo"]["hasNextPage"]:
            return names
        assert got["edges"]
        after = got["pageInfo"]["endCursor"]
    raise AssertionError("it has no end")


async def faults(world: World) -> set[str]:
    """What is wrong, but for the files that posts of these tests lack."""
    return {finding.kind for finding in await find_faults(world)} - {"post.images"}


async def posts(world: World, name: str, count: int, **more: Any) -> list[PostRecord]:
    author = await world.user(**more)
    return [await world.post(author, hashtags=[name]) for _ in range(count)]


async def posts_at(world: World, *names: str) -> list[PostRecord]:
    author = await world.user()
    where = [LocationRecord(name=name, latitude=10.0 + number, longitude=2.0) for number, name in enumerate(names)]
    return [await world.post(author, location=location) for location in where]


async def test_hashtags_are_found_by_their_beginning_those_with_the_most_posts_first(own: World) -> None:
    for name, count in {"sunset": 2, "sun": 1, "sunday": 5, "sonne": 9, "asun": 3, "sun_burn": 1}.items():
        await posts(own, name, count)
    await own.drain()
    for size in (1, 2, 5):
        assert await found(own, "sun", first=size) == ["sunday", "sunset", "sun", "sun_burn"]
    assert await found(own, "#Sün ") == await found(own, "sun")
    assert await found(own, "sunb") == ["sun_burn"]
    assert await found(own, "x") == await found(own, "#") == []
    (edge,) = (await page(own, "sonne", HASHTAGS))["edges"]
    assert edge["node"] == {"__typename": "Hashtag", "name": "sonne", "postCount": 9}
    assert await faults(own) == set()


async def test_places_are_found_by_the_beginning_of_any_word_each_once(own: World) -> None:
    names = ["Central Park", "Parc Central", "Centraal Station Centrum", "Café de la Gare", "中央公園"]
    await posts_at(own, *names, "Central Park Zoo")
    await own.drain()
    for size in (1, 3):
        assert sorted(await found(own, "centra", PLACES, first=size)) == sorted([*names[:3], "Central Park Zoo"])
    assert await found(own, "cafe dela", PLACES) == await found(own, "gare", PLACES) == ["Café de la Gare"]
    assert await found(own, "公園", PLACES) == await found(own, "中", PLACES) == ["中央公園"]
    assert await found(own, "central") == []
    (edge,) = (await page(own, "zoo", PLACES))["edges"]
    assert edge["node"] == {"__typename": "Place", "name": "Central Park Zoo", "postCount": 1}
    assert await faults(own) == set()


async def test_what_is_only_in_posts_that_strangers_may_not_see_is_not_found(own: World) -> None:
    await posts(own, "secret", 2, is_private=True)
    (post,) = await posts(own, "open", 1)
    hidden = await own.user(is_private=True)
    await own.post(hidden, location=LocationRecord(name="Hideout"))
    await own.drain()
    assert await found(own, "secret") == await found(own, "hideout", PLACES) == []
    assert await found(own, "open") == ["open"]
    await own.sources.posts.delete(post.id, post.author_id, now())
    await own.drain()
    assert await found(own, "open") == []
    await posts(own, "open", 1)
    await own.drain()
    assert await found(own, "open") == ["open"]
    assert await faults(own) == set()


async def test_a_cursor_of_another_search_is_refused(own: World) -> None:
    others: list[Key] = [
        Match(MATCH_GROUPS[TopicKind.HASHTAG], 1, "moon", ObjectId()),
        Match(MATCH_GROUPS[TopicKind.PLACE], 1, "sunset", ObjectId()),
        Match(2, 1, "sunset", ObjectId()),
        ObjectId(),
    ]
    for cursor in map(encode_cursor, others):
        result = await own.execute(SEARCH, None, text="sun", kind=HASHTAGS, after=cursor)
        assert [type(error.original_error) for error in result.errors or ()] == [BadInput]
    result = await own.execute(SEARCH, None, text="moon", kind="PEOPLE", after=encode_cursor(others[0]))
    assert [type(error.original_error) for error in result.errors or ()] == [BadInput]


async def test_topics_of_a_version_before_are_found_once_repaired(own: World) -> None:
    await posts(own, "sunset", 3)
    await posts_at(own, "Central Park")
    await own.drain()
    await own.sources.database["topics"].update_many({}, {"$unset": {"search": ""}})
    assert await faults(own) == {"topic.search"}
    await repair(own.tools, Walk(sources=own.sources))
    assert await found(own, "sunset") == ["sunset"]
    assert await found(own, "park", PLACES) == ["Central Park"]
    assert await faults(own) == set()


@pytest.mark.parametrize("kind", MATCH_GROUPS)
async def test_a_page_is_a_bounded_walk_of_its_indexes(own: World, kind: TopicKind) -> None:
    """No document is read, and no more entries than a page and some for each popularity."""
    rows = [
        {
            "kind": each.value,
            "name": f"sun{number}",
            "post_count": 2 ** (number % 12),
            "search": {"n0": f"sun{number}", "n1": f"x{number}", "popularity": number % 12 + 1},
        }
        for each in TopicKind
        for number in range(1_000)
    ]
    rows += [
        {**row, "post_count": 0, "search": {"n0": "sun"}, "expires_at": now() + timedelta(hours=1)} for row in rows
    ]
    await own.sources.database["topics"].insert_many(rows)
    for after in (None, Match(MATCH_GROUPS[kind], 3, "sun500", ObjectId())):
        for span in search_keys._spans("search.n0", "sun", after):
            pipeline = search_keys._branch("search.n0", {"kind": kind.value}, span, 21)
            command = {"aggregate": "topics", "pipeline": pipeline, "cursor": {}}
            told = await own.sources.database.command("explain", command, verbosity="executionStats")
            inner = told["stages"][0]["$cursor"] if "stages" in told else told
            stats, plan = inner["executionStats"], str(inner["queryPlanner"]["winningPlan"])
            assert stats["totalDocsExamined"] == 0, told
            assert 0 <= stats["totalKeysExamined"] <= 21 + 2 * 13, told
            assert "COLLSCAN" not in plan
            assert "'SORT'" not in plan
