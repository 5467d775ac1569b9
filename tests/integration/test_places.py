"""Posts of one place are found at it: however many workers make it at once, and wherever it is."""

import asyncio
import contextlib
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import OperationFailure

from domain.ids import to_global_id
from domain.limits import PLACE_METERS
from domain.places import Point, cell_of, distance, name_key, place_id, point_of
from domain.records.posts import LocationRecord, PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, now
from workers.handlers import list_posts

METER = 1 / 111_195  # degrees
PLACE = "{ name latitude longitude postCount posts(first: 50) { edges { node { id } } } }"
AT = f"query ($id: ID!) {{ post(id: $id) {{ location {{ name place {PLACE} }} }} }}"
NEAR = """query ($at: Float!, $east: Float!, $within: Int! = 1000, $first: Int, $after: String) {
  placesNear(latitude: $at, longitude: $east, withinMeters: $within, first: $first, after: $after) {
    edges { node { name } } pageInfo { hasNextPage endCursor }
  }
}"""


def new_name() -> str:
    return f"Square {ObjectId()}"


def at(name: str, latitude: float | None = 52.52, longitude: float | None = 13.4) -> LocationRecord:
    return LocationRecord(name=name, latitude=latitude, longitude=longitude)


async def post_at(world: World, location: LocationRecord, author: UserRecord | None = None) -> PostRecord:
    return await world.post(author or await world.user(), location=location)


async def place_of(world: World, post: PostRecord, viewer: UserRecord | None = None) -> Any:
    result = await world.execute(AT, viewer, id=to_global_id("Post", post.id))
    assert result.data is not None, result.errors
    return result.data["post"]["location"]["place"]


async def near(world: World, point: Point, **more: Any) -> Any:
    result = await world.execute(NEAR, None, at=point.latitude, east=point.longitude, **more)
    assert result.data is not None, result.errors
    page = result.data["placesNear"]
    return [edge["node"]["name"] for edge in page["edges"]], page["pageInfo"]


async def store_place(world: World, name: str, latitude: float, longitude: float) -> None:
    point = {"type": "Point", "coordinates": [longitude, latitude]}
    place = {"kind": "PLACE", "name": name, "name_key": name, "point": point, "post_count": 1}
    await world.sources.database["topics"].insert_one(place)


async def topics(world: World, key: str) -> list[dict[str, Any]]:
    return await world.sources.database["topics"].find({"name_key": key}).to_list()


async def test_posts_of_one_name_near_one_another_are_at_one_place(world: World) -> None:
    name = new_name()
    first = await post_at(world, at(name))
    await world.drain()
    others = [
        await post_at(world, at(name.upper(), 52.52 + 200 * METER)),
        await post_at(world, at(f" {name}!", 52.52, 13.4 + 200 * METER)),
    ]
    far = await post_at(world, at(name, 52.52 + 900 * METER))
    other_name = await post_at(world, at(new_name()))
    await world.drain()
    place = await place_of(world, first)
    assert (place["name"], place["postCount"]) == (name, 3)
    assert distance(Point(place["latitude"], place["longitude"]), Point(52.52, 13.4)) <= PLACE_METERS
    ids = [to_global_id("Post", post.id) for post in (*others[::-1], first)]
    assert [edge["node"]["id"] for edge in place["posts"]["edges"]] == ids
    for post in others:
        assert await place_of(world, post) == place
    for post in (far, other_name):
        assert (await place_of(world, post))["postCount"] == 1


async def test_a_place_tells_nothing_of_where_exactly_a_post_was_taken(world: World) -> None:
    name, cell = new_name(), cell_of(Point(52.52, 13.4))
    id_ = place_id(name_key(name), cell)
    middle = point_of(id_, cell)
    ana = await world.user()
    gone = await post_at(world, at(name, middle.latitude + 60 * METER, middle.longitude), ana)
    await world.drain()
    rest = await post_at(world, at(name, middle.latitude - 60 * METER, middle.longitude))
    await world.drain()
    await world.sources.posts.delete(gone.id, ana.id, now())
    await world.drain()
    place = await place_of(world, rest)
    assert (place["latitude"], place["longitude"], place["postCount"]) == (*middle, 1)
    (stored,) = await topics(world, name_key(name))
    assert stored["point"]["coordinates"] == [middle.longitude, middle.latitude]


@pytest.mark.parametrize(("apart", "conflicts"), [(240, True), (10_000, False)])
async def test_only_places_of_one_name_near_one_another_wait_for_one_another(
    world: World, apart: float, conflicts: bool
) -> None:
    name, client, places = new_name(), world.sources.database.client, world.sources.listings.places
    async with client.start_session() as one, client.start_session() as other:
        for session in (one, other):
            await session.start_transaction()
        await places.recognise(at(name), [], {}, one)
        waits = pytest.raises(OperationFailure, match=r"[Cc]onflict") if conflicts else contextlib.nullcontext()
        with waits:
            await places.recognise(at(name, 52.52 + apart * METER), [], {}, other)


async def test_a_location_without_a_point_is_known_by_its_name(world: World) -> None:
    name = new_name()
    posts = [await post_at(world, at(name, None, None)) for _ in range(2)]
    with_point = await post_at(world, at(name))
    await world.drain()
    place = await place_of(world, posts[0])
    assert (place["latitude"], place["longitude"], place["postCount"]) == (None, None, 2)
    assert (await place_of(world, with_point))["postCount"] == 1


@pytest.mark.parametrize(
    "center", [Point(52.52, 13.4), Point(0.0, 179.9999), Point(0.0, 0.0), Point(89.9985, 12.0), Point(-78.0, -180.0)]
)
async def test_workers_that_see_a_place_for_the_first_time_at_once_make_one(world: World, center: Point) -> None:
    name, steps = new_name(), (-80, -40, 0, 40, 80)
    posts = [
        await post_at(world, at(name, min(90.0, center.latitude + north * METER), center.longitude))
        for north in steps
        for _ in range(2)
    ]
    await asyncio.gather(*(list_posts.list_posts(world.tools, str(post.id)) for post in posts))
    await world.drain()
    assert [topic["post_count"] for topic in await topics(world, name_key(name))] == [len(posts)]


async def test_posts_of_one_batch_make_one_place(world: World) -> None:
    name = new_name()
    posts = [await post_at(world, at(name, 52.52 + north * METER)) for north in (0, 150, 240)]
    await list_posts.list_posts(world.tools, *(str(post.id) for post in posts))
    await world.drain()
    assert [topic["post_count"] for topic in await topics(world, name_key(name))] == [3]


async def test_a_place_goes_with_its_last_post_and_keeps_nothing_of_private_accounts(world: World) -> None:
    name, (ana, bob) = new_name(), await world.users(2)
    post, hidden = await post_at(world, at(name), ana), await post_at(world, at(name), bob)
    await world.drain()
    assert (await near(world, Point(52.52, 13.4), first=50, within=300))[0].count(name) == 1
    await world.sources.users.update_profile(bob.id, {"is_private": True})
    await world.drain()
    gid = to_global_id("Place", place_id(name_key(name), cell_of(Point(52.52, 13.4))))
    node = "query ($id: ID!) { node(id: $id) { ... on Place { postCount } } }"
    assert (await world.execute(node, None, id=gid)).data == {"node": {"postCount": 1}}
    assert await place_of(world, hidden, bob) is None
    await world.sources.posts.delete(post.id, ana.id, now())
    await world.drain()
    assert (await world.execute(node, None, id=gid)).data == {"node": None}
    assert (await near(world, Point(52.52, 13.4), first=50))[0].count(name) == 0
    assert all("expires_at" in topic for topic in await topics(world, name_key(name)))


async def test_an_edited_place_moves_the_post(world: World) -> None:
    ana, before, after = await world.user(), new_name(), new_name()
    post = await post_at(world, at(before), ana)
    await world.drain()
    await place_of(world, post)
    await world.sources.posts.update(post.id, ana.id, {"location": at(after)}, now())
    await world.drain()
    assert (await place_of(world, post))["name"] == after
    assert [topic["post_count"] for topic in await topics(world, name_key(before))] == [0]
    await world.sources.posts.update(post.id, ana.id, {"location": None}, now())
    await world.drain()
    assert "place_id" not in (await world.sources.database["posts"].find_one({"_id": post.id}) or {"place_id": 1})


async def test_places_around_a_point_are_paged_by_distance(own: World) -> None:
    center = Point(-33.86, 151.2)
    names = {meters: f"place at {meters}" for meters in (0, 100, 300, 300.4, 700, 900, 1_500)}
    for meters, name in reversed(names.items()):
        await store_place(own, name, center.latitude + meters * METER, center.longitude)
    for number in range(5):  # equally far
        await store_place(own, f"as far {number}", center.latitude - 500 * METER, center.longitude)
    for size in (1, 2, 3, 50):
        seen, page = await near(own, center, first=size)
        while page["hasNextPage"]:
            more, page = await near(own, center, first=size, after=page["endCursor"])
            assert more
            seen += more
        assert [name for name in seen if "place" in name] == [
            names[meters] for meters in (0, 100, 300, 300.4, 700, 900)
        ]
        assert sorted(seen[4:9]) == [f"as far {number}" for number in range(5)]
        assert len(seen) == 11
    assert (await near(own, center, within=2_000, first=50))[0][-1] == names[1_500]


@pytest.mark.parametrize(
    "bad",
    [{"at": 91.0}, {"at": -91.0}, {"east": 181.0}, {"within": 0}, {"within": 20_001}, {"first": 51}, {"after": "x"}],
)
async def test_bad_searches_are_refused(world: World, bad: dict[str, Any]) -> None:
    result = await world.execute(NEAR, None, **{"at": 1.0, "east": 1.0, **bad})
    assert result.data == {"placesNear": None}
    assert [type(error.original_error).__name__ for error in result.errors or ()] == ["BadInput"]
