"""Whom a viewer follows and who follow another account: in pages and in brief, for whom, and what it reads."""

import asyncio
import random
from typing import Any

import pytest
from bson import ObjectId

import datasources.discovery.mutual_followers as mutual
from datasources.discovery.mutual_followers import MutualFollowerStore
from domain.limits import (
    FOLLOWING_MAX,
    MUTUAL_FOLLOWERS_AMONG,
    MUTUAL_FOLLOWERS_BRIEF_PRICE,
    MUTUAL_FOLLOWERS_PRICE,
    MUTUAL_FOLLOWERS_SHOWN,
    PAGE_SIZE_MAX,
)
from domain.paging import PageRequest
from domain.records.follows import FollowState
from domain.records.users import AccountStanding, UserRecord
from tests.integration.test_cost_bounds import cost
from tests.support.factories import World, items_of, now

PAGE = """query ($name: String!, $first: Int, $after: String, $last: Int, $before: String) {
  user(username: $name) {
    mutualFollowers(first: $first, after: $after, last: $last, before: $before) {
      edges { node { username } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
    followedByViewerFollows { count users { username } }
  }
}"""


async def shown(world: World, viewer: UserRecord | None, user: UserRecord, **page: Any) -> Any:
    result = await world.execute(PAGE, viewer, name=user.username, **page)
    assert result.errors is None, result.errors
    assert result.data is not None
    return result.data["user"]


async def mutual_followers(world: World, viewer: UserRecord | None, user: UserRecord, size: int = 2) -> list[str]:
    """All handles, by pages; what is said in brief must be the same."""
    handles, after = list[str](), None
    while True:
        answer = await shown(world, viewer, user, first=size, after=after)
        page = answer["mutualFollowers"]
        handles += [edge["node"]["username"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        assert len(page["edges"]) == size
        after = page["pageInfo"]["endCursor"]
    brief = answer["followedByViewerFollows"]
    names = [each["username"] for each in brief["users"]]
    assert (brief["count"], names) == (len(handles), handles[:MUTUAL_FOLLOWERS_SHOWN])
    return handles


async def test_they_are_listed_the_latest_followed_first_in_both_directions(world: World) -> None:
    ana, bob, *others = await world.users(9)
    for other in others:
        await world.follow(ana, other)
    for other in others[1:6]:
        await world.follow(other, bob)
    await world.follow(bob, others[0])
    expected = [other.username for other in others[5:0:-1]]
    for size in (1, 2, 5, 6):
        assert await mutual_followers(world, ana, bob, size) == expected
    handles, before = list[str](), None
    while True:
        page = (await shown(world, ana, bob, last=2, before=before))["mutualFollowers"]
        handles = [edge["node"]["username"] for edge in page["edges"]] + handles
        if not page["pageInfo"]["hasPreviousPage"]:
            break
        before = page["pageInfo"]["startCursor"]
    assert handles == expected
    assert await mutual_followers(world, bob, ana) == []
    assert await mutual_followers(world, others[0], bob) == []


async def test_an_unfollow_a_block_and_a_suspension_show_at_once(world: World) -> None:
    ana, bob, unfollowed, unfollows, blocked, blocks, apart, gone, stays = await world.users(9)
    for other in (unfollowed, unfollows, blocked, blocks, apart, gone, stays):
        await world.follow(ana, other)
        await world.follow(other, bob)
    assert len(await mutual_followers(world, ana, bob)) == 7
    sources = world.sources
    await sources.follows.unfollow(ana.id, unfollowed.id, now=now())
    await sources.follows.unfollow(unfollows.id, bob.id, now=now())
    await sources.blocks.block(ana.id, blocked.id, now=now())
    await sources.blocks.block(blocks.id, ana.id, now=now())
    await sources.blocks.block(bob.id, apart.id, now=now())
    await world.set_standing(gone, AccountStanding.SUSPENDED)
    assert await mutual_followers(world, ana, bob) == [stays.username]
    await sources.blocks.block(bob.id, ana.id, now=now())
    result = await world.execute(PAGE, ana, name=bob.username)
    assert result.data == {"user": None}


async def test_requests_are_not_follows(world: World) -> None:
    ana, bob, private = await world.user(), await world.user(), await world.user(is_private=True)
    await world.follow(ana, private)
    await world.follow(private, bob)
    assert await mutual_followers(world, ana, bob) == []
    await world.sources.follows.accept(ana.id, private.id, now=now())
    assert await mutual_followers(world, ana, bob) == [private.username]


async def test_those_of_a_private_account_are_for_its_followers(world: World) -> None:
    ana, bob, private = await world.user(), await world.user(), await world.user(is_private=True)
    await world.follow(ana, bob)
    await world.follow(bob, private)
    await world.sources.follows.accept(bob.id, private.id, now=now())
    assert await mutual_followers(world, ana, private) == []
    await world.follow(ana, private)
    assert await mutual_followers(world, ana, private) == []
    await world.sources.follows.accept(ana.id, private.id, now=now())
    assert await mutual_followers(world, ana, private) == [bob.username]


async def test_strangers_and_the_suspended_follow_nobody(world: World) -> None:
    ana, bob, cat = await world.users(3)
    await world.follow(ana, bob)
    await world.follow(bob, cat)
    assert await mutual_followers(world, None, cat) == []
    assert await mutual_followers(world, ana, cat) == [bob.username]
    suspended = await world.set_standing(ana, AccountStanding.SUSPENDED)
    assert await mutual_followers(world, suspended, cat) == []


async def test_ones_own_are_those_who_follow_back(world: World) -> None:
    ana, bob, cat = await world.users(3)
    for other in (bob, cat):
        await world.follow(ana, other)
    await world.follow(cat, ana)
    assert await mutual_followers(world, ana, ana) == [cat.username]


async def test_any_graph_shows_what_its_sets_say(world: World, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance, people = random.Random(seed), await world.users(9)
    monkeypatch.setattr(mutual, "READ_AT_ONCE", chance.choice([2, 3, 100]))
    pairs = [(one, other) for one in people for other in people if one is not other and chance.random() < 0.5]
    chance.shuffle(pairs)
    for one, other in pairs:
        await world.follow(one, other)
    for viewer in people[:3]:
        followed = [other for one, other in reversed(pairs) if one is viewer]
        for user in people:
            expected = [each.username for each in followed if (each, user) in pairs]
            assert await mutual_followers(world, viewer, user, chance.choice([1, 2, 3, 50])) == expected


async def follow_many(world: World, follower_id: ObjectId, followee_ids: list[ObjectId]) -> None:
    rows = [
        {"follower_id": follower_id, "followee_id": each, "state": FollowState.FOLLOWING.value, "slot": number}
        for number, each in enumerate(followee_ids)
    ]
    await world.sources.database["follows"].insert_many(rows)


@pytest.fixture
async def crowd(own: World) -> tuple[ObjectId, list[ObjectId], list[ObjectId]]:
    """Who follows as many as anybody may, these in the order of following, and accounts with 20,000 followers each."""
    viewer_id, followees = ObjectId(), [ObjectId() for _ in range(FOLLOWING_MAX)]
    famous = [ObjectId() for _ in range(PAGE_SIZE_MAX)]
    await follow_many(own, viewer_id, followees)
    rows = [
        {"follower_id": ObjectId(), "followee_id": famous[0], "state": FollowState.FOLLOWING.value}
        for _ in range(20_000)
    ]
    await own.sources.database["follows"].insert_many(rows)
    for follower_id in (followees[0], followees[-1]):
        await follow_many(own, follower_id, famous)
    return viewer_id, followees, famous


async def examined(world: World) -> list[tuple[int, int]]:
    """The documents and keys that each operation on `follows` has examined."""
    await world.sources.database.command("profile", 0)
    query = {"$or": [{"command.find": "follows"}, {"command.aggregate": "follows"}]}
    reads = await world.sources.database["system.profile"].find(query).to_list()
    await world.sources.database["system.profile"].drop()
    assert all("COLLSCAN" not in read["planSummary"] and not read.get("hasSortStage") for read in reads), reads
    return [(read["docsExamined"], read["keysExamined"]) for read in reads]


async def test_the_only_one_at_the_end_is_found_by_index_scans(
    own: World, crowd: tuple[ObjectId, list[ObjectId], list[ObjectId]]
) -> None:
    viewer_id, followees, famous = crowd
    await own.sources.database.command("profile", 2)
    page = await own.sources.discovery.mutual_followers.page(viewer_id, famous[0], PageRequest(limit=20))
    reads = await examined(own)
    assert items_of(page) == [followees[-1], followees[0]]
    assert not page.has_next
    assert len(reads) == 2 * (FOLLOWING_MAX // mutual.READ_AT_ONCE) + 1  # the last one finds the end
    assert sum(documents for documents, _ in reads) == 2
    assert sum(keys for _, keys in reads) <= 3 * FOLLOWING_MAX


async def test_those_of_a_whole_page_in_brief_are_sought_among_the_latest_followed(
    own: World, crowd: tuple[ObjectId, list[ObjectId], list[ObjectId]]
) -> None:
    viewer_id, followees, famous = crowd
    await own.sources.database.command("profile", 2)
    found = await own.sources.discovery.mutual_followers.of_users(viewer_id, famous)
    reads = await examined(own)
    assert found == {user_id: [followees[-1]] for user_id in famous}
    assert len(reads) == 2
    assert sum(documents for documents, _ in reads) == len(famous)
    assert sum(keys for _, keys in reads) <= 3 * MUTUAL_FOLLOWERS_AMONG + 2 * len(famous)


async def test_one_operation_reads_two_pages_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ana, bob, cat = await world.users(3)
    await world.follow(ana, bob)
    await world.follow(bob, cat)
    running, most, page = 0, 0, MutualFollowerStore.page

    async def counted(store: MutualFollowerStore, *arguments: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        try:
            return await page(store, *arguments)
        finally:
            running -= 1

    monkeypatch.setattr(MutualFollowerStore, "page", counted)
    fields = " ".join(f"a{number}: mutualFollowers(first: 1) {{ edges {{ node {{ id }} }} }}" for number in range(9))
    result = await world.execute(f'{{ user(username: "{cat.username}") {{ {fields} }} }}', ana)
    assert result.errors is None
    assert result.data is not None
    assert len(result.data["user"]) == 9
    assert all(len(each["edges"]) == 1 for each in result.data["user"].values())
    assert most == 2


def test_they_cost_more_than_their_fields() -> None:
    plain, brief = (f'{{ user(username: "ana") {{ {field} }} }}' for field in ("followers", "followedByViewerFollows"))
    wanted = " { edges { node { id } } }"
    followers = cost(plain.replace("followers", f"followers{wanted}"))
    assert cost(plain.replace("followers", f"mutualFollowers{wanted}")) == followers + MUTUAL_FOLLOWERS_PRICE
    assert cost(brief.replace("Follows ", "Follows { count } ")) == 3 + MUTUAL_FOLLOWERS_BRIEF_PRICE


async def test_those_in_brief_of_many_are_read_in_parts_and_a_failure_leaves_the_list(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bob, cat = await own.users(3)
    await own.follow(ana, bob)
    await own.follow(bob, cat)
    ids = [cat.id, *(ObjectId() for _ in range(2 * PAGE_SIZE_MAX))]
    await own.sources.database.command("profile", 2)
    assert await own.sources.discovery.mutual_followers.of_users(ana.id, ids) == {cat.id: [bob.id]}
    assert len(await examined(own)) == 1 + 3

    async def fail(*_: Any) -> Any:
        raise TimeoutError

    monkeypatch.setattr(MutualFollowerStore, "of_users", fail)
    listed = "{ suggestedUsers { edges { node { username followedByViewerFollows { count } } } } }"
    result = await own.execute(listed, ana)
    assert result.errors
    assert result.data == {
        "suggestedUsers": {"edges": [{"node": {"username": cat.username, "followedByViewerFollows": None}}]}
    }
