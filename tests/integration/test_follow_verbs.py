"""Every mutation between two users, through GraphQL: what both see, and the counts once all jobs are done."""

from typing import Any

import pytest

from domain.ids import to_global_id
from domain.records.notifications import NotificationKind as Kind
from domain.records.users import UserRecord
from tests.support.factories import World, now
from tests.support.graph import follow_counts

SEEN = """query ($id: ID!) {
  node(id: $id) { ... on User { viewerFollowState viewerIsFollowed viewerHasBlocked viewerHasMuted } }
}"""
LISTS = "{ viewer { %s { edges { node { username } } } } }"


async def call(world: World, viewer: UserRecord, verb: str, other: UserRecord) -> Any:
    """The user in the payload of a mutation that must not be refused."""
    kind = f"{verb[0].upper()}{verb[1:]}Input"
    document = (
        f"mutation ($input: {kind}!) {{ {verb}(input: $input) {{ "
        "user { viewerFollowState followerCount followingCount } userErrors { code } } }"
    )
    result = await world.execute(document, viewer, input={"userId": to_global_id("User", other.id)})
    assert result.data is not None, result.errors
    assert result.data[verb]["userErrors"] == []
    return result.data[verb]["user"]


async def set_private(world: World, owner: UserRecord, *, is_private: bool) -> None:
    document = "mutation ($to: Boolean!) { updateProfile(input: {isPrivate: $to}) { user { isPrivate } } }"
    result = await world.execute(document, owner, to=is_private)
    assert result.data == {"updateProfile": {"user": {"isPrivate": is_private}}}


async def state(world: World, viewer: UserRecord, other: UserRecord) -> str | None:
    """How the viewer follows a user; None for a user hidden from them."""
    result = await world.execute(SEEN, viewer, id=to_global_id("User", other.id))
    assert result.data is not None
    return result.data["node"] and str(result.data["node"]["viewerFollowState"])


async def listed(world: World, viewer: UserRecord, name: str) -> list[str]:
    """The usernames on one of the viewer's own lists."""
    result = await world.execute(LISTS % name, viewer)
    assert result.data is not None
    return [edge["node"]["username"] for edge in result.data["viewer"][name]["edges"]]


async def kinds_notified(world: World, user: UserRecord) -> set[Kind]:
    return {notice.kind for notice in await world.inbox(user)}


@pytest.mark.parametrize("verb", ["declineFollowRequest", "unfollowUser"])
async def test_a_request_declined_or_taken_back_leaves_nothing(world: World, verb: str) -> None:
    ana, bob = await world.user(is_private=True), await world.user()
    payload = await call(world, bob, "followUser", ana)
    assert payload == {"viewerFollowState": "REQUESTED", "followerCount": 0, "followingCount": 0}
    await world.drain()
    assert await listed(world, ana, "followRequests") == [bob.username]
    assert await kinds_notified(world, ana) == {Kind.FOLLOW_REQUESTED}
    viewer, other = (ana, bob) if verb == "declineFollowRequest" else (bob, ana)
    for _ in range(2):
        await call(world, viewer, verb, other)
    await world.drain()
    assert await listed(world, ana, "followRequests") == []
    assert await kinds_notified(world, ana) == set()
    assert await state(world, bob, ana) == "NONE"
    assert await follow_counts(world, ana) == await follow_counts(world, bob) == (0, 0)


async def test_an_accepted_request_is_notified_and_counted_and_can_be_removed(world: World) -> None:
    ana, bob = await world.user(is_private=True), await world.user()
    await call(world, bob, "followUser", ana)
    accepted = await call(world, ana, "acceptFollowRequest", bob)
    assert accepted == {"viewerFollowState": "NONE", "followerCount": 0, "followingCount": 1}
    await world.drain()
    assert await kinds_notified(world, bob) == {Kind.FOLLOW_ACCEPTED}
    assert (await follow_counts(world, ana), await follow_counts(world, bob)) == ((1, 0), (0, 1))
    removed = await call(world, ana, "removeFollower", bob)
    assert removed["followingCount"] == 0
    await world.drain()
    assert await state(world, bob, ana) == "NONE"
    assert await kinds_notified(world, bob) == set()
    assert await follow_counts(world, ana) == await follow_counts(world, bob) == (0, 0)


async def test_going_public_accepts_requests_and_going_private_keeps_followers(world: World) -> None:
    ana, (bob, eve) = await world.user(is_private=True), await world.users(2)
    await call(world, bob, "followUser", ana)
    await set_private(world, ana, is_private=False)
    await world.drain()
    assert await state(world, bob, ana) == "FOLLOWING"
    assert await kinds_notified(world, bob) == {Kind.FOLLOW_ACCEPTED}
    await set_private(world, ana, is_private=True)
    assert (await call(world, eve, "followUser", await world.stored_user(ana.id)))["viewerFollowState"] == "REQUESTED"
    await world.drain()
    assert await state(world, bob, ana) == "FOLLOWING"
    assert (await follow_counts(world, ana), await follow_counts(world, bob)) == ((1, 0), (0, 1))


async def test_a_block_ends_follows_and_requests_both_ways_for_good(world: World) -> None:
    ana, bob = await world.user(is_private=True), await world.user(is_private=True)
    await call(world, bob, "followUser", ana)
    await call(world, ana, "followUser", bob)
    await call(world, bob, "acceptFollowRequest", ana)
    await world.drain()
    assert (await follow_counts(world, ana), await follow_counts(world, bob)) == ((0, 1), (1, 0))
    await call(world, ana, "blockUser", bob)
    assert await state(world, bob, ana) is None
    assert await listed(world, ana, "followRequests") == []
    await world.drain()
    assert await listed(world, ana, "blockedUsers") == [bob.username]
    assert await kinds_notified(world, ana) == await kinds_notified(world, bob) == set()
    await call(world, ana, "unblockUser", bob)
    await world.drain()
    assert await state(world, bob, ana) == await state(world, ana, bob) == "NONE"
    assert await follow_counts(world, ana) == await follow_counts(world, bob) == (0, 0)


async def test_a_muted_user_is_not_shown_and_cannot_tell(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await call(world, ana, "followUser", bob)
    await world.drain()
    before = await world.execute(SEEN, bob, id=to_global_id("User", ana.id))
    await call(world, ana, "muteUser", bob)
    assert (await world.execute(SEEN, bob, id=to_global_id("User", ana.id))).data == before.data
    await call(world, bob, "followUser", ana)
    await world.sources.post_likes.like(post.id, bob.id, now())
    await world.comment(post, bob)
    await world.post(bob)
    await world.drain()
    assert await kinds_notified(world, ana) == {Kind.POST_READY}
    feed = await world.execute("{ feed { edges { node { author { username } } } } }", ana)
    assert feed.data == {"feed": {"edges": [{"node": {"author": {"username": ana.username}}}]}}
    assert await listed(world, ana, "mutedUsers") == [bob.username]
    assert await follow_counts(world, ana) == await follow_counts(world, bob) == (1, 1)


async def test_of_two_users_who_block_each_other_each_sees_and_ends_their_own_block(world: World) -> None:
    ana, bob = await world.users(2)
    for user, other in ((ana, bob), (bob, ana)):  # as if at the same moment: neither is hidden from the other yet
        await world.sources.blocks.block(user.id, other.id, now=now())
    for user, other in ((ana, bob), (bob, ana)):
        assert await listed(world, user, "blockedUsers") == [other.username]
        assert await state(world, user, other) is None
    assert await call(world, ana, "unblockUser", bob) is None
    assert await listed(world, ana, "blockedUsers") == []
    assert await listed(world, bob, "blockedUsers") == [ana.username]
    assert await state(world, ana, bob) is None
    assert await call(world, bob, "unblockUser", ana) is not None
    assert await state(world, ana, bob) == await state(world, bob, ana) == "NONE"
