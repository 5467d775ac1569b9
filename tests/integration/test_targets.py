"""What mutations are decided and answered by: one read of one snapshot, with the mutation's own write added."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from config import Settings
from domain.ids import to_global_id
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, now, opened
from tests.support.operation_counter import OperationCounter

LISTENER = OperationCounter()

LIKE = """mutation ($id: ID!) {
  likePost(input: {postId: $id}) { userErrors { code } post { id likeCount viewerHasLiked } }
}"""
LIKE_COMMENT = """mutation ($id: ID!) {
  likeComment(input: {commentId: $id}) { userErrors { code } comment { likeCount viewerHasLiked } }
}"""
COMMENT = """mutation ($id: ID!) {
  addComment(input: {postId: $id, text: "nice"}) {
    userErrors { code } post { commentCount } commentEdge { node { text } }
  }
}"""
LIKE_AND_COUNT = """mutation ($id: ID!) { likePost(input: {postId: $id}) { ...Liked } }
fragment Liked on LikePostPayload { post { ...Counted } }
fragment Counted on Post { total: commentCount previewComments { text } }"""
CHANGE_OF_MIND = """mutation ($id: ID!) {
  first: likePost(input: {postId: $id}) { post { likeCount viewerHasLiked } }
  then: unlikePost(input: {postId: $id}) { post { likeCount viewerHasLiked } }
}"""


@pytest.fixture
async def counted(settings: Settings) -> AsyncIterator[World]:
    """A world whose operations of MongoDB are counted."""
    async with opened(settings, [LISTENER]) as world:
        yield world


async def do(world: World, document: str, viewer: UserRecord, global_id: str) -> Any:
    result = await world.execute(document, viewer, id=global_id)
    assert result.errors is None
    return result.data


@pytest.mark.parametrize(
    ("document", "noun", "operations"),
    [
        (LIKE, "Post", {"aggregate posts": 1, "update post_likes": 1}),
        (LIKE_COMMENT, "Comment", {"aggregate comments": 1, "update comment_likes": 1}),
        (COMMENT, "Post", {"aggregate posts": 1, "insert comments": 1}),
    ],
)
async def test_a_like_or_a_comment_takes_two_operations(
    counted: World, document: str, noun: str, operations: dict[str, int]
) -> None:
    ana, bob = await counted.users(2)
    post = await counted.post(ana)
    target_id = post.id if noun == "Post" else (await counted.comment(post, ana)).id
    await do(counted, COMMENT, bob, to_global_id("Post", post.id))  # limits read a role, once a minute
    LISTENER.counts.clear()
    (payload,) = (await do(counted, document, bob, to_global_id(noun, target_id))).values()
    assert payload["userErrors"] == []
    assert LISTENER.counts == Counter(operations)


async def test_a_like_answers_ones_own_uncounted_comments_if_they_are_asked_for(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.comment(post, bob, "mine")
    data = await do(world, LIKE_AND_COUNT, bob, to_global_id("Post", post.id))
    assert data["likePost"]["post"] == {"total": 1, "previewComments": [{"text": "mine"}]}


async def test_two_mutations_of_one_operation_each_answer_what_they_have_written(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    data = await do(world, CHANGE_OF_MIND, bob, to_global_id("Post", post.id))
    assert data["first"]["post"] == {"likeCount": 1, "viewerHasLiked": True}
    assert data["then"]["post"] == {"likeCount": 0, "viewerHasLiked": False}


async def test_ones_own_likes_are_answered_exactly_while_they_are_counted(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)

    async def change_ones_mind() -> None:
        for _ in range(15):
            assert await answer(world, post, bob, liked=True) == 1
            assert await answer(world, post, bob, liked=True) == 1
            assert await answer(world, post, bob, liked=False) == 0

    async def count() -> None:
        while not changing.done():
            await world.drain()

    changing = asyncio.create_task(change_ones_mind())
    await asyncio.gather(changing, count())


async def answer(world: World, post: PostRecord, viewer: UserRecord, *, liked: bool) -> int:
    """The like count that a like, or its end, answers."""
    target = await world.sources.targets.post(post.id, viewer.id, with_comments=False)
    assert target is not None
    likes = world.sources.post_likes
    await (likes.like if liked else likes.unlike)(post.id, viewer.id, now())
    return target.with_like(liked=liked).like_count


@pytest.mark.parametrize("blocks", ["author", "viewer"])
async def test_a_block_either_way_hides_the_post_of_a_mutation(world: World, blocks: str) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    blocker, blocked = (ana, bob) if blocks == "author" else (bob, ana)
    await world.sources.blocks.block(blocker.id, blocked.id, now=now())
    assert await world.sources.targets.post(post.id, bob.id, with_comments=True) is None


async def test_only_followers_get_at_the_post_of_a_private_account(world: World) -> None:
    ana, bob, eve = await world.user(is_private=True), await world.user(), await world.user()
    post = await world.post(ana)
    for person in (bob, eve):
        await world.follow(person, ana)
    await world.sources.follows.accept(bob.id, ana.id, now=now())
    found = [await world.sources.targets.post(post.id, each.id, with_comments=False) for each in (ana, bob, eve)]
    assert [target is not None for target in found] == [True, True, False]


async def test_a_reply_is_as_visible_as_what_it_answers(world: World) -> None:
    ana, bob, eve = await world.users(3)
    post = await world.post(ana)
    comment = await world.comment(post, bob)
    reply = await world.comment(post, ana, parent_id=comment.id)
    await world.sources.blocks.block(bob.id, eve.id, now=now())
    for viewer, expected in ((ana, True), (bob, True), (eve, False)):
        target = await world.sources.targets.comment(reply.id, viewer.id)
        assert target is not None
        assert target.is_visible is expected
