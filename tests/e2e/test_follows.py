"""Following, requests, blocking and muting, and what each of them shows and hides."""

import pytest

from tests.e2e.conftest import Register
from tests.support.client import USER_VERBS, Api, Person

SEEN = """query ($name: String!) {
  user(username: $name) {
    id viewerFollowState posts(first: 5) { edges { node { id } } }
  }
}"""
STATE = "user { viewerFollowState followerCount }"
REQUESTS = "{ viewer { followRequests(first: 5) { edges { node { id } requestedAt } } } }"


async def seen(viewer: Api, other: Person) -> dict[str, object] | None:
    """Another user as the viewer sees them."""
    shown: dict[str, object] | None = (await viewer.get(SEEN, name=other.username))["user"]
    return shown


async def test_following_is_a_state_and_its_answer_shows_it_at_once(register: Register) -> None:
    ana, bob = await register(), await register()
    for verb, expected in (("followUser", ("FOLLOWING", 1)), ("unfollowUser", ("NONE", 0))):
        for _ in range(2):
            user = (await bob.done(verb, STATE, userId=ana.id))["user"]
            assert (user["viewerFollowState"], user["followerCount"]) == expected


@pytest.mark.parametrize("verb", USER_VERBS)
async def test_following_nobody_or_oneself_is_refused(people: list[Person], verb: str) -> None:
    ana = people[0]
    assert await ana.refused(verb, userId="nonsense") == ("NOT_FOUND", ["userId"])
    assert await ana.refused(verb, userId=ana.id) == ("INVALID_INPUT", ["userId"])


async def test_a_private_account_shows_its_posts_only_to_accepted_followers(register: Register, nobody: Api) -> None:
    ana, bob = await register(), await register()
    post_id = await ana.ready_post()
    await ana.done("updateProfile", isPrivate=True)
    user = (await bob.done("followUser", STATE, userId=ana.id))["user"]
    assert (user["viewerFollowState"], user["followerCount"]) == ("REQUESTED", 0)
    post = "query ($id: ID!) { post(id: $id) { id } }"
    for stranger in (bob, nobody):
        shown = await seen(stranger, ana)
        assert shown is not None
        assert shown["posts"] == {"edges": []}
        assert (await stranger.get(post, id=post_id))["post"] is None
    (request,) = (await ana.get(REQUESTS))["viewer"]["followRequests"]["edges"]
    assert request["node"]["id"] == bob.id
    assert request["requestedAt"]
    await ana.done("acceptFollowRequest", userId=bob.id)
    assert (await ana.get(REQUESTS))["viewer"]["followRequests"]["edges"] == []
    assert (await bob.get(post, id=post_id))["post"] == {"id": post_id}
    await ana.done("removeFollower", userId=bob.id)
    assert (await bob.get(post, id=post_id))["post"] is None


async def test_without_a_request_there_is_nothing_to_accept(people: list[Person]) -> None:
    ana, bob, _ = people
    assert await ana.refused("acceptFollowRequest", userId=bob.id) == ("NOT_FOUND", ["userId"])
    await ana.done("declineFollowRequest", userId=bob.id)


async def test_a_blocked_viewer_finds_nobody(register: Register) -> None:
    ana, bob = await register(), await register()
    post_id = await ana.ready_post()
    await bob.done("followUser", userId=ana.id)
    await ana.done("blockUser", userId=bob.id)
    assert await seen(bob, ana) is None
    node = "query ($id: ID!) { node(id: $id) { id } }"
    assert (await bob.get(node, id=ana.id))["node"] is None
    assert await bob.refused("likePost", postId=post_id) == ("NOT_FOUND", ["postId"])
    assert await bob.refused("followUser", userId=ana.id) == ("NOT_FOUND", ["userId"])
    assert await ana.refused("followUser", userId=bob.id) == ("NOT_ALLOWED", ["userId"])
    blocked = await ana.get("{ viewer { blockedUsers { edges { node { id } } } } }")
    assert [edge["node"]["id"] for edge in blocked["viewer"]["blockedUsers"]["edges"]] == [bob.id]
    await ana.done("unblockUser", userId=bob.id)
    shown = await seen(bob, ana)
    assert shown is not None
    assert shown["viewerFollowState"] == "NONE"


async def test_muting_takes_posts_out_of_the_feed_and_nothing_else(register: Register) -> None:
    ana, bob = await register(), await register()
    post_id = await ana.ready_post()
    await bob.done("followUser", userId=ana.id)
    feed = "{ feed { edges { node { id } } } }"
    assert (await bob.get(feed))["feed"]["edges"] == [{"node": {"id": post_id}}]
    await bob.done("muteUser", userId=ana.id)
    assert (await bob.get(feed))["feed"]["edges"] == []
    shown = await seen(bob, ana)
    assert shown is not None
    assert shown["posts"] == {"edges": [{"node": {"id": post_id}}]}
    await bob.done("unmuteUser", userId=ana.id)
    assert (await bob.get(feed))["feed"]["edges"] == [{"node": {"id": post_id}}]
