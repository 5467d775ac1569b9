"""Pages of topics cost the same however many posts are listed, by what MongoDB's profiler says of their finds."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from bson import ObjectId

from domain.paging import PageRequest, Ranked
from domain.places import Point
from domain.topics import hashtag_id
from tests.support.factories import World, items_of

LISTED = 2_000
SIZE = 20
NAMES = [f"tag{number}" for number in range(40)]


@pytest.fixture
async def listed(own: World) -> AsyncIterator[list[ObjectId]]:
    """Posts that are listed under every one of some hashtags, newest first; half of them are equally good."""
    post_ids = [ObjectId() for _ in range(LISTED // len(NAMES))]
    rows: list[dict[str, Any]] = [
        {"topic_id": hashtag_id(name), "post_id": post_id, "listed": True, "counted": True, "score": number % 2}
        for name in NAMES
        for number, post_id in enumerate(post_ids)
    ]
    rows += [
        {"topic_id": hashtag_id(NAMES[0]), "post_id": ObjectId(), "listed": True, "counted": True, "score": 1}
        for _ in range(LISTED)
    ]
    await own.sources.database["topic_posts"].insert_many(rows)
    await own.sources.database.command("profile", 2)
    yield sorted(post_ids, reverse=True)
    await own.sources.database.command("profile", 0)
    await own.sources.database["system.profile"].drop()


async def examined(world: World, collection: str) -> tuple[int, int]:
    """How many documents and keys all reads of a collection have examined."""
    await world.sources.database.command("profile", 0)
    query = {"$or": [{"command.find": collection}, {"command.aggregate": collection}]}
    reads = await world.sources.database["system.profile"].find(query).to_list()
    assert reads
    assert all("COLLSCAN" not in read["planSummary"] and not read.get("hasSortStage") for read in reads), reads
    return sum(read["docsExamined"] for read in reads), sum(read["keysExamined"] for read in reads)


@pytest.mark.parametrize("backward", [False, True])
async def test_a_page_of_the_latest_reads_its_own_rows(own: World, listed: list[ObjectId], backward: bool) -> None:
    bounds: dict[str, Any] = {"before": listed[30]} if backward else {"after": listed[0]}
    request = PageRequest(limit=SIZE, backward=backward, **bounds)
    page = await own.sources.listings.entries.latest(hashtag_id(NAMES[1]), request)
    assert items_of(page) == (listed[10:30] if backward else listed[1:21])
    documents, keys = await examined(own, "topic_posts")
    assert documents <= SIZE + 1
    assert keys <= SIZE + 3


@pytest.mark.parametrize("backward", [False, True])
async def test_a_page_of_the_best_reads_its_own_rows(own: World, listed: list[ObjectId], backward: bool) -> None:
    bounds: dict[str, Any] = {"before" if backward else "after": Ranked(1, listed[25])}
    request = PageRequest(limit=SIZE, backward=backward, **bounds)
    page = await own.sources.listings.entries.top(hashtag_id(NAMES[0]), request)
    assert len(page.items) == SIZE
    documents, keys = await examined(own, "topic_posts")
    assert documents <= SIZE + 1
    assert keys <= SIZE + 6


async def test_a_feed_reads_a_few_rows_of_each_followed_hashtag(own: World, listed: list[ObjectId]) -> None:
    topic_ids = [hashtag_id(name) for name in NAMES[1:]]
    found = await own.sources.listings.entries.latest_of(topic_ids, PageRequest(limit=SIZE, after=listed[3]))
    assert found == listed[4 : 4 + SIZE + 1]
    documents, keys = await examined(own, "topic_posts")
    assert documents <= 4 * SIZE * len(topic_ids)
    assert keys <= 8 * SIZE * len(topic_ids)


async def test_places_around_a_point_are_found_by_an_index(own: World) -> None:
    rows = [
        {
            "kind": "PLACE",
            "name": "x",
            "name_key": "x",
            "post_count": 1,
            "point": {"type": "Point", "coordinates": [number / 50, 10.0]},
        }
        for number in range(-2_000, 2_000)
    ]
    await own.sources.database["topics"].insert_many(rows)
    await own.sources.database.command("profile", 2)
    page = await own.sources.listings.places.near(Point(10.0, 0.0), 5_000, PageRequest(limit=SIZE))
    assert 0 < len(page.items) < SIZE
    await own.sources.database.command("profile", 0)
    (read,) = await own.sources.database["system.profile"].find({"command.aggregate": "topics"}).to_list()
    assert "GEO_NEAR" in read["planSummary"]
    assert read["docsExamined"] < 100
