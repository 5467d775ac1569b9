"""Tags: who is shown as tagged, to whom, and how tagged users remove their tags."""

from typing import Any

import pytest

from domain.ids import to_global_id
from domain.records.notifications import NotificationKind
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, now

SHOWN = """query ($id: ID!, $image: ID!) {
  post(id: $id) { images { taggedUsers { user { username } } } }
  node(id: $image) { ... on Image { taggedUsers { user { username } } } }
}"""
REMOVE = """mutation ($id: ID!) {
  removeTag(input: {postId: $id}) { post { images { taggedUsers { user { username } } } } userErrors { code } }
}"""


def names(images: list[Any]) -> list[str]:
    return [tag["user"]["username"] for image in images for tag in image["taggedUsers"]]


async def tagged(world: World, viewer: UserRecord | None, post: PostRecord) -> list[str] | None:
    """Who is tagged in a post for a viewer; None if they may not see it."""
    image = to_global_id("Image", post.image_inputs[0].upload_id)
    result = await world.execute(SHOWN, viewer, id=to_global_id("Post", post.id), image=image)
    assert result.errors is None, result.errors
    shown = (result.data or {})["post"]
    return None if shown is None else names(shown["images"])


async def remove(world: World, viewer: UserRecord, gid: str) -> Any:
    """The payload of `removeTag`."""
    result = await world.execute(REMOVE, viewer, id=gid)
    assert result.errors is None, result.errors
    return (result.data or {})["removeTag"]


async def test_a_tagged_user_removes_their_own_tag_only(world: World) -> None:
    ana, bob, eve = await world.users(3)
    post = await world.post(ana, tagged=[bob, eve, bob])
    await world.drain()
    gid = to_global_id("Post", post.id)
    for _ in range(2):
        payload = await remove(world, bob, gid)
        assert (names(payload["post"]["images"]), payload["userErrors"]) == ([eve.username], [])
    assert names((await remove(world, ana, gid))["post"]["images"]) == [eve.username]  # ana is not tagged
    await world.drain()
    assert await world.inbox(bob) == []
    assert [notice.kind for notice in await world.inbox(eve)] == [NotificationKind.TAGGED]
    assert await tagged(world, None, post) == [eve.username]


async def test_a_tag_is_removed_from_a_post_that_the_tagged_user_may_not_see(world: World) -> None:
    ana, bob, eve = await world.users(3)
    post = await world.post(ana, tagged=[bob, eve])
    await world.sources.users.update_profile(ana.id, {"is_private": True})
    assert await remove(world, bob, to_global_id("Post", post.id)) == {"post": None, "userErrors": []}
    assert await tagged(world, ana, post) == [eve.username]
    assert await remove(world, bob, to_global_id("Post", bob.id)) == {"post": None, "userErrors": []}
    assert (await remove(world, bob, "nonsense"))["userErrors"] == [{"code": "NOT_FOUND"}]


@pytest.mark.parametrize("blocker", ["author", "tagged"])
async def test_a_block_between_author_and_tagged_user_hides_the_tag_from_everybody(world: World, blocker: str) -> None:
    ana, bob, eve = await world.users(3)
    post = await world.post(ana, tagged=[bob, eve])
    await world.drain()
    assert await tagged(world, eve, post) == [bob.username, eve.username]
    pair = (ana.id, bob.id) if blocker == "author" else (bob.id, ana.id)
    await world.sources.blocks.block(*pair, now=now())
    for viewer in (None, eve, ana):
        assert await tagged(world, viewer, post) == [eve.username]
    assert await tagged(world, bob, post) is None
    await world.sources.blocks.unblock(*pair, now=now())
    assert await tagged(world, eve, post) == [bob.username, eve.username]
