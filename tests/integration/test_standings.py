"""Roles and standings of accounts, and what a suspended account can still do."""

from functools import partial

import pytest

from datasources.mongo.transactions import in_transaction
from domain.ids import to_global_id
from domain.records.comments import CommentRecord
from domain.records.users import AccountStanding, Role, SessionRecord, UserRecord
from tests.support.factories import World, now

ME = "{ viewer { role standing standingUntil user { username posts { edges { node { id } } } } } }"


async def stored(world: World, user: UserRecord) -> dict[str, object]:
    """The document of an account."""
    return await world.sources.database["users"].find_one({"_id": user.id}) or {}


@pytest.mark.parametrize("standing", [AccountStanding.SUSPENDED, AccountStanding.BANNED])
async def test_the_end_of_a_suspension_gives_back_the_state_before(world: World, standing: AccountStanding) -> None:
    ana = await world.user()
    await world.sources.database["users"].update_one({"_id": ana.id}, {"$set": {"state": "OTHER"}})
    await world.sources.caches.users.invalidate([ana.id])
    assert (await world.set_standing(ana, AccountStanding.SUSPENDED)).state == "SUSPENDED"
    assert (await world.set_standing(ana, standing)).state == "SUSPENDED"  # one after the other keeps the first state
    with pytest.raises(Exception, match="OTHER"):  # this version does not know it
        await world.set_standing(ana, AccountStanding.GOOD)
    document = await stored(world, ana)
    assert (document["state"], document["standing"]) == ("OTHER", "GOOD")
    assert "state_before" not in document


async def test_a_limited_account_is_seen_and_acts(world: World) -> None:
    ana, bob = await world.users(2)
    limited = await world.set_standing(ana, AccountStanding.LIMITED)
    followed = await world.execute(follow(bob), limited)
    assert followed.data == {"followUser": {"userErrors": []}}
    assert limited.state == "ACTIVE"


def follow(user: UserRecord) -> str:
    """A mutation that follows somebody."""
    given = f'{{userId: "{to_global_id("User", user.id)}"}}'
    return f"mutation {{ followUser(input: {given}) {{ userErrors {{ code }} }} }}"


async def test_a_suspended_account_reads_its_own_and_cannot_act(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    ana = await world.set_standing(ana, AccountStanding.SUSPENDED)
    answer = await world.execute(ME, ana)
    assert answer.data == {
        "viewer": {
            "role": "MEMBER",
            "standing": "SUSPENDED",
            "standingUntil": None,
            "user": {
                "username": ana.username,
                "posts": {"edges": [{"node": {"id": to_global_id("Post", post.id)}}]},
            },
        }
    }
    refused = await world.execute(follow(bob), ana)
    assert refused.data == {"followUser": {"userErrors": [{"code": "ACCOUNT_SUSPENDED"}]}}
    assert (await world.sources.relations.by_pairs([(ana.id, bob.id)]))[0].is_following is False


async def test_private_accounts_are_closed_to_suspended_followers(world: World) -> None:
    ana, bob = await world.user(), await world.user(is_private=True)
    post = await world.post(bob)
    await world.follow(ana, bob)
    await world.sources.follows.accept(ana.id, bob.id, now=now())
    document = f'{{ post(id: "{to_global_id("Post", post.id)}") {{ id }} }}'
    shown = {"post": {"id": to_global_id("Post", post.id)}}
    for _ in range(2):  # from the database, and with relations that are read beside the post
        assert (await world.execute(document, ana)).data == shown
    suspended = await world.set_standing(ana, AccountStanding.SUSPENDED)
    for _ in range(2):
        assert (await world.execute(document, suspended)).data == {"post": None}
    assert (await world.execute(document, await world.set_standing(ana, AccountStanding.GOOD))).data == shown


async def test_who_logs_in_while_suspended_gets_a_restricted_session(world: World) -> None:
    ana = await world.user()

    async def session() -> SessionRecord:
        opened, tokens = await world.sources.sessions.open(ana.id, None, now())
        authenticated = await world.sources.sessions.authenticate(tokens.access_token)
        assert authenticated is not None
        assert authenticated.is_restricted == opened.is_restricted
        refreshed, _ = await world.sources.sessions.refresh(tokens.refresh_token, now())
        assert refreshed.is_restricted == opened.is_restricted
        return opened

    assert not (await session()).is_restricted
    await world.set_standing(ana, AccountStanding.BANNED)
    assert (await session()).is_restricted
    await world.set_standing(ana, AccountStanding.GOOD)
    assert not (await session()).is_restricted


async def test_a_deleted_account_has_no_role_and_no_standing(world: World) -> None:
    ana = await world.user()
    await world.sources.users.delete(ana.id, now())
    given = partial(world.sources.moderation.standings.set_role, ana.id, Role.MODERATOR)
    assert await in_transaction(world.sources.client, given) is False
    document = await stored(world, ana)
    assert "role" not in document


async def test_a_role_is_seen_at_once(world: World) -> None:
    ana = await world.user()
    assert (await world.execute("{ viewer { role } }", ana)).data == {"viewer": {"role": "MEMBER"}}
    assert await in_transaction(
        world.sources.client, partial(world.sources.moderation.standings.set_role, ana.id, Role.MODERATOR)
    )
    assert (await world.execute("{ viewer { role } }", ana)).data == {"viewer": {"role": "MODERATOR"}}


async def test_a_suspended_follower_does_not_learn_which_comments_a_private_account_has(world: World) -> None:
    ana, bob, eve = await world.user(), await world.user(is_private=True), await world.user()
    post = await world.post(bob)
    for follower in (ana, eve):
        await world.follow(follower, bob)
        await world.sources.follows.accept(follower.id, bob.id, now=now())
    own, others = await world.comment(post, ana), await world.comment(post, eve)
    document = "mutation ($id: ID!) { deleteComment(input: {commentId: $id}) { post { id } userErrors { code } } }"

    async def delete(viewer: UserRecord, comment: CommentRecord) -> object:
        answer = (await world.execute(document, viewer, id=to_global_id("Comment", comment.id))).data
        assert answer is not None
        return answer["deleteComment"]

    assert await delete(ana, others) == {"post": None, "userErrors": [{"code": "NOT_ALLOWED"}]}
    suspended = await world.set_standing(ana, AccountStanding.SUSPENDED)
    assert await delete(suspended, others) == {"post": None, "userErrors": [{"code": "NOT_FOUND"}]}
    assert await delete(suspended, own) == {"post": None, "userErrors": []}
