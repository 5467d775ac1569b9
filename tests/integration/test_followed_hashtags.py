"""Following hashtags: set-like, bounded, and their posts in the home feed."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from bson import ObjectId

import datasources.graph.followed_hashtags
from domain.errors import Refusal, UserErrorCode
from domain.ids import from_global_id, to_global_id
from domain.records.users import UserRecord
from domain.topics import hashtag_id
from resolvers import feed_ranked
from tests.support.factories import World, now

FEED = """query ($first: Int, $after: String, $order: FeedOrder) {
  feed(first: $first, after: $after, order: $order) {
    edges { reason hashtag { name viewerIsFollowing } node { id } } pageInfo { hasNextPage endCursor }
  }
}"""
FOLLOWED = """query ($first: Int, $after: String, $last: Int, $before: String) {
  viewer { followedHashtags(first: $first, after: $after, last: $last, before: $before) {
    edges { node { id name postCount viewerIsFollowing } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  } }
}"""


def new_name() -> str:
    return f"tag{ObjectId()}"


async def call(world: World, viewer: UserRecord, verb: str, name: str) -> Any:
    document = (
        f"mutation ($input: {verb[0].upper()}{verb[1:]}Input!) {{ {verb}(input: $input) "
        "{ hashtag { id name viewerIsFollowing } userErrors { code field } } }"
    )
    result = await world.execute(document, viewer, input={"name": name})
    assert result.data is not None, result.errors
    return result.data[verb]


async def feed(world: World, viewer: UserRecord, size: int = 2, **more: Any) -> list[tuple[ObjectId, str | None]]:
    """The whole feed by pages: each post, with the hashtag that it is there for."""
    seen: list[tuple[ObjectId, str | None]] = []
    cursor: str | None = None
    while True:
        result = await world.execute(FEED, viewer, first=size, after=cursor, **more)
        assert result.data is not None, result.errors
        page = result.data["feed"]
        for edge in page["edges"]:
            assert edge["hashtag"] is None or edge["hashtag"]["viewerIsFollowing"]
            name = edge["hashtag"] and edge["hashtag"]["name"]
            seen.append((from_global_id(edge["node"]["id"])[1], name))
        if not page["pageInfo"]["hasNextPage"]:
            return seen
        cursor = page["pageInfo"]["endCursor"]


async def followed(world: World, viewer: UserRecord, **arguments: Any) -> tuple[list[str], Any]:
    result = await world.execute(FOLLOWED, viewer, **arguments)
    assert result.data is not None, result.errors
    page = result.data["viewer"]["followedHashtags"]
    return [edge["node"]["name"] for edge in page["edges"]], page["pageInfo"]


async def test_following_a_hashtag_is_a_state(world: World) -> None:
    ana, name = await world.user(), new_name()
    for verb, is_following in (("followHashtag", True), ("unfollowHashtag", False)):
        for written in (name, f"#{name.upper()}"):
            payload = await call(world, ana, verb, written)
            expected = {"id": to_global_id("Hashtag", hashtag_id(name)), "name": name}
            assert payload == {"hashtag": {**expected, "viewerIsFollowing": is_following}, "userErrors": []}
        assert (await followed(world, ana))[0] == [name] * is_following


@pytest.mark.parametrize("name", ["", "#", "2026", "two words", "a#b", "x" * 101])
async def test_what_is_no_hashtag_is_refused(world: World, name: str) -> None:
    ana = await world.user()
    payload = await call(world, ana, "followHashtag", name)
    assert payload == {"hashtag": None, "userErrors": [{"code": "INVALID_INPUT", "field": ["name"]}]}
    result = await world.execute("query ($name: String!) { hashtag(name: $name) { id } }", ana, name=name)
    assert result.data == {"hashtag": None}


async def test_the_list_is_paged_in_both_directions(world: World) -> None:
    ana, names = await world.user(), [new_name() for _ in range(5)]
    for name in names:
        await world.sources.followed_hashtags.follow(ana.id, name)
    latest_first = names[::-1]
    seen, page = await followed(world, ana, first=2)
    while page["hasNextPage"]:
        more, page = await followed(world, ana, first=2, after=page["endCursor"])
        seen += more
    assert seen == latest_first
    seen, page = await followed(world, ana, last=2)
    while page["hasPreviousPage"]:
        more, page = await followed(world, ana, last=2, before=page["startCursor"])
        seen = more + seen
    assert seen == latest_first


async def test_nobody_follows_more_than_the_limit_also_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasources.graph.followed_hashtags, "FOLLOWED_HASHTAGS_MAX", 3)
    ana, names, store = await world.user(), [new_name() for _ in range(8)], world.sources.followed_hashtags
    results = await asyncio.gather(*(store.follow(ana.id, name) for name in names), return_exceptions=True)
    refusals = [result for result in results if isinstance(result, Refusal)]
    assert [refusal.code for refusal in refusals] == [UserErrorCode.TOO_MANY_FOLLOWS] * 5
    kept, _ = await followed(world, ana)
    assert len(kept) == 3
    await asyncio.gather(*(store.follow(ana.id, kept[0]) for _ in range(3)))
    await store.unfollow(ana.id, kept[0])
    await store.follow(ana.id, names[0] if names[0] not in kept else kept[0])


async def test_what_a_newer_version_notes_of_a_followed_hashtag_is_ignored(world: World) -> None:
    ana, name = await world.user(), new_name()
    await world.sources.followed_hashtags.follow(ana.id, name)
    newer = {"$set": {"followed.0.since": "always", "order": "LATEST"}}
    await world.sources.database["followed_hashtags"].update_one({"_id": ana.id}, newer)
    assert (await followed(world, ana))[0] == [name]


async def test_posts_of_followed_hashtags_join_the_feed_each_once(world: World) -> None:
    ana, bob, cat = await world.users(3)
    tag, other = new_name(), new_name()
    await world.follow(ana, bob)
    await world.open_feeds(ana)
    posts = []
    for number in range(4):
        posts.append(await world.post(ana if number == 2 else bob, hashtags=[tag, other]))
        posts.append(await world.post(cat, hashtags=[other, tag]))
        await world.post(cat)
    await world.drain()
    own_and_bobs = [(post.id, None) for post in posts if post.author_id != cat.id]
    assert await feed(world, ana) == own_and_bobs[::-1]
    for name in (tag, other):
        await world.sources.followed_hashtags.follow(ana.id, name)
    expected = [(post.id, other if post.author_id == cat.id else None) for post in reversed(posts)]
    for size in (1, 2, 3, 7, 8, 9):
        assert await feed(world, ana, size) == expected
    assert sorted(await feed(world, ana, order="RANKED")) == sorted(expected)
    await world.sources.followed_hashtags.unfollow(ana.id, other)
    assert await feed(world, ana) == [(post_id, name and tag) for post_id, name in expected]
    await world.sources.followed_hashtags.unfollow(ana.id, tag)
    assert await feed(world, ana) == own_and_bobs[::-1]


async def test_a_reason_names_the_hashtag(world: World) -> None:
    ana, bob, name = *await world.users(2), new_name()
    await world.post(bob, hashtags=[name])
    await world.drain()
    await world.sources.followed_hashtags.follow(ana.id, name)
    result = await world.execute(FEED, ana, first=5, order="RANKED")
    assert result.data is not None
    assert [edge["reason"] for edge in result.data["feed"]["edges"]] == [f"You follow #{name}."]


async def test_the_feed_shows_no_hidden_posts_for_a_hashtag(world: World) -> None:
    ana, muted, blocked, private = *await world.users(3), await world.user(is_private=True)
    name = new_name()
    for author in (muted, blocked, private):
        await world.post(author, hashtags=[name])
    shown = await world.post(await world.user(), hashtags=[name])
    await world.drain()
    await world.sources.followed_hashtags.follow(ana.id, name)
    await world.sources.mutes.mute(ana.id, muted.id)
    await world.sources.blocks.block(blocked.id, ana.id, now=now())
    assert await feed(world, ana) == [(shown.id, name)]
    assert await feed(world, ana, order="RANKED") == [(shown.id, name)]


async def test_a_post_of_many_followed_hashtags_does_not_end_the_feed(world: World) -> None:
    ana, bob, names = *await world.users(2), [new_name() for _ in range(6)]
    posts = [await world.post(bob, hashtags=names) for _ in range(7)]
    await world.drain()
    for name in names:
        await world.sources.followed_hashtags.follow(ana.id, name)
    for size in (1, 2, 3, 50):
        assert await feed(world, ana, size) == [(post.id, names[0]) for post in reversed(posts)]


async def test_a_busy_hashtag_fills_a_part_of_the_ranked_feed_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_ranked, "RANKED_FEED_MAX", 8)
    monkeypatch.setattr(feed_ranked, "RANKED_FEED_HASHTAGS_MAX", 4)
    monkeypatch.setattr(feed_ranked, "RANKED_FEED_HASHTAG_MAX", 3)
    (ana, bob, *strangers), (quiet, busy) = await world.users(3), (new_name(), new_name())
    await world.follow(ana, bob)
    for name in (quiet, busy):
        await world.sources.followed_hashtags.follow(ana.id, name)
    of_bob = [await world.post(bob) for _ in range(6)]
    of_quiet = [await world.post(strangers[0], hashtags=[quiet]) for _ in range(2)]
    of_busy = [await world.post(strangers[0], hashtags=[busy, new_name()]) for _ in range(12)]
    await world.drain()
    seen = await feed(world, ana, order="RANKED")
    expected = [(post.id, busy) for post in of_busy[-3:]] + [(of_quiet[-1].id, quiet)]
    assert sorted(seen, key=str) == sorted(expected + [(post.id, None) for post in of_bob[-4:]], key=str)
    assert len(await feed(world, ana, size=50)) == 20


@pytest.mark.parametrize("limit", [4, 5, 7, 50])
async def test_each_hashtag_gives_its_latest_posts(world: World, limit: int) -> None:
    author, names = await world.user(), [new_name() for _ in range(4)]
    posts = [await world.post(author, hashtags=names[: 1 + number % 4]) for number in range(16)]
    await world.drain()
    each, expected, given = 2, list[ObjectId](), Counter[str]()
    for post in reversed(posts):
        counted = [name for name in post.hashtags if given[name] < each]
        given.update(counted)
        expected += [post.id] if counted else []
    topic_ids = [hashtag_id(name) for name in names]
    found = await world.sources.listings.entries.latest_of_each(topic_ids, limit, each)
    assert found == expected[:limit]


async def test_a_deleted_account_follows_no_hashtag(world: World) -> None:
    ana, name = await world.user(), new_name()
    await world.sources.followed_hashtags.follow(ana.id, name)
    await world.sources.users.delete(ana.id, now())
    await world.drain()
    assert await world.sources.followed_hashtags.of_account(ana.id) == []
