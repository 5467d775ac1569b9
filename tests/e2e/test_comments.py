"""addComment, deleteComment, comments, replies, previews."""

import asyncio

import pytest

from tests.support.client import Person

MADE = """
  commentEdge { cursor node { id text author { username } hashtags mentions { username } parent { id } } }
  post { commentCount }
"""
BELOW = """query ($id: ID!) {
  post(id: $id) {
    comments(first: 10) { edges { node { id text replies(first: 10) { edges { node { id } } } } } }
    previewComments { id }
  }
}"""


@pytest.fixture
async def post_id(people: list[Person]) -> str:
    """A new post of the first of the people."""
    return await people[0].ready_post()


async def comment(person: Person, post_id: str, text: str = "nice", **given: object) -> str:
    """Adds a comment; returns its id."""
    payload = await person.done("addComment", MADE, postId=post_id, text=text, **given)
    return str(payload["commentEdge"]["node"]["id"])


async def test_a_comment_is_shown_at_once_to_its_author(people: list[Person], post_id: str) -> None:
    ana, bob, _ = people
    payload = await bob.done("addComment", MADE, postId=post_id, text=f" Hello @{ana.username} #Été #été")
    node = payload["commentEdge"]["node"]
    assert (node["text"], node["author"]["username"]) == (f"Hello @{ana.username} #Été #été", bob.username)
    assert node["hashtags"] == ["été"]
    assert (node["mentions"], node["parent"]) == ([{"username": ana.username}], None)
    assert payload["post"]["commentCount"] == 1
    below = (await ana.get(BELOW, id=post_id))["post"]
    assert [edge["node"]["id"] for edge in below["comments"]["edges"]] == [node["id"]]


async def test_a_reply_hangs_below_its_comment_and_replies_have_none(people: list[Person], post_id: str) -> None:
    ana, bob, _ = people
    parent = await comment(bob, post_id)
    reply = await comment(ana, post_id, parentId=parent)
    (edge,) = (await bob.get(BELOW, id=post_id))["post"]["comments"]["edges"]
    assert [below["node"]["id"] for below in edge["node"]["replies"]["edges"]] == [reply]
    deeper = await bob.refused("addComment", postId=post_id, parentId=reply, text="deeper")
    assert deeper == ("INVALID_INPUT", ["parentId"])
    other_post = await ana.ready_post()
    elsewhere = await bob.refused("addComment", postId=other_post, parentId=parent, text="elsewhere")
    assert elsewhere == ("INVALID_INPUT", ["parentId"])


async def test_a_comment_is_refused_with_the_field_at_fault(people: list[Person], post_id: str) -> None:
    bob = people[1]
    for text in ("", "  ", "x" * 2_201):
        assert await bob.refused("addComment", postId=post_id, text=text) == ("INVALID_INPUT", ["text"])
    assert await bob.refused("addComment", postId="nonsense", text="hi") == ("NOT_FOUND", ["postId"])
    parent = await bob.refused("addComment", postId=post_id, parentId="nonsense", text="hi")
    assert parent == ("NOT_FOUND", ["parentId"])
    assert (await bob.get(BELOW, id=post_id))["post"]["comments"]["edges"] == []


async def test_comments_can_be_off(people: list[Person]) -> None:
    ana, bob, _ = people
    post_id = await ana.ready_post(commentsEnabled=False)
    assert await bob.refused("addComment", postId=post_id, text="hi") == ("COMMENTS_OFF", ["postId"])
    seen = await bob.get("query ($id: ID!) { post(id: $id) { viewerCanComment } }", id=post_id)
    assert seen["post"]["viewerCanComment"] is False


async def test_a_retry_with_its_key_comments_once(people: list[Person], post_id: str) -> None:
    bob = people[1]
    made = await asyncio.gather(*(comment(bob, post_id, "once", idempotencyKey="c") for _ in range(8)))
    assert len(set(made)) == 1
    other = await bob.refused("addComment", postId=post_id, text="other", idempotencyKey="c")
    assert other == ("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])


async def test_a_comment_is_deleted_by_its_author_or_the_posts(people: list[Person], post_id: str) -> None:
    ana, bob, eve = people
    by_bob, also_by_bob = await comment(bob, post_id), await comment(bob, post_id)
    assert await eve.refused("deleteComment", commentId=by_bob) == ("NOT_ALLOWED", ["commentId"])
    for person, comment_id in ((bob, by_bob), (ana, also_by_bob)):
        payload = await person.done("deleteComment", "deletedCommentId", commentId=comment_id)
        assert payload["deletedCommentId"] == comment_id
        assert await person.refused("deleteComment", commentId=comment_id) == ("NOT_FOUND", ["commentId"])
    assert (await eve.get(BELOW, id=post_id))["post"]["comments"]["edges"] == []
