"""Collections: their posts in an order of their owner's."""

import asyncio
from random import Random
from typing import Any

import pytest
from bson import ObjectId

from datasources.mongo.indexes import POSITIONS
from datasources.saves import collection_posts, savers
from datasources.saves.collection_posts import GAP
from domain.ids import to_global_id
from domain.paging import decode_cursor
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, now

ERRORS = "userErrors { code field }"
CREATE = f"""mutation ($input: CreateCollectionInput!) {{
  createCollection(input: $input) {{ collection {{ id name description isPublic savedPostCount shareKey }} {ERRORS} }}
}}"""
UPDATE = f"""mutation ($input: UpdateCollectionInput!) {{
  updateCollection(input: $input) {{
    collection {{ id name description isPublic shareKey cover {{ id }} savedPosts {{ edges {{ postId note }} }} }}
    {ERRORS}
  }}
}}"""
DELETE = f"""mutation ($input: DeleteCollectionInput!) {{
  deleteCollection(input: $input) {{ deletedCollectionId {ERRORS} }}
}}"""
SAVE = f"""mutation ($input: SavePostInput!) {{
  savePost(input: $input) {{ post {{ viewerCollections {{ name }} }} {ERRORS} }}
}}"""
SEEN = "id name savedPostCount shareKey shareUrl savedPosts(first: 50) { edges { postId note node { id } } }"
NODE = f"query ($id: ID!) {{ node(id: $id) {{ ... on Collection {{ {SEEN} }} }} }}"
PAGE = """query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
  node(id: $id) { ... on Collection { savedPosts(first: $first, after: $after, last: $last, before: $before) {
    edges { postId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  } } }
}"""


async def ask(world: World, document: str, viewer: UserRecord | None, **variables: Any) -> Any:
    """The one root field of the answer."""
    result = await world.execute(document, viewer, **variables)
    assert result.errors is None, result.errors
    (value,) = (result.data or {}).values()
    return value


async def done(world: World, document: str, viewer: UserRecord, **given: Any) -> Any:
    payload = await ask(world, document, viewer, input=given)
    assert payload["userErrors"] == [], payload
    return payload


async def refused(world: World, document: str, viewer: UserRecord, **given: Any) -> tuple[str, list[str] | None]:
    (error,) = (await ask(world, document, viewer, input=given))["userErrors"]
    return error["code"], error["field"]


async def create(world: World, owner: UserRecord, **given: Any) -> str:
    """The id of a new collection."""
    return str((await done(world, CREATE, owner, **{"name": "light", **given}))["collection"]["id"])


async def filled(world: World, owner: UserRecord, size: int, **given: Any) -> tuple[str, list[str]]:
    """A collection of posts of somebody else's, and their ids in its order."""
    author, collection = await world.user(), await create(world, owner, **given)
    ids = [gid(await world.post(author)) for _ in range(size)]
    for post_id in ids:
        await done(world, SAVE, owner, postId=post_id, collectionIds=[collection])
    return collection, ids[::-1]


def gid(post: PostRecord) -> str:
    return to_global_id("Post", post.id)


async def order(world: World, viewer: UserRecord | None, collection: str) -> list[str]:
    edges = (await ask(world, NODE, viewer, id=collection))["savedPosts"]["edges"]
    return [edge["postId"] for edge in edges]


async def test_a_collection_begins_private_and_empty(world: World) -> None:
    ana, bob = await world.users(2)
    made = (await done(world, CREATE, ana, name=" Light\nand  shade ", description="of noon"))["collection"]
    assert {**made, "id": None} == {
        "id": None,
        "name": "Light and  shade",
        "description": "of noon",
        "isPublic": False,
        "savedPostCount": 0,
        "shareKey": None,
    }
    for viewer in (bob, None):
        assert await ask(world, NODE, viewer, id=made["id"]) is None
    mine = await ask(world, "{ viewer { collections { edges { node { id } } } } }", ana)
    assert mine["collections"]["edges"] == [{"node": {"id": made["id"]}}]


async def test_a_retry_with_the_same_key_makes_one(world: World) -> None:
    ana = await world.user()
    key = {"idempotencyKey": "one"}
    made = await asyncio.gather(*(create(world, ana, **key) for _ in range(4)))
    assert len(set(made)) == 1
    assert await refused(world, CREATE, ana, name="other", **key) == ("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])
    for _ in range(2):
        await done(world, DELETE, ana, collectionId=made[0])
    assert await refused(world, CREATE, ana, name="light", **key) == ("NOT_FOUND", ["idempotencyKey"])
    counters = await world.sources.database["savers"].find_one({})
    assert await _counters(world, ana) == (0, 0), counters


async def _counters(world: World, owner: UserRecord) -> tuple[int, int]:
    """How many collections an account has, by the counter and by counting."""
    database = world.sources.database
    counter = await database["savers"].find_one({"_id": owner.id}) or {}
    counted = await database["collections"].count_documents({"owner_id": owner.id, "deleted": False})
    return counter["collection_count"], counted


async def test_the_limits_are_exact_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(savers, "COLLECTIONS_MAX", 3)
    monkeypatch.setattr(collection_posts, "COLLECTION_POSTS_MAX", 2)
    ana = await world.user()
    answers = await asyncio.gather(*(ask(world, CREATE, ana, input={"name": f"c{n}"}) for n in range(6)))
    errors = [error["code"] for answer in answers for error in answer["userErrors"]]
    assert errors == ["TOO_MANY_COLLECTIONS"] * 3
    assert await _counters(world, ana) == (3, 3)
    (collection,) = [answer["collection"]["id"] for answer in answers if answer["collection"]][:1]
    posts = [gid(await world.post(ana)) for _ in range(4)]
    given = [{"postId": post_id, "collectionIds": [collection]} for post_id in posts]
    answers = await asyncio.gather(*(ask(world, SAVE, ana, input=each) for each in given))
    errors = [error["code"] for answer in answers for error in answer["userErrors"]]
    assert errors == ["TOO_MANY_SAVES"] * 2
    assert len(await order(world, ana, collection)) == 2
    assert await world.sources.database["saves"].count_documents({"saver_id": ana.id}) == 2


async def test_a_post_is_in_exactly_the_collections_that_are_named(world: World) -> None:
    ana = await world.user()
    post_id = gid(await world.post(await world.user()))
    first, second = await create(world, ana, name="one"), await create(world, ana, name="two")
    for ids, names in (([first, second], ["two", "one"]), ([second], ["two"]), (None, ["two"]), ([], [])):
        payload = await done(world, SAVE, ana, postId=post_id, **({} if ids is None else {"collectionIds": ids}))
        assert sorted(each["name"] for each in payload["post"]["viewerCollections"]) == sorted(names)
    assert await order(world, ana, first) == await order(world, ana, second) == []
    theirs = await create(world, await world.user(), name="theirs")
    code = await refused(world, SAVE, ana, postId=post_id, collectionIds=[second, theirs])
    assert code == ("NOT_FOUND", ["collectionIds"])
    assert await order(world, ana, second) == []


async def test_posts_are_moved_one_by_one_and_noted(world: World) -> None:
    ana = await world.user()
    collection, (a, b, c, d) = await filled(world, ana, 4)
    for moves, expected in (
        ([{"postId": d, "afterPostId": a}], [a, d, b, c]),
        ([{"postId": d, "afterPostId": a}], [a, d, b, c]),
        ([{"postId": c, "afterPostId": None}], [c, a, d, b]),
        ([{"postId": c, "afterPostId": b}, {"postId": a, "afterPostId": b}], [d, b, a, c]),
    ):
        await done(world, UPDATE, ana, collectionId=collection, posts=moves)
        assert await order(world, ana, collection) == expected
    noted = await done(world, UPDATE, ana, collectionId=collection, posts=[{"postId": b, "note": " for the wall "}])
    notes = {edge["postId"]: edge["note"] for edge in noted["collection"]["savedPosts"]["edges"]}
    assert notes == {a: None, b: "for the wall", c: None, d: None}
    assert await order(world, ana, collection) == [d, b, a, c]
    half = [{"postId": d, "note": "lost"}, {"postId": gid(await world.post(ana)), "note": "not here"}]
    assert await refused(world, UPDATE, ana, collectionId=collection, posts=half) == ("NOT_FOUND", ["posts", "postId"])
    assert notes.items() <= {e["postId"]: e["note"] for e in (await edges_of(world, ana, collection))}.items()
    itself = [{"postId": d, "afterPostId": d}]
    code = await refused(world, UPDATE, ana, collectionId=collection, posts=itself)
    assert code == ("INVALID_INPUT", ["posts", "afterPostId"])


async def edges_of(world: World, viewer: UserRecord | None, collection: str) -> list[Any]:
    return list((await ask(world, NODE, viewer, id=collection))["savedPosts"]["edges"])


async def test_a_move_writes_one_post_and_the_order_lasts_when_there_is_no_room(world: World) -> None:
    ana, random = await world.user(), Random(7)
    collection, expected = await filled(world, ana, 4)
    items, numberings = world.sources.database["collection_posts"], 0
    for _ in range(120):  # more than the halvings between two neighbours
        moved = expected[-1]
        before = {row["_id"]: row["position"] for row in await items.find({"owner_id": ana.id}).to_list()}
        await done(world, UPDATE, ana, collectionId=collection, posts=[{"postId": moved, "afterPostId": expected[0]}])
        expected = [expected[0], moved, *expected[1:-1]]
        after = {row["_id"]: row["position"] for row in await items.find({"owner_id": ana.id}).to_list()}
        changed = sum(before[id_] != position for id_, position in after.items())
        numberings += changed > 1
        assert changed in (1, 4)
        assert await order(world, ana, collection) == expected
    assert 1 <= numberings <= 120 // (GAP.bit_length() - 2)
    await asyncio.gather(
        *(
            done(world, UPDATE, ana, collectionId=collection, posts=[{"postId": each, "afterPostId": None}])
            for each in random.sample(expected, 4)
        )
    )
    assert sorted(await order(world, ana, collection)) == sorted(expected)


async def test_its_pages_go_both_ways_while_posts_are_added_and_moved(world: World) -> None:
    ana = await world.user()
    collection, ids = await filled(world, ana, 5)
    page: dict[str, Any] = {"pageInfo": {"endCursor": None, "hasNextPage": True}}
    walked: list[str] = []
    while page["pageInfo"]["hasNextPage"]:
        page = (await ask(world, PAGE, ana, id=collection, first=2, after=page["pageInfo"]["endCursor"]))["savedPosts"]
        walked += [edge["postId"] for edge in page["edges"]]
        if len(walked) == 2:
            await done(world, SAVE, ana, postId=gid(await world.post(ana)), collectionIds=[collection])
    assert walked == ids
    backward: list[str] = []
    page = {"pageInfo": {"startCursor": None, "hasPreviousPage": True}}
    while page["pageInfo"]["hasPreviousPage"]:
        page = (await ask(world, PAGE, ana, id=collection, last=2, before=page["pageInfo"]["startCursor"]))[
            "savedPosts"
        ]
        backward = [edge["postId"] for edge in page["edges"]] + backward
    assert backward[1:] == ids


async def pages(world: World, viewer: UserRecord, collection: str, size: int, after: str | None = None) -> Any:
    return (await ask(world, PAGE, viewer, id=collection, first=size, after=after))["savedPosts"]


async def test_its_pages_go_on_beside_moves_new_numbers_and_removals(world: World) -> None:
    ana = await world.user()
    collection, (a, b, c, d, e, f) = await filled(world, ana, 6)
    cursor = (await pages(world, ana, collection, 2))["pageInfo"]["endCursor"]
    items, last = world.sources.database["collection_posts"], [{"postId": f, "afterPostId": b}]
    await done(world, UPDATE, ana, collectionId=collection, posts=last)
    rest = await pages(world, ana, collection, 9, cursor)
    assert [edge["postId"] for edge in rest["edges"]] == [f, c, d, e]
    positions = [row["position"] for row in await items.find({"owner_id": ana.id}, sort=[("position", 1)]).to_list()]
    await items.update_one({"owner_id": ana.id, "position": positions[-3]}, {"$set": {"position": positions[-2] - 1}})
    await done(world, UPDATE, ana, collectionId=collection, posts=[{"postId": e, "afterPostId": b}])
    anew = await items.find({"owner_id": ana.id}, sort=[("position", 1)]).to_list()
    assert anew[0]["position"] > positions[-1]
    rest = await pages(world, ana, collection, 9, cursor)
    assert [edge["postId"] for edge in rest["edges"]] == [e, f, c, d]
    back = await ask(world, PAGE, ana, id=collection, last=9, before=cursor)
    assert [edge["postId"] for edge in back["savedPosts"]["edges"]] == [a]
    await done(world, SAVE, ana, postId=b, collectionIds=[])
    rest = await pages(world, ana, collection, 9, cursor)
    assert [edge["postId"] for edge in rest["edges"]] == [c, d]
    back = await ask(world, PAGE, ana, id=collection, last=9, before=cursor)
    assert [edge["postId"] for edge in back["savedPosts"]["edges"]] == [a, e, f]
    for post_id in (c, d, e, f):
        await done(world, SAVE, ana, postId=post_id, collectionIds=[])
    rest = await pages(world, ana, collection, 9, cursor)
    assert (rest["edges"], rest["pageInfo"]["hasNextPage"]) == ([], False)


async def test_a_cursor_tells_nothing_of_the_posts_between(world: World) -> None:
    ana, bob = await world.users(2)
    hidden = await world.user(is_private=True)
    collection = await create(world, ana, isPublic=True)
    await world.follow(ana, hidden)
    await world.sources.follows.accept(ana.id, hidden.id, now=now())
    for author in (bob, hidden, bob):
        await done(world, SAVE, ana, postId=gid(await world.post(author)), collectionIds=[collection])
    page = await pages(world, bob, collection, 1)
    assert page["pageInfo"]["hasNextPage"]
    cursor = page["pageInfo"]["endCursor"]
    assert isinstance(decode_cursor(cursor), ObjectId)
    rest = await pages(world, bob, collection, 9, cursor)
    assert (len(rest["edges"]), rest["pageInfo"]["hasNextPage"]) == (1, False)


async def test_what_cannot_be_cleared_is_refused_and_texts_are_checked(world: World) -> None:
    ana = await world.user()
    collection = await create(world, ana)
    for name in ("name", "isPublic", "isShared"):
        assert await refused(world, UPDATE, ana, collectionId=collection, **{name: None}) == ("INVALID_INPUT", [name])
    assert await refused(world, CREATE, ana, name=" ") == ("INVALID_INPUT", ["name"])
    assert await refused(world, CREATE, ana, name="x" * 61) == ("INVALID_INPUT", ["name"])
    cleared = await done(world, UPDATE, ana, collectionId=collection, description=None)
    assert cleared["collection"]["description"] is None
    many = [await create(world, ana) for _ in range(21)]
    post_id = gid(await world.post(ana))
    assert await refused(world, SAVE, ana, postId=post_id, collectionIds=many) == ("INVALID_INPUT", ["collectionIds"])


async def test_somebody_elses_collection_cannot_be_changed(world: World) -> None:
    ana, bob = await world.users(2)
    public, private = await create(world, ana, isPublic=True), await create(world, ana)
    missing = to_global_id("Collection", ObjectId())
    for document in (UPDATE, DELETE):
        assert await refused(world, document, bob, collectionId=public) == ("NOT_ALLOWED", ["collectionId"])
        for hidden in (private, missing, "nonsense"):
            assert await refused(world, document, bob, collectionId=hidden) == ("NOT_FOUND", ["collectionId"])
    assert (await ask(world, NODE, ana, id=private))["name"] == "light"


async def test_deleting_a_collection_keeps_the_saves(world: World) -> None:
    ana = await world.user()
    collection, ids = await filled(world, ana, 3)
    await done(world, DELETE, ana, collectionId=collection)
    assert await ask(world, NODE, ana, id=collection) is None
    assert await world.sources.database["saves"].count_documents({"saver_id": ana.id}) == len(ids)
    assert await world.sources.database["collection_posts"].count_documents({"owner_id": ana.id}) == 0
    assert await refused(world, SAVE, ana, postId=ids[0], collectionIds=[collection]) == (
        "NOT_FOUND",
        ["collectionIds"],
    )
    assert await refused(world, DELETE, ana, collectionId=collection) == ("NOT_FOUND", ["collectionId"])


async def test_everything_at_once_leaves_counters_that_are_right(world: World) -> None:
    ana = await world.user()
    collections = [await create(world, ana) for _ in range(3)]
    author = await world.user()
    posts = [await world.post(author) for _ in range(4)]
    random = Random(11)

    async def act() -> None:
        post = gid(random.choice(posts))
        ids = random.sample(collections, random.randrange(3))
        if random.random() < 0.3:
            unsave = "mutation ($input: UnsavePostInput!) { unsavePost(input: $input) { userErrors { code } } }"
            await ask(world, unsave, ana, input={"postId": post})
        elif random.random() < 0.1:
            await ask(world, DELETE, ana, input={"collectionId": random.choice(collections)})
        else:
            await ask(world, SAVE, ana, input={"postId": post, "collectionIds": ids})

    for _ in range(6):
        await asyncio.gather(*(act() for _ in range(6)))
    database = world.sources.database
    saved = {row["post_id"] for row in await database["saves"].find({"saver_id": ana.id}).to_list()}
    items = await database["collection_posts"].find({"owner_id": ana.id}).to_list()
    assert {item["post_id"] for item in items} <= saved
    counter = await database["savers"].find_one({"_id": ana.id}) or {}
    assert counter["save_count"] == len(saved)
    left = await database["collections"].find({"owner_id": ana.id, "deleted": False}).to_list()
    assert counter["collection_count"] == len(left)
    for collection in left:
        of_it = [item for item in items if item["collection_id"] == collection["_id"]]
        assert collection["post_count"] == len(of_it)
    assert {item["collection_id"] for item in items} <= {collection["_id"] for collection in left}


async def test_lists_are_read_from_indexes_alone(world: World) -> None:
    owner, collection, post = ObjectId(), ObjectId(), ObjectId()
    in_collection = {"owner_id": owner, "collection_id": collection}
    ordered = {"find": "collection_posts", "filter": in_collection, "sort": {"position": -1}, "hint": dict(POSITIONS)}
    finds: list[dict[str, Any]] = [
        {"find": "collections", "filter": {"owner_id": owner, "deleted": False}, "sort": {"_id": -1}, "limit": 21},
        ordered,
        {**ordered, "filter": {**in_collection, "position": {"$lt": 5}}},
        {"find": "collection_posts", "filter": {"owner_id": owner, "post_id": {"$in": [post]}}},
    ]
    for find in finds:
        plan = str((await world.sources.database.command("explain", find, verbosity="queryPlanner"))["queryPlanner"])
        assert "IXSCAN" in plan, find
        assert "COLLSCAN" not in plan, find
        assert "'SORT'" not in plan, find
