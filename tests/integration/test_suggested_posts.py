"""Suggested posts in the ranked feed: after all others, each once, never of people followed, and not if unwanted."""

from collections.abc import Sequence
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from datasources.discovery.snapshots import SnapshotStore
from domain.paging import Place, decode_cursor, encode_cursor
from domain.records.posts import PostRecord
from domain.records.users import AccountStanding, UserRecord
from tests.support.factories import World, now

FEED = """query ($first: Int, $after: String, $last: Int, $before: String, $order: FeedOrder = RANKED) {
  feed(first: $first, after: $after, last: $last, before: $before, order: $order) {
    edges { cursor reason isSuggested node { caption } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
PREFER = """mutation ($input: UpdatePreferencesInput!) {
  updatePreferences(input: $input) { viewer { preferences { showsSuggestedPosts } } userErrors { code field } }
}"""


async def ask(world: World, document: str, viewer: UserRecord, **given: Any) -> dict[str, Any]:
    result = await world.execute(document, viewer, **given)
    assert result.errors is None, result.errors
    assert result.data is not None
    (answer,) = result.data.values()
    return dict(answer)


async def edges(world: World, reader: UserRecord, **given: Any) -> list[dict[str, Any]]:
    return list((await ask(world, FEED, reader, **{"first": 50, **given}))["edges"])


def captions(found: Sequence[dict[str, Any]]) -> list[str]:
    return [edge["node"]["caption"] for edge in found]


async def explored(world: World, *posts: PostRecord) -> None:
    """Explore shows these posts, in this order."""
    await world.drain()
    await world.sources.discovery.snapshots.add([post.id for post in posts], [], now())


async def test_suggested_posts_come_after_all_others_and_say_what_they_are(own: World) -> None:
    reader, followed, tagged, *strangers = await own.users(6)
    await own.follow(reader, followed)
    await own.sources.followed_hashtags.follow(reader.id, "sea")
    own_post = await own.post(reader, caption="own")
    by_followed = await own.post(followed, caption="followed")
    by_hashtag = await own.post(tagged, caption="tagged", hashtags=["sea"])
    suggested = [await own.post(author, caption=f"suggested {n}") for n, author in enumerate(strangers)]
    await explored(own, by_followed, own_post, *suggested, by_hashtag)
    found = await edges(own, reader)
    assert sorted(captions(found)[:3]) == ["followed", "own", "tagged"]
    assert captions(found)[3:] == [post.caption for post in suggested]
    assert [edge["isSuggested"] for edge in found] == [False] * 3 + [True] * 3
    assert {edge["reason"] for edge in found[3:]} == {"Suggested for you."}
    latest = await edges(own, reader, order="LATEST")
    assert sorted(captions(latest)) == ["followed", "own", "tagged"]
    assert not any(edge["isSuggested"] for edge in latest)


@pytest.mark.parametrize("size", [1, 4])
async def test_walking_either_way_gives_each_post_once(own: World, size: int) -> None:
    reader, followed, *strangers = await own.users(7)
    await own.follow(reader, followed)
    posts = [await own.post(author, caption=f"post {n}") for n, author in enumerate([followed, *strangers])]
    await explored(own, *posts)
    order, given = list[str](), dict[str, Any]()
    while True:
        page = await ask(own, FEED, reader, first=size, **given)
        order += captions(page["edges"])
        given = {"after": page["pageInfo"]["endCursor"]}
        await explored(own)
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert order == [post.caption for post in posts]
    last = decode_cursor(given["after"])
    assert isinstance(last, Place)
    back, before = list[str](), encode_cursor(last._replace(number=last.number + 1))
    while True:
        page = await ask(own, FEED, reader, last=size, before=before)
        back, before = captions(page["edges"]) + back, page["pageInfo"]["startCursor"]
        if not page["pageInfo"]["hasPreviousPage"]:
            break
    assert back == order


async def test_what_becomes_followed_blocked_muted_or_hidden_leaves_the_suggestions(own: World) -> None:
    reader, *authors = await own.users(8)
    posts = [await own.post(author, caption=f"post {n}") for n, author in enumerate(authors)]
    await explored(own, *posts)
    first, *rest = await edges(own, reader, first=1)
    assert (captions([first]), rest) == (["post 0"], [])
    _, followed, muted, blocked, private, _, limited = authors
    await own.set_standing(limited, AccountStanding.LIMITED)
    await own.follow(reader, followed)
    await own.sources.mutes.mute(reader.id, muted.id)
    await own.sources.blocks.block(reader.id, blocked.id, now=now())
    await own.sources.users.update_profile(private.id, {"is_private": True}, turns_to_public=3)
    assert captions(await edges(own, reader, after=first["cursor"])) == ["post 5"]
    begun_anew = [each for each in await edges(own, reader) if each["isSuggested"]]
    assert captions(begun_anew) == ["post 0", "post 5"]


async def test_people_and_hashtags_that_the_reader_cares_about_are_suggested_first(own: World) -> None:
    reader, followed, liked, *strangers = await own.users(6)
    await own.follow(reader, followed)
    dear = [await own.post(followed, caption="dear", hashtags=["boats"]) for _ in range(4)]
    theirs = [await own.post(liked, caption=f"liked {n}") for n in range(4)]
    plain = [await own.post(author, caption="plain") for author in strangers[:2]]
    boats = await own.post(strangers[2], caption="boats", hashtags=["boats"])
    await explored(own, *plain, boats)
    for post in (*dear, *theirs):
        await own.sources.post_likes.like(post.id, reader.id, now())
    await own.drain()
    await own.sources.interests.compute(reader.id, now())
    suggested = [edge for edge in await edges(own, reader) if edge["isSuggested"]]
    assert captions(suggested)[:2] == ["liked 3", "boats"]
    assert suggested[0]["reason"] == f"Suggested for you: you often like {liked.username}'s photos."


async def test_who_wants_no_suggestions_gets_none(own: World) -> None:
    reader, author = await own.users(2)
    await explored(own, await own.post(author, caption="suggested"))
    assert captions(await edges(own, reader)) == ["suggested"]
    preferred = await ask(own, PREFER, reader, input={"showsSuggestedPosts": False})
    assert preferred == {"viewer": {"preferences": {"showsSuggestedPosts": False}}, "userErrors": []}
    assert await edges(own, reader) == []
    errors = (await ask(own, PREFER, reader, input={"showsSuggestedPosts": None}))["userErrors"]
    assert errors == [{"code": "INVALID_INPUT", "field": ["showsSuggestedPosts"]}]
    await ask(own, PREFER, reader, input={"showsSuggestedPosts": True})
    assert captions(await edges(own, reader)) == ["suggested"]


async def test_an_outage_of_suggestions_leaves_the_readers_own_feed(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, followed, stranger = await own.users(3)
    await own.follow(reader, followed)
    by_followed = await own.post(followed, caption="followed")
    await explored(own, by_followed, await own.post(stranger, caption="suggested"))

    async def away(_store: SnapshotStore) -> None:
        raise AutoReconnect

    with monkeypatch.context() as during:
        during.setattr(SnapshotStore, "latest", away)
        assert captions(await edges(own, reader)) == ["followed"]
    assert captions(await edges(own, reader)) == ["followed", "suggested"]
