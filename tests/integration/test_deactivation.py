"""Deactivated accounts: what workers do, what is kept meanwhile, and what happens beside a login."""

from datetime import timedelta

import pytest
from bson import ObjectId

from datasources.accounts.deactivation import PAUSE
from domain.errors import Refusal, UserErrorCode
from domain.records.users import UserRecord, UserState
from domain.visibility import Area
from tests.integration.test_move_files import assert_stored, ready_post
from tests.support.auditing import audit
from tests.support.factories import World, now
from workers.handlers.end_sessions import end_sessions


async def leave(world: World, user: UserRecord) -> None:
    await world.sources.account.deactivation.deactivate(user.id, now(), session_id=ObjectId())


async def come_back(world: World, user: UserRecord) -> None:
    await world.sources.account.deactivation.reactivate(user.id, now())


async def state(world: World, user: UserRecord) -> UserState:
    return (await world.stored_user(user.id)).state


async def test_files_turn_private_and_public_again(world: World) -> None:
    ana = await world.user()
    post = await ready_post(world, ana)
    await leave(world, ana)
    await world.drain()
    await assert_stored(world, post.images[0].id, Area.PRIVATE)
    await come_back(world, ana)
    await world.drain()
    await assert_stored(world, post.images[0].id, Area.PUBLIC)


async def test_sessions_end_also_if_the_process_died_after_the_write(world: World) -> None:
    ana = await world.user()
    _, tokens = await world.sources.sessions.open(ana.id, None, now())
    await leave(world, ana)
    await world.drain()
    assert await world.sources.sessions.authenticate(tokens.access_token) is None
    assert await state(world, ana) is UserState.DEACTIVATED


async def test_a_worker_that_comes_late_ends_no_later_session(world: World) -> None:
    ana = await world.user()
    await leave(world, ana)
    later = now() + timedelta(seconds=1)
    _, tokens = await world.sources.sessions.open(ana.id, None, later)
    await end_sessions(world.tools, str(ana.id))
    assert await world.sources.sessions.authenticate(tokens.access_token) is not None
    await come_back(world, ana)
    await world.drain()
    assert await world.sources.sessions.authenticate(tokens.access_token) is not None


async def test_an_account_can_be_deactivated_once_a_day(world: World) -> None:
    ana = await world.user()
    await leave(world, ana)
    await leave(world, ana)  # which changes nothing
    await come_back(world, ana)
    with pytest.raises(Refusal) as refused:
        await leave(world, ana)
    assert (refused.value.code, await state(world, ana)) == (UserErrorCode.QUOTA_EXCEEDED, UserState.ACTIVE)
    assert refused.value.resets_at is not None
    assert timedelta() < refused.value.resets_at - now() <= PAUSE
    earlier = {"$set": {"deactivated_at": now() - PAUSE}}
    await world.sources.database["users"].update_one({"_id": ana.id}, earlier)
    await leave(world, ana)
    assert await state(world, ana) is UserState.DEACTIVATED


async def test_leaving_ends_no_suspension_and_coming_back_undoes_no_deletion(world: World) -> None:
    ana, bob = await world.users(2)
    await world.sources.users.update_profile(ana.id, {"state": "SUSPENDED"})
    with pytest.raises(Refusal) as refused:
        await leave(world, ana)
    assert refused.value.code is UserErrorCode.ACCOUNT_SUSPENDED
    await come_back(world, ana)
    assert await state(world, ana) is UserState.SUSPENDED
    await leave(world, bob)
    await world.sources.users.delete(bob.id, now())
    await come_back(world, bob)
    await leave(world, bob)
    assert await state(world, bob) is UserState.DELETED


async def test_what_happens_meanwhile_is_there_afterwards(own: World) -> None:
    """Notifications that were pending when the account left are stored, and shown to nobody until it is back."""
    ana, bob = await own.users(2)
    post = await own.post(ana)
    await own.drain()
    await own.sources.post_likes.like(post.id, bob.id, now())
    await own.comment(post, bob)
    await leave(own, ana)
    await own.drain()
    assert {each.kind.value for each in await own.inbox(ana)} == {"POST_READY", "POST_LIKED", "COMMENTED"}
    await come_back(own, ana)
    await own.drain()
    await audit(own, has_files=False)


async def test_its_feed_gets_no_more_posts_until_it_is_read_again(world: World) -> None:
    ana, bob = await world.users(2)
    await world.follow(ana, bob)
    await world.open_feeds(ana)
    await leave(world, ana)
    await world.drain()
    assert await world.sources.feed_states.live_among([ana.id]) == []
    await world.post(bob)
    await world.drain()
    await come_back(world, ana)
    answer = await world.execute("{ feed(first: 5) { edges { node { id } } } }", ana)
    assert answer.data is not None
    assert len(answer.data["feed"]["edges"]) == 1
