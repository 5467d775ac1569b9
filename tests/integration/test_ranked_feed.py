"""feed(order: RANKED): its order, its reasons, and walking a snapshot while the world moves on."""

import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from domain.errors import RequestError
from domain.feed_ranking import MAX_PER_AUTHOR, SPAN
from domain.limits import RANKINGS_KEPT
from domain.paging import Place, decode_cursor, encode_cursor
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from resolvers import feed_ranked
from resolvers.transport.errors import root_cause
from tests.support.factories import World, now

FEED = """query ($first: Int, $after: String, $last: Int, $before: String, $order: FeedOrder = RANKED) {
  feed(first: $first, after: $after, last: $last, before: $before, order: $order) {
    edges { cursor reason node { caption } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
_captions = itertools.count(1)


async def page(world: World, reader: UserRecord, **given: Any) -> dict[str, Any]:
    result = await world.execute(FEED, reader, **given)
    assert result.errors is None, result.errors
    assert result.data is not None
    return dict(result.data["feed"])


async def code(world: World, reader: UserRecord, **given: Any) -> str:
    """The code with which a page is refused."""
    result = await world.execute(FEED, reader, **given)
    assert result.data == {"feed": None}
    (error,) = result.errors or []
    cause = root_cause(error)
    assert isinstance(cause, RequestError)
    return cause.code.value


def captions(feed: dict[str, Any]) -> list[str]:
    return [edge["node"]["caption"] for edge in feed["edges"]]


async def walk(world: World, reader: UserRecord, size: int, *, backward: bool = False, **start: Any) -> list[str]:
    """A whole ranking page by page, from `start` on."""
    seen: list[str] = []
    given = {"last" if backward else "first": size, **start}
    for _ in range(200):
        feed = await page(world, reader, **given)
        assert len(feed["edges"]) <= size
        seen = captions(feed) + seen if backward else seen + captions(feed)
        info = feed["pageInfo"]
        if not info["hasPreviousPage" if backward else "hasNextPage"]:
            return seen
        given |= {"before": info["startCursor"]} if backward else {"after": info["endCursor"]}
    raise AssertionError("the walk does not end")


async def posts_of(world: World, author: UserRecord, count: int) -> list[PostRecord]:
    return [await world.post(author, caption=f"post {next(_captions)}") for _ in range(count)]


async def reader_with_feed(
    world: World, authors: int = 3, each: int = 4
) -> tuple[UserRecord, list[UserRecord], list[PostRecord]]:
    """A reader, the authors whom they follow, and the authors' posts, oldest first. Nothing is pending."""
    reader, *followed = await world.users(authors + 1)
    for author in followed:
        await world.follow(reader, author)
    posts = [post for _ in range(each) for author in followed for post in await posts_of(world, author, 1)]
    await world.drain()
    return reader, followed, posts


async def like_all(world: World, reader: UserRecord, posts: Sequence[PostRecord]) -> None:
    for post in posts:
        await world.sources.post_likes.like(post.id, reader.id, now())
    await world.sources.interests.compute(reader.id, now())


@pytest.mark.parametrize("size", [1, 5, 50])
async def test_walking_either_way_gives_every_post_once_in_one_order(world: World, size: int) -> None:
    reader, _, posts = await reader_with_feed(world)
    first = await page(world, reader, first=1)
    start = first["edges"][0]["cursor"]
    order = captions(first) + await walk(world, reader, size, after=start)
    assert sorted(order) == sorted(post.caption for post in posts)
    last = decode_cursor(start)
    assert isinstance(last, Place)
    end = encode_cursor(last._replace(number=len(posts)))
    assert await walk(world, reader, size, backward=True, before=end) == order


async def test_an_author_whom_the_reader_likes_comes_first_with_a_reason(world: World) -> None:
    reader, (dear, *others), posts = await reader_with_feed(world)
    assert captions(await page(world, reader, first=1)) == [posts[-1].caption]
    await like_all(world, reader, [post for post in posts if post.author_id == dear.id][:3])
    feed = await page(world, reader, first=50)
    hers = {post.caption for post in posts if post.author_id == dear.id}
    assert captions(feed)[0] in hers
    reasons = {edge["node"]["caption"]: edge["reason"] for edge in feed["edges"]}
    names = {post.caption: next(author.username for author in others if author.id == post.author_id)
             for post in posts if post.caption not in hers}  # fmt: skip
    assert {reasons[caption] for caption in hers} == {f"You often like {dear.username}'s photos."}
    assert {caption: reasons[caption] for caption in names} == {
        caption: f"You follow {name}." for caption, name in names.items()
    }


async def test_no_author_floods_a_page_however_much_the_reader_likes_them(world: World) -> None:
    reader, (dear, *_), posts = await reader_with_feed(world, authors=4, each=3)
    many = await posts_of(world, dear, 20)
    await world.drain()
    await like_all(world, reader, many)
    top = captions(await page(world, reader, first=SPAN))
    hers = {post.caption for post in [*many, *posts] if post.author_id == dear.id}
    assert sum(caption in hers for caption in top) == MAX_PER_AUTHOR


async def test_the_latest_feed_has_no_reasons(world: World) -> None:
    reader, _, posts = await reader_with_feed(world)
    feed = await page(world, reader, first=50, order="LATEST")
    assert captions(feed) == [post.caption for post in posts[::-1]]
    assert {edge["reason"] for edge in feed["edges"]} == {None}


async def test_own_posts_are_in_the_feed_with_a_reason_of_their_own(world: World) -> None:
    reader, _, _ = await reader_with_feed(world)
    (mine,) = await posts_of(world, reader, 1)
    feed = await page(world, reader, first=50)
    assert {edge["node"]["caption"]: edge["reason"] for edge in feed["edges"]}[mine.caption] == "You posted this."


async def test_a_snapshot_stays_as_it_is_while_posts_come_and_tastes_change(world: World) -> None:
    reader, (ana, *_), posts = await reader_with_feed(world)
    whole = captions(await page(world, reader, first=50))
    first = await page(world, reader, first=4)
    await posts_of(world, ana, 2)
    await world.drain()
    await like_all(world, reader, posts[:3])
    rest = await walk(world, reader, 3, after=first["pageInfo"]["endCursor"])
    assert captions(first) + rest == whole


@pytest.mark.parametrize("way", ["deleted", "unfollowed", "muted", "blocked", "blocks", "private"])
async def test_posts_hidden_later_are_left_out_of_a_snapshot_and_pages_stay_full(world: World, way: str) -> None:
    reader, (gone, *_), posts = await reader_with_feed(world, each=6)
    first = await page(world, reader, first=1)
    hers = {post.caption for post in posts if post.author_id == gone.id} - set(captions(first))
    sources = world.sources
    match way:
        case "deleted":
            for post in posts:
                if post.author_id == gone.id:
                    await world.sources.posts.delete(post.id, gone.id, now())
        case "unfollowed":
            await sources.follows.unfollow(reader.id, gone.id, now=now())
        case "muted":
            await sources.mutes.mute(reader.id, gone.id)
        case "blocked":
            await sources.blocks.block(gone.id, reader.id, now=now())
        case "blocks":
            await sources.blocks.block(reader.id, gone.id, now=now())
        case _:
            await world.sources.users.update_profile(gone.id, {"is_private": True})
            await sources.follows.unfollow(reader.id, gone.id, now=now())
    following = await page(world, reader, first=5, after=first["pageInfo"]["endCursor"])
    assert len(following["edges"]) == 5
    rest = captions(following) + await walk(world, reader, 5, after=following["pageInfo"]["endCursor"])
    assert set(rest).isdisjoint(hers)
    assert len(rest) == len(posts) - len(hers) - 1


async def test_an_expired_cursor_has_a_code_of_its_own(world: World) -> None:
    reader, _, _ = await reader_with_feed(world)
    cursor = (await page(world, reader, first=1))["pageInfo"]["endCursor"]
    await world.sources.database["rankings"].delete_many({"_id.o": reader.id})
    assert await code(world, reader, first=1, after=cursor) == "CURSOR_EXPIRED"
    assert len((await page(world, reader, first=1))["edges"]) == 1


async def test_a_reader_keeps_few_snapshots_and_the_latest_is_among_them(world: World) -> None:
    reader, _, _ = await reader_with_feed(world, authors=1, each=2)
    cursors = [(await page(world, reader, first=1))["pageInfo"]["endCursor"] for _ in range(RANKINGS_KEPT * 3)]
    assert await world.sources.database["rankings"].count_documents({"_id.o": reader.id}) <= RANKINGS_KEPT
    assert len((await page(world, reader, first=1, after=cursors[-1]))["edges"]) == 1


async def test_cursors_of_others_of_the_other_order_and_of_two_snapshots_are_bad_input(world: World) -> None:
    reader, (other, *_), _ = await reader_with_feed(world)
    mine, again = [(await page(world, reader, first=1))["pageInfo"]["endCursor"] for _ in range(2)]
    latest = (await page(world, reader, first=1, order="LATEST"))["pageInfo"]["endCursor"]
    assert await code(world, other, first=1, after=mine) == "BAD_USER_INPUT"
    assert await code(world, reader, first=1, after=latest) == "BAD_USER_INPUT"
    assert await code(world, reader, last=1, before=latest) == "BAD_USER_INPUT"
    assert await code(world, reader, first=1, after=mine, order="LATEST") == "BAD_USER_INPUT"
    assert await code(world, reader, first=1, after=mine, before=again) == "BAD_USER_INPUT"
    assert await code(world, reader, first=1, after=mine, before=latest) == "BAD_USER_INPUT"
    forged = encode_cursor(Place(reader.id, ObjectId(), 0))
    assert await code(world, reader, first=1, after=forged) == "CURSOR_EXPIRED"
    beyond = decode_cursor(mine)
    assert isinstance(beyond, Place)
    assert captions(await page(world, reader, first=5, after=encode_cursor(beyond._replace(number=60_000)))) == []


async def test_rankings_and_their_owners_interests_expire_by_themselves(world: World) -> None:
    reader, _, _ = await reader_with_feed(world, authors=1, each=1)
    await page(world, reader, first=1)
    for name, key in (("rankings", {"_id.o": reader.id}), ("interests", {"_id": reader.id})):
        document = await world.sources.database[name].find_one(key)
        assert document is not None
        assert document["expires_at"] > now()
        assert (await world.sources.database[name].index_information())["expires_at_1"]["expireAfterSeconds"] == 0


async def test_a_new_account_has_an_empty_ranking_and_one_without_interests_reads_the_newest_first(
    world: World,
) -> None:
    feed = await page(world, await world.user(), first=5)
    assert feed == {
        "edges": [],
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
    }
    reader, _, posts = await reader_with_feed(world, authors=3, each=1)
    assert captions(await page(world, reader, first=5)) == [post.caption for post in posts[::-1]]


async def test_old_posts_of_people_are_kept_however_many_newer_ones_hashtags_have(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_ranked, "RANKED_FEED_MIN", 2)
    monkeypatch.setattr(feed_ranked, "RANKED_FEED_AGE", timedelta(0))
    reader, _, by_followed = await reader_with_feed(world, authors=1, each=3)
    name, stranger = f"tag{ObjectId()}", await world.user()
    await world.sources.followed_hashtags.follow(reader.id, name)
    tagged = [await world.post(stranger, caption=f"tagged {number}", hashtags=[name]) for number in range(3)]
    await world.drain()
    expected = {post.caption for post in (*by_followed[1:], *tagged[1:])}
    assert set(captions(await page(world, reader, first=20))) == expected
