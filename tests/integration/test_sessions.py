"""Sessions: tokens, their rotation, and their end."""

import asyncio
from datetime import timedelta

import pytest
from bson import ObjectId

from datasources.live import session_topic
from datasources.sessions import GRACE, SPENT_KEPT, SessionStore, Tokens
from domain.errors import Refusal, UserErrorCode
from tests.factories import World, now


async def refused(sessions: SessionStore, token: str, **when: timedelta) -> bool:
    """Whether a refresh token is refused, as any wrong one is."""
    try:
        await sessions.refresh(token, now() + when.get("later", timedelta()))
    except Refusal as refusal:
        return refusal.code is UserErrorCode.INVALID_CREDENTIALS
    return False


async def test_an_access_token_opens_its_session_and_nothing_else_does(world: World) -> None:
    sessions, user_id = world.sources.sessions, ObjectId()
    session, tokens = await sessions.open(user_id, "phone", now())
    found = await sessions.authenticate(tokens.access_token)
    assert found is not None
    assert (found.id, found.user_id, found.client_name) == (session.id, user_id, "phone")
    other = tokens.access_token[:-2] + ("AA" if tokens.access_token[-2:] != "AA" else "BB")
    for wrong in (tokens.refresh_token, other, "", "ü", "a" * 59, "x" * 10_000):
        assert await sessions.authenticate(wrong) is None


async def test_no_token_is_stored(world: World) -> None:
    session, tokens = await world.sources.sessions.open(ObjectId(), None, now())
    document = await world.sources.database["sessions"].find_one({"_id": session.id})
    assert tokens.access_token not in str(document)
    assert tokens.refresh_token not in str(document)


async def test_an_access_token_ends_after_its_time(world: World) -> None:
    long_ago = now() - timedelta(seconds=world.sources.settings.access_token_ttl + 1)
    _, tokens = await world.sources.sessions.open(ObjectId(), None, long_ago)
    assert await world.sources.sessions.authenticate(tokens.access_token) is None
    assert not await refused(world.sources.sessions, tokens.refresh_token)


async def test_refreshing_replaces_both_tokens(world: World) -> None:
    sessions = world.sources.sessions
    session, old = await sessions.open(ObjectId(), None, now())
    same, new = await sessions.refresh(old.refresh_token, now())
    assert same.id == session.id
    assert len({old.access_token, old.refresh_token, new.access_token, new.refresh_token}) == 4
    assert await sessions.authenticate(old.access_token) is None
    assert await sessions.authenticate(new.access_token) is not None


async def test_of_simultaneous_refreshes_one_wins_and_the_session_lives(world: World) -> None:
    sessions = world.sources.sessions
    session, old = await sessions.open(ObjectId(), None, now())

    async def attempt() -> Tokens | None:
        try:
            return (await sessions.refresh(old.refresh_token, now()))[1]
        except Refusal:
            return None

    winners = [tokens for tokens in await asyncio.gather(*(attempt() for _ in range(20))) if tokens is not None]
    assert len(winners) == 1
    assert await sessions.by_id(session.id) is not None
    assert await sessions.authenticate(winners[0].access_token) is not None


async def test_a_spent_token_that_comes_again_at_once_is_only_refused(world: World) -> None:
    sessions = world.sources.sessions
    session, old = await sessions.open(ObjectId(), None, now())
    await sessions.refresh(old.refresh_token, now())
    assert await refused(sessions, old.refresh_token)
    assert await sessions.by_id(session.id) is not None


async def test_a_spent_token_that_comes_again_late_ends_the_session(world: World) -> None:
    sessions = world.sources.sessions
    session, old = await sessions.open(ObjectId(), None, now())
    _, new = await sessions.refresh(old.refresh_token, now())
    assert await refused(sessions, old.refresh_token, later=GRACE + timedelta(seconds=1))
    assert await sessions.by_id(session.id) is None
    assert await sessions.authenticate(new.access_token) is None
    assert await refused(sessions, new.refresh_token)


async def test_the_token_before_the_last_ends_the_session_at_once(world: World) -> None:
    sessions = world.sources.sessions
    session, first = await sessions.open(ObjectId(), None, now())
    _, second = await sessions.refresh(first.refresh_token, now())
    await sessions.refresh(second.refresh_token, now())
    assert await refused(sessions, first.refresh_token)
    assert await sessions.by_id(session.id) is None


async def test_a_made_up_token_ends_nobodys_session(world: World) -> None:
    sessions = world.sources.sessions
    session, tokens = await sessions.open(ObjectId(), None, now())
    assert await refused(sessions, tokens.access_token)
    assert await refused(sessions, "nonsense")
    assert await sessions.by_id(session.id) is not None


async def test_a_session_that_was_not_used_for_long_cannot_be_refreshed(world: World) -> None:
    _, tokens = await world.sources.sessions.open(ObjectId(), None, now())
    unused = timedelta(seconds=world.sources.settings.refresh_token_ttl + 1)
    assert await refused(world.sources.sessions, tokens.refresh_token, later=unused)


async def test_what_is_kept_of_spent_tokens_is_bounded(world: World) -> None:
    sessions = world.sources.sessions
    session, tokens = await sessions.open(ObjectId(), None, now())
    for _ in range(SPENT_KEPT + 5):
        _, tokens = await sessions.refresh(tokens.refresh_token, now())
    document = await world.sources.database["sessions"].find_one({"_id": session.id})
    assert document is not None
    assert len(document["spent_hashes"]) == SPENT_KEPT


async def test_ending_a_session_tells_its_sockets(world: World) -> None:
    sessions = world.sources.sessions
    session, tokens = await sessions.open(ObjectId(), None, now())
    async with world.sources.live.listen(session_topic(session.id)) as news:
        await asyncio.wait_for(news.wait(), 5)  # the subscription's own first wake
        news.clear()
        assert await sessions.end(session.user_id, session.id)
        await asyncio.wait_for(news.wait(), 2)
    assert await sessions.authenticate(tokens.access_token) is None
    assert not await sessions.end(session.user_id, session.id)


async def test_nobody_ends_somebody_elses_session(world: World) -> None:
    session, tokens = await world.sources.sessions.open(ObjectId(), None, now())
    assert not await world.sources.sessions.end(ObjectId(), session.id)
    assert await world.sources.sessions.authenticate(tokens.access_token) is not None


async def test_all_of_a_users_sessions_end_together_and_no_others(world: World) -> None:
    sessions, user_id = world.sources.sessions, ObjectId()
    mine = [await sessions.open(user_id, None, now()) for _ in range(3)]
    _, others = await sessions.open(ObjectId(), None, now())
    assert [session.id for session in await sessions.of_user(user_id)] == [session.id for session, _ in mine[::-1]]
    await sessions.end_all(user_id)
    assert await sessions.of_user(user_id) == []
    assert await sessions.authenticate(others.access_token) is not None


async def test_use_is_noted_at_most_once_a_minute(world: World) -> None:
    sessions = world.sources.sessions
    session, tokens = await sessions.open(ObjectId(), None, now() - timedelta(minutes=2))
    await sessions.authenticate(tokens.access_token)
    noted = await sessions.by_id(session.id)
    await sessions.authenticate(tokens.access_token)
    assert noted is not None
    assert noted.last_used_at > session.last_used_at
    assert await sessions.by_id(session.id) == noted


@pytest.mark.parametrize("token", ["", "A", "=" * 59, "\u0000", "A" * 58])
async def test_garbage_is_no_token(world: World, token: str) -> None:
    assert await world.sources.sessions.authenticate(token) is None
    assert await refused(world.sources.sessions, token)
