"""`user.posts`: pages in both directions, by cursors, whatever is hidden."""

from collections.abc import Sequence
from typing import Any

import pytest

from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, now

POSTS = """query ($name: String!, $first: Int, $after: String, $last: Int, $before: String) {
  user(username: $name) { posts(first: $first, after: $after, last: $last, before: $before) {
    edges { cursor node { caption } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  } }
}"""


async def page(world: World, viewer: UserRecord | None, author: UserRecord, **arguments: Any) -> dict[str, Any]:
    result = await world.execute(POSTS, viewer, name=author.username, **arguments)
    assert result.errors is None, result.errors
    assert result.data is not None
    return dict(result.data["user"]["posts"])


async def read_all(
    world: World, viewer: UserRecord | None, author: UserRecord, size: int, *, backward: bool = False
) -> list[str]:
    """All captions, page by page."""
    captions_read: list[str] = []
    arguments: dict[str, Any] = {"last" if backward else "first": size}
    for _ in range(100):
        posts = await page(world, viewer, author, **arguments)
        captions = [edge["node"]["caption"] for edge in posts["edges"]]
        assert len(captions) <= size
        captions_read = captions + captions_read if backward else captions_read + captions
        info = posts["pageInfo"]
        if not info["hasPreviousPage" if backward else "hasNextPage"]:
            return captions_read
        arguments |= {"before": info["startCursor"]} if backward else {"after": info["endCursor"]}
    raise AssertionError("the pages do not end")


async def write_posts(world: World, author: UserRecord, count: int = 12) -> Sequence[PostRecord]:
    """Posts, of which the third and the sixth are deleted."""
    posts = [await world.post(author, caption=f"post {number}") for number in range(count)]
    for post in (posts[2], posts[5]):
        await world.sources.posts.delete(post.id, author.id, now())
    return [post for post in posts if post not in (posts[2], posts[5])]


@pytest.mark.parametrize("size", [1, 3, 50])
@pytest.mark.parametrize("backward", [False, True])
async def test_pages_give_every_shown_post_once_newest_first(world: World, size: int, *, backward: bool) -> None:
    author, viewer = await world.users(2)
    posts = await write_posts(world, author)
    expected = [post.caption for post in posts[::-1]]
    assert await read_all(world, viewer, author, size, backward=backward) == expected
    assert await read_all(world, None, author, size, backward=backward) == expected


async def test_posts_published_between_pages_neither_repeat_nor_displace_any(world: World) -> None:
    author, viewer = await world.users(2)
    posts = await write_posts(world, author)
    first = await page(world, viewer, author, first=4)
    await world.post(author, caption="late")
    rest = await page(world, viewer, author, first=50, after=first["pageInfo"]["endCursor"])
    captions = [edge["node"]["caption"] for feed in (first, rest) for edge in feed["edges"]]
    assert captions == [post.caption for post in posts[::-1]]


async def test_a_private_account_shows_its_posts_to_its_followers_and_itself_only(world: World) -> None:
    author, (stranger, follower) = await world.user(is_private=True), await world.users(2)
    posts = await write_posts(world, author, 7)
    await world.follow(follower, author)
    await world.sources.follows.accept(follower.id, author.id, now=now())
    expected = [post.caption for post in posts[::-1]]
    assert await read_all(world, stranger, author, 2) == []
    assert await read_all(world, follower, author, 2) == expected
    assert await read_all(world, author, author, 2, backward=True) == expected


async def test_a_cursor_of_the_latest_feed_works_on_an_authors_page(world: World) -> None:
    author, viewer = await world.users(2)
    posts = await write_posts(world, author)
    result = await world.execute("{ feed(first: 3) { pageInfo { endCursor } } }", author)
    assert result.data is not None
    after = await page(world, viewer, author, first=50, after=result.data["feed"]["pageInfo"]["endCursor"])
    assert [edge["node"]["caption"] for edge in after["edges"]] == [post.caption for post in posts[-4::-1]]
