"""The answer to a retry with the same key shows the present state: not what was deleted or hidden in between."""

import pytest

from domain.ids import to_global_id
from domain.image_formats import SourceFormat
from tests.support.factories import World, now

ADD = """mutation ($input: AddCommentInput!) {
  addComment(input: $input) { commentEdge { node { text } } post { id } userErrors { code } }
}"""
CREATE = "mutation ($input: CreatePostInput!) { createPost(input: $input) { post { caption } userErrors { code } } }"


@pytest.mark.parametrize("applied", [False, True])
async def test_a_retried_comment_that_was_deleted_is_not_shown(world: World, applied: bool) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    given = {"postId": to_global_id("Post", post.id), "text": "hello", "idempotencyKey": "one"}
    first = await world.execute(ADD, bob, input=given)
    assert first.data is not None
    assert first.data["addComment"]["commentEdge"] == {"node": {"text": "hello"}}
    (comment_id,) = await world.sources.comments.ids_of_post(post.id, 9)
    if applied:
        await world.drain()
    await world.sources.comments.delete(comment_id, now())
    again = await world.execute(ADD, bob, input=given)
    assert again.data is not None
    assert again.data["addComment"]["commentEdge"] is None
    assert again.data["addComment"]["userErrors"] == [{"code": "NOT_FOUND"}]


async def test_a_retried_comment_on_a_post_now_hidden_is_refused_as_if_there_were_no_post(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    given = {"postId": to_global_id("Post", post.id), "text": "hello", "idempotencyKey": "one"}
    await world.execute(ADD, bob, input=given)
    await world.sources.blocks.block(ana.id, bob.id, now=now())
    again = await world.execute(ADD, bob, input=given)
    assert again.data is not None
    hidden = {"commentEdge": None, "post": None, "userErrors": [{"code": "NOT_FOUND"}]}
    assert again.data["addComment"] == hidden


async def test_a_retried_post_that_was_deleted_is_not_shown(world: World) -> None:
    ana = await world.user()
    upload = await world.sources.uploads.announce(ana.id, SourceFormat.JPEG, 9, "", now())
    image = {"uploadId": to_global_id("MediaUpload", upload.id)}
    given = {"images": [image], "caption": "hello", "idempotencyKey": "one"}
    first = await world.execute(CREATE, ana, input=given)
    assert first.data == {"createPost": {"post": {"caption": "hello"}, "userErrors": []}}
    (post,) = await world.sources.database["posts"].find({"author_id": ana.id}).to_list()
    await world.sources.posts.delete(post["_id"], ana.id, now())
    again = await world.execute(CREATE, ana, input=given)
    assert again.data == {"createPost": {"post": None, "userErrors": [{"code": "NOT_FOUND"}]}}
