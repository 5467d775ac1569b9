"""likePost, unlikePost, likeComment, unlikeComment."""

import pytest

from tests.support.client import Person
from tests.support.waiting import eventually

STATE = "likeCount viewerHasLiked"
LIKERS = "query ($id: ID!) { post(id: $id) { likeCount likes { edges { node { username } } } } }"


@pytest.fixture(scope="module")
async def post_id(people: list[Person]) -> str:
    """A post of the first of the people."""
    return await people[0].ready_post()


async def test_a_like_is_a_state_and_its_answer_shows_it_at_once(people: list[Person], post_id: str) -> None:
    bob = people[1]
    for verb, expected in (("likePost", (1, True)), ("unlikePost", (0, False))):
        for _ in range(2):
            post = (await bob.done(verb, f"post {{ {STATE} }}", postId=post_id))["post"]
            assert (post["likeCount"], post["viewerHasLiked"]) == expected


async def test_likers_are_listed_and_counted_for_everybody(people: list[Person], post_id: str) -> None:
    ana, bob, eve = people
    for fan in (bob, eve):
        await fan.done("likePost", postId=post_id)
    assert (await bob.get(f"query ($id: ID!) {{ post(id: $id) {{ {STATE} }} }}", id=post_id))["post"]["viewerHasLiked"]

    async def counted() -> bool:
        return bool((await ana.get(LIKERS, id=post_id))["post"]["likeCount"] == 2)

    await eventually(counted)
    edges = (await ana.get(LIKERS, id=post_id))["post"]["likes"]["edges"]
    assert {edge["node"]["username"] for edge in edges} == {bob.username, eve.username}


async def test_a_comment_is_liked_the_same_way(people: list[Person], post_id: str) -> None:
    ana, bob, _ = people
    made = await ana.done("addComment", "commentEdge { node { id } }", postId=post_id, text="Like me")
    comment_id = made["commentEdge"]["node"]["id"]
    for verb, expected in (("likeComment", (1, True)), ("unlikeComment", (0, False))):
        for _ in range(2):
            comment = (await bob.done(verb, f"comment {{ {STATE} }}", commentId=comment_id))["comment"]
            assert (comment["likeCount"], comment["viewerHasLiked"]) == expected


@pytest.mark.parametrize("verb", ["likePost", "unlikePost", "likeComment", "unlikeComment"])
async def test_liking_what_does_not_exist_is_refused(people: list[Person], post_id: str, verb: str) -> None:
    field = "postId" if verb.endswith("Post") else "commentId"
    for wrong in ("nonsense", people[0].id, "UG9zdDo2NWYwYzBmZmVlNjVmMGMwZmZlZTAxMjM"):
        assert await people[1].refused(verb, **{field: wrong}) == ("NOT_FOUND", [field])
