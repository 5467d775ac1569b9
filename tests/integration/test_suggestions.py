"""Accounts to follow: who is suggested, why and in which order, who never is, and what it reads."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from bson import ObjectId

import datasources.discovery.dismissals
import datasources.discovery.suggestions as store
from datasources.mongo.client import Document
from domain.errors import BadInput
from domain.ids import to_global_id
from domain.limits import FOLLOWED_HASHTAGS_MAX, SUGGESTIONS_MAX
from domain.paging import Ranked, encode_cursor
from domain.records.discovery import HeldKind
from domain.records.follows import FollowState
from domain.records.users import AccountStanding, UserRecord
from domain.search_keys import popularity
from domain.suggestions import KEPT, KEPT_OF_FEW
from domain.topics import hashtag_id
from tests.integration.test_mutual_followers import follow_many
from tests.support.factories import World, now

PAGE = """query ($first: Int, $after: String) {
  suggestedUsers(first: $first, after: $after) {
    edges { cursor reason node { username followedByViewerFollows { count users { username } } } }
    pageInfo { hasNextPage endCursor }
  }
}"""
DISMISS = """mutation ($id: ID!) {
  dismissSuggestion(input: {userId: $id}) { user { username } userErrors { code field } }
}"""
HIDE = "mutation ($to: Boolean!) { updatePreferences(input: {isInSearch: $to}) { userErrors { code } } }"
FOLLOWED, HASHTAGS, POPULAR = "FOLLOWED_BY_FOLLOWED", "SAME_HASHTAGS", "POPULAR"


async def page(world: World, viewer: UserRecord, **arguments: Any) -> Any:
    result = await world.execute(PAGE, viewer, **arguments)
    assert result.errors is None, result.errors
    assert result.data is not None
    return result.data["suggestedUsers"]


async def edges(world: World, viewer: UserRecord, size: int = 50) -> list[Any]:
    """All suggestions, by pages."""
    found, after = list[Any](), None
    while True:
        got = await page(world, viewer, first=size, after=after)
        found += got["edges"]
        if not got["pageInfo"]["hasNextPage"]:
            return found
        assert len(got["edges"]) == size
        after = got["pageInfo"]["endCursor"]


async def suggested(world: World, viewer: UserRecord, size: int = 50) -> list[tuple[str, str | None]]:
    """The handles and the reasons."""
    return [(edge["node"]["username"], edge["reason"]) for edge in await edges(world, viewer, size)]


async def anew(world: World, viewer: UserRecord) -> list[tuple[str, str | None]]:
    """As `suggested`, once what was kept has expired."""
    await world.sources.discovery.suggestions.erase(viewer.id)
    return await suggested(world, viewer)


async def dismiss(world: World, viewer: UserRecord, user: UserRecord) -> Any:
    result = await world.execute(DISMISS, viewer, id=to_global_id("User", user.id))
    assert result.data is not None, result.errors
    return result.data["dismissSuggestion"]


async def test_who_is_followed_by_more_of_those_one_follows_comes_first(own: World) -> None:
    ana, bob, cat, two, one, none = await own.users(6)
    for friend in (bob, cat):
        await own.follow(ana, friend)
        await own.follow(friend, two)
    await own.follow(cat, one)
    await own.follow(cat, ana)
    await own.drain()
    expected = [(two.username, FOLLOWED), (one.username, FOLLOWED), (none.username, POPULAR)]
    assert await asyncio.gather(*(suggested(own, ana) for _ in range(5))) == [expected] * 5
    for size in (1, 2, 3):
        assert await suggested(own, ana, size) == expected
    first = (await edges(own, ana))[0]["node"]["followedByViewerFollows"]
    assert first == {"count": 2, "users": [{"username": cat.username}, {"username": bob.username}]}


async def test_who_posts_with_the_hashtags_one_follows_or_uses_comes_before_the_popular(own: World) -> None:
    ana, both, follows, uses, famous, other = await own.users(6)
    for author, hashtags in ((both, ["sea", "sun"]), (follows, ["sea"]), (uses, ["sun"]), (other, ["rain"])):
        await own.post(author, hashtags=hashtags)
    await own.post(ana, hashtags=["sun"])
    for fan in (both, follows, uses, other):
        await own.follow(fan, famous)
    await own.follow(other, uses)
    await own.drain()
    await own.sources.followed_hashtags.follow(ana.id, "sea")
    assert await suggested(own, ana) == [
        (both.username, HASHTAGS),
        (uses.username, HASHTAGS),
        (follows.username, HASHTAGS),
        (famous.username, POPULAR),
        (other.username, POPULAR),
    ]


async def test_a_new_account_is_suggested_the_popular_ones(own: World) -> None:
    ana, *people = await own.users(4)
    for fan in people[:2]:
        await own.follow(fan, people[2])
    await own.drain()
    found = await suggested(own, ana)
    assert found[0] == (people[2].username, POPULAR)
    assert sorted(found) == sorted((each.username, POPULAR) for each in people)


async def stage(world: World) -> tuple[UserRecord, list[UserRecord]]:
    """A viewer, and accounts that are suggested to them for every reason."""
    ana, friend, *people = await world.users(8)
    await world.follow(ana, friend)
    for person in people[:4]:
        await world.follow(friend, person)
    await world.post(people[4], hashtags=["sea"])
    await world.sources.followed_hashtags.follow(ana.id, "sea")
    await world.drain()
    assert {name for name, _ in await suggested(world, ana)} == {each.username for each in people}
    return ana, people


async def ask(world: World, viewer: UserRecord, other: UserRecord) -> None:
    await world.sources.users.update_profile(other.id, {"is_private": True})
    await world.follow(viewer, await world.stored_user(other.id))


async def dismiss_twice(world: World, viewer: UserRecord, other: UserRecord) -> None:
    answer = {"user": {"username": other.username}, "userErrors": []}
    assert await dismiss(world, viewer, other) == answer == await dismiss(world, viewer, other)


CHANGES: dict[str, Callable[[World, UserRecord, UserRecord], Awaitable[Any]]] = {
    "follow": lambda world, viewer, other: world.follow(viewer, other),
    "request": ask,
    "mute": lambda world, viewer, other: world.sources.mutes.mute(viewer.id, other.id),
    "block": lambda world, viewer, other: world.sources.blocks.block(viewer.id, other.id, now=now()),
    "is blocked": lambda world, viewer, other: world.sources.blocks.block(other.id, viewer.id, now=now()),
    "dismiss": dismiss_twice,
    "hide": lambda world, _, other: world.execute(HIDE, other, to=False),
    "limit": lambda world, _, other: world.set_standing(other, AccountStanding.LIMITED),
    "hold out": lambda world, _, other: world.sources.discovery.holds.put(
        other.id, HeldKind.USER, other.username, is_held=True, reason="spam", now=now()
    ),
    "suspend": lambda world, _, other: world.set_standing(other, AccountStanding.SUSPENDED),
    "deactivate": lambda world, _, other: world.sources.account.deactivation.deactivate(
        other.id, now(), session_id=ObjectId()
    ),
    "delete": lambda world, _, other: world.sources.users.delete(other.id, now()),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_what_keeps_an_account_out_does_so_at_once_and_when_it_is_computed_again(own: World, change: str) -> None:
    ana, people = await stage(own)
    others = [people[0], people[4], people[5]]  # each is suggested for another reason
    for other in others:
        await CHANGES[change](own, ana, other)
    expected = {each.username for each in people} - {each.username for each in others}
    assert {name for name, _ in await suggested(own, ana)} == expected
    assert {name for name, _ in await anew(own, ana)} == expected


async def test_a_private_account_is_suggested_without_a_reason(own: World) -> None:
    ana, people = await stage(own)
    await own.sources.users.update_profile(people[0].id, {"is_private": True})
    await own.drain()
    for _ in range(2):
        (edge,) = [each for each in await edges(own, ana) if each["node"]["username"] == people[0].username]
        assert edge["reason"] is None
        assert edge["node"]["followedByViewerFollows"] == {"count": 0, "users": []}
        await own.sources.discovery.suggestions.erase(ana.id)


async def test_a_reason_that_is_true_no_longer_is_null(own: World) -> None:
    ana, bob, cat = await own.users(3)
    await own.follow(ana, bob)
    await own.follow(bob, cat)
    assert await suggested(own, ana) == [(cat.username, FOLLOWED)]
    await own.sources.follows.unfollow(bob.id, cat.id, now=now())
    assert await suggested(own, ana) == [(cat.username, None)]
    assert await anew(own, ana) == [(cat.username, POPULAR)]


async def test_nobody_is_suggested_to_the_suspended_and_none_without_a_session(own: World) -> None:
    ana, _ = await stage(own)
    suspended = await own.set_standing(ana, AccountStanding.SUSPENDED)
    assert await edges(own, suspended) == []
    result = await own.execute(PAGE, None)
    assert result.data == {"suggestedUsers": None}
    assert result.errors


async def test_they_are_kept_for_a_minute_for_who_follows_few_and_hours_for_others(own: World) -> None:
    ana, suggestions = await own.user(), own.sources.discovery.suggestions
    start = now()
    kept = await suggestions.get_or_compute(ana.id, start)
    assert kept.expires_at - start == KEPT_OF_FEW
    new = await own.user()
    assert new.id not in {
        each.id for each in (await suggestions.get_or_compute(ana.id, start + KEPT_OF_FEW / 2)).accounts
    }
    again = await suggestions.get_or_compute(ana.id, start + KEPT_OF_FEW)
    assert new.id in {each.id for each in again.accounts}
    for number in range(20):
        await own.sources.followed_hashtags.follow(ana.id, f"tag{number}")
    assert (await suggestions.compute(ana.id, start)).expires_at - start == KEPT


async def test_suggestions_that_cannot_be_read_are_computed_again(own: World) -> None:
    ana, people = await stage(own)
    spoil = {"$set": {"accounts.0.reason": "astrology"}}
    await own.sources.database["suggestions"].update_one({"_id": ana.id}, spoil)
    assert {name for name, _ in await suggested(own, ana)} == {each.username for each in people}


async def test_cursors_of_other_lists_are_refused(own: World) -> None:
    ana, _ = await stage(own)
    for cursor in (ObjectId(), Ranked(300, ObjectId())):
        result = await own.execute(PAGE, ana, after=encode_cursor(cursor))
        assert result.data == {"suggestedUsers": None}
        assert [type(error.original_error) for error in result.errors or ()] == [BadInput]


async def test_a_cursor_tells_a_place_and_no_score(own: World) -> None:
    ana, people = await stage(own)
    cursors = [edge["cursor"] for edge in await edges(own, ana)]
    assert cursors == [encode_cursor(number) for number in range(len(people))]


async def test_the_latest_dismissals_are_kept_each_once_also_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasources.discovery.dismissals, "DISMISSALS_MAX", 3)
    ana, ids, dismissals = await world.user(), [ObjectId() for _ in range(8)], world.sources.discovery.dismissals
    await asyncio.gather(*(dismissals.dismiss(ana.id, id_) for id_ in ids for _ in range(2)))
    assert len(set(await dismissals.of_account(ana.id))) == 3
    for id_ in ids[:4]:
        await dismissals.dismiss(ana.id, id_)
    kept = await dismissals.of_account(ana.id)
    assert kept == ids[3:0:-1]
    await dismissals.dismiss(ana.id, ids[1])
    assert await dismissals.of_account(ana.id) == kept


async def test_who_is_not_there_cannot_be_dismissed(world: World) -> None:
    ana, blocks, gone = await world.users(3)
    await world.sources.blocks.block(blocks.id, ana.id, now=now())
    await world.sources.users.delete(gone.id, now())
    for user in (blocks, gone):
        assert await dismiss(world, ana, user) == {
            "user": None,
            "userErrors": [{"code": "NOT_FOUND", "field": ["userId"]}],
        }
    assert (await dismiss(world, ana, ana))["userErrors"] == [{"code": "INVALID_INPUT", "field": ["userId"]}]
    assert await world.sources.discovery.dismissals.of_account(ana.id) == []


async def test_a_deleted_account_leaves_no_dismissals_and_suggestions(own: World) -> None:
    ana, bob, cat = await own.users(3)
    for one, other in ((ana, bob), (bob, ana), (bob, cat)):
        await dismiss(own, one, other)
    await suggested(own, ana)
    await own.sources.users.delete(ana.id, now())
    await own.drain()
    rows = await own.sources.database["dismissed_suggestions"].find().to_list()
    assert rows == [{"_id": bob.id, "user_ids": [cat.id]}]
    assert await own.sources.database["suggestions"].count_documents({}) == 0


async def test_any_graph_suggests_what_its_sets_say(own: World, seed: int) -> None:
    chance, people = random.Random(seed), await own.users(9)
    pairs = [(one, other) for one in people for other in people if one is not other and chance.random() < 0.3]
    for one, other in pairs:
        await own.follow(one, other)
    names = [f"tag{number}" for number in range(3)]
    used = {person.id: chance.sample(names, chance.randrange(3)) for person in people}
    for person in people:
        if used[person.id]:
            await own.post(person, hashtags=used[person.id])
    await own.drain()
    for viewer in people[:3]:
        hashtags = set(chance.sample(names, 1))
        for name in hashtags:
            await own.sources.followed_hashtags.follow(viewer.id, name)
        hashtags |= set(used[viewer.id])
        known = [other for one, other in pairs if one is viewer]
        expected = []
        for other in people:
            if other is viewer or other in known:
                continue
            followers = sum((friend, other) in pairs for friend in known)
            popular = popularity(sum(followed is other for _, followed in pairs))
            score = 100 * followers + 40 * len(hashtags & set(used[other.id])) + popular
            expected.append((score, other.id, other.username))
        assert [name for name, _ in await anew(own, viewer)] == [name for _, _, name in sorted(expected, reverse=True)]


async def insert(world: World, name: str, rows: Sequence[Document]) -> None:
    """Inserts many documents, so many at once that each operation ends in time."""
    for start in range(0, len(rows), 5_000):
        await world.sources.database[name].insert_many(rows[start : start + 5_000])


@pytest.fixture
async def crowd(own: World) -> UserRecord:
    """Who follows 5,000 accounts that follow 300 each, and as many hashtags as anybody may, with 50 posts each.

    The most followed account has 100,000 followers.
    """
    ana, database = await own.user(), own.sources.database
    followees = [ObjectId() for _ in range(5_000)]
    await follow_many(own, ana.id, followees)
    others = [ObjectId() for _ in range(300)]
    for followee_id in followees[-store.FOLLOWED_READ :]:
        await follow_many(own, followee_id, others)
    follow = {"followee_id": others[0], "state": FollowState.FOLLOWING.value}
    await insert(own, "follows", [{"follower_id": ObjectId(), **follow} for _ in range(30_000)])
    listed: list[Document] = [
        {"username": f"u{number}", "state": "ACTIVE", "search": {"n0": f"u{number}", "popularity": number % 17}}
        for number in range(3_000)
    ]
    for row, id_ in zip(listed, others, strict=False):
        row["_id"] = id_
    await insert(own, "users", listed)
    for number in range(FOLLOWED_HASHTAGS_MAX):
        name = f"tag{number}"
        await own.sources.followed_hashtags.follow(ana.id, name)
        posts = [{"_id": ObjectId(), "author_id": ObjectId(), "deleted": False, "status": "READY"} for _ in range(50)]
        await database["posts"].insert_many(posts)
        topic_id = hashtag_id(name)
        entries = [
            {"topic_id": topic_id, "post_id": post["_id"], "listed": True, "score": score}
            for score, post in enumerate(posts)
        ]
        await database["topic_posts"].insert_many(entries)
        await database["topics"].insert_one({"_id": topic_id, "kind": "HASHTAG", "name": name, "post_count": 50})
    return ana


async def test_what_is_read_does_not_grow_with_what_one_follows(own: World, crowd: UserRecord) -> None:
    database = own.sources.database
    await database.command("profile", 2)
    made = await own.sources.discovery.suggestions.compute(crowd.id, now())
    await database.command("profile", 0)
    query = {"op": {"$in": ["query", "command", "getmore"]}, "ns": {"$not": {"$regex": "system"}}}
    reads = await database["system.profile"].find(query).to_list()
    await database["system.profile"].drop()
    assert len(made.accounts) == SUGGESTIONS_MAX
    assert all("COLLSCAN" not in read.get("planSummary", "") for read in reads), reads
    examined = {
        name: tuple(
            sum(read.get(kind, 0) for read in reads if read["ns"].endswith(f".{name}"))
            for kind in ("docsExamined", "keysExamined")
        )
        for name in ("follows", "topics", "posts", "users", "blocks", "mutes")
    }
    documents, keys = examined["follows"]
    assert documents <= store.STRONGEST + store.POPULAR
    assert keys <= 5_001 + store.FOLLOWED_READ * (store.FOLLOWED_BY_EACH + 2) + 6 * (store.STRONGEST + store.POPULAR)
    assert 0 < examined["topics"][1] <= store.HASHTAGS_READ * (store.POSTS_OF_EACH + 3)
    assert not any(read.get("hasSortStage") for read in reads), reads
    assert examined["posts"][0] <= store.HASHTAGS_READ * store.POSTS_OF_EACH + store.OWN_POSTS_READ
    assert examined["users"][0] <= store.STRONGEST + store.POPULAR


async def test_one_operation_computes_them_once(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ana, bob = await own.users(2)
    await own.drain()
    computed, compute = list[ObjectId](), store.SuggestionStore.compute

    async def counted(suggestions: store.SuggestionStore, viewer_id: ObjectId, *arguments: Any) -> Any:
        computed.append(viewer_id)
        return await compute(suggestions, viewer_id, *arguments)

    monkeypatch.setattr(store.SuggestionStore, "compute", counted)
    aliases = " ".join(f"a{number}: suggestedUsers {{ edges {{ node {{ username }} }} }}" for number in range(20))
    result = await own.execute(f"{{ {aliases} }}", ana)
    assert result.errors is None
    assert result.data == {f"a{number}": {"edges": [{"node": {"username": bob.username}}]} for number in range(20)}
    assert computed == [ana.id]
