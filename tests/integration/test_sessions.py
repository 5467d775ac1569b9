"""Sessions: tokens, their rotation, and their end."""

import asyncio
import base64
import itertools
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from datasources.accounts.session_endings import session_topic
from datasources.accounts.sessions import GRACE, MAX_SPENT_HASHES, OVERLAP, SessionStore
from datasources.sources import open_sources
from domain.access_scopes import AccessScope
from domain.errors import Refusal, Unauthenticated, UserErrorCode
from domain.records.users import Device
from tests.support.factories import World, now
from tests.support.waiting import NEWS_SECONDS

DAY = timedelta(days=1)


async def is_refused(sessions: SessionStore, token: str, **when: timedelta) -> bool:
    """Whether a refresh token is refused as not valid."""
    try:
        await sessions.refresh(token, now() + when.get("later", timedelta()))
    except Refusal as refusal:
        return refusal.code is UserErrorCode.INVALID_CREDENTIALS
    return False


async def test_only_its_access_token_authenticates_a_session(world: World) -> None:
    sessions, user_id = world.sources.sessions, ObjectId()
    session, tokens = await sessions.open(user_id, Device(client_name="phone"), now())
    authenticated = await sessions.authenticate(tokens.access_token)
    assert authenticated is not None
    assert (authenticated.id, authenticated.user_id, authenticated.client_name) == (session.id, user_id, "phone")
    other = tokens.access_token[:-2] + ("AA" if tokens.access_token[-2:] != "AA" else "BB")
    for wrong in (tokens.refresh_token, other, "", "ü", "a" * 59, "x" * 10_000):
        assert await sessions.authenticate(wrong) is None


async def test_no_token_is_stored(world: World) -> None:
    session, tokens = await world.sources.sessions.open(ObjectId(), None, now())
    _, new = await world.sources.sessions.refresh(tokens.refresh_token, now())
    document = await world.sources.database["sessions"].find_one({"_id": session.id})
    for token in (tokens.access_token, tokens.refresh_token, new.access_token, new.refresh_token):
        assert token not in str(document)
        assert base64.urlsafe_b64decode(token + "=")[12:] not in str(document).encode("unicode_escape")


async def test_an_access_token_ends_after_its_time(world: World) -> None:
    long_ago = now() - timedelta(seconds=world.sources.settings.access_token_ttl + 1)
    _, tokens = await world.sources.sessions.open(ObjectId(), None, long_ago)
    assert await world.sources.sessions.authenticate(tokens.access_token) is None
    assert not await is_refused(world.sources.sessions, tokens.refresh_token)


async def test_refreshing_replaces_both_tokens(world: World) -> None:
    sessions = world.sources.sessions
    session, old = await sessions.open(ObjectId(), None, now())
    same, new = await sessions.refresh(old.refresh_token, now())
    assert same.id == session.id
    assert len({old.access_token, old.refresh_token, new.access_token, new.refresh_token}) == 4
    assert await sessions.authenticate(new.access_token) is not None


async def test_a_replaced_access_token_lives_for_a_short_overlap(world: World) -> None:
    sessions, ago = world.sources.sessions, now() - OVERLAP
    _, old = await sessions.open(ObjectId(), None, ago)
    await sessions.refresh(old.refresh_token, ago + timedelta(seconds=30))
    authenticated = await sessions.authenticate(old.access_token)
    assert authenticated is not None
    assert authenticated.access_expires_at == ago + timedelta(seconds=30) + OVERLAP
    _, old = await sessions.open(ObjectId(), None, ago)
    await sessions.refresh(old.refresh_token, ago)
    assert await sessions.authenticate(old.access_token) is None


async def test_the_overlap_prolongs_no_access_token(world: World) -> None:
    sessions, ttl = world.sources.sessions, timedelta(seconds=world.sources.settings.access_token_ttl)
    _, old = await sessions.open(ObjectId(), None, now() - ttl)
    await sessions.refresh(old.refresh_token, now())
    assert await sessions.authenticate(old.access_token) is None


async def test_a_refresh_after_a_lost_answer_gets_the_same_tokens(world: World) -> None:
    sessions = world.sources.sessions
    _, old = await sessions.open(ObjectId(), None, now())
    session, lost = await sessions.refresh(old.refresh_token, now())
    again, tokens = await sessions.refresh(old.refresh_token, now() + GRACE - timedelta(seconds=1))
    assert (again, tokens) == (session, lost)
    assert await sessions.authenticate(tokens.access_token) is not None
    await sessions.refresh(tokens.refresh_token, now())


async def test_concurrent_refreshes_in_two_processes_get_one_pair_of_tokens(world: World) -> None:
    async with open_sources(world.sources.settings) as other:
        session, old = await world.sources.sessions.open(ObjectId(), None, now())
        processes = [world.sources.sessions, other.sessions] * 10
        answers = await asyncio.gather(*(sessions.refresh(old.refresh_token, now()) for sessions in processes))
        pairs = {(tokens.access_token, tokens.refresh_token) for _, tokens in answers}
        assert len(pairs) == 1
        ((access, refresh),) = pairs
        assert {refreshed.id for refreshed, _ in answers} == {session.id}
        assert await other.sessions.authenticate(access) is not None
        _, latest = await other.sessions.refresh(refresh, now())
        assert await world.sources.sessions.authenticate(latest.access_token) is not None


async def test_of_thief_and_owner_the_second_to_refresh_ends_the_session(world: World) -> None:
    sessions, stolen_at = world.sources.sessions, now() - GRACE
    session, stolen = await sessions.open(ObjectId(), None, stolen_at)
    _, thiefs = await sessions.refresh(stolen.refresh_token, stolen_at)
    assert await is_refused(sessions, stolen.refresh_token)
    assert await sessions.by_id(session.id) is None
    assert await sessions.authenticate(thiefs.access_token) is None


async def test_a_thief_within_the_grace_is_found_at_the_next_refresh(world: World) -> None:
    sessions, start = world.sources.sessions, now() - 2 * GRACE
    session, stolen = await sessions.open(ObjectId(), None, start)
    _, thiefs = await sessions.refresh(stolen.refresh_token, start)
    _, owners = await sessions.refresh(stolen.refresh_token, start)
    assert owners == thiefs
    await sessions.refresh(owners.refresh_token, start + GRACE)
    assert await is_refused(sessions, thiefs.refresh_token)
    assert await sessions.by_id(session.id) is None


async def test_a_refresh_returns_when_the_new_access_token_expires(world: World) -> None:
    sessions = world.sources.sessions
    session, old = await sessions.open(ObjectId(), None, now() - timedelta(minutes=5))
    refreshed, new = await sessions.refresh(old.refresh_token, now())
    assert refreshed.access_expires_at == new.access_token_expires_at
    renewed = await sessions.by_id(session.id)
    assert renewed is not None
    assert session.access_expires_at < renewed.access_expires_at == new.access_token_expires_at


async def test_a_spent_token_used_again_late_ends_the_session(world: World) -> None:
    sessions = world.sources.sessions
    session, old = await sessions.open(ObjectId(), None, now())
    _, new = await sessions.refresh(old.refresh_token, now())
    assert await is_refused(sessions, old.refresh_token, later=GRACE)
    assert await sessions.by_id(session.id) is None
    assert await sessions.authenticate(new.access_token) is None
    assert await is_refused(sessions, new.refresh_token)


async def test_the_token_before_the_last_ends_the_session_at_once(world: World) -> None:
    sessions = world.sources.sessions
    session, first = await sessions.open(ObjectId(), None, now())
    _, second = await sessions.refresh(first.refresh_token, now())
    await sessions.refresh(second.refresh_token, now())
    assert await is_refused(sessions, first.refresh_token)
    assert await sessions.by_id(session.id) is None


async def test_an_invented_token_ends_no_session(world: World) -> None:
    sessions = world.sources.sessions
    session, tokens = await sessions.open(ObjectId(), None, now())
    assert await is_refused(sessions, tokens.access_token)
    assert await is_refused(sessions, "nonsense")
    assert await sessions.by_id(session.id) is not None


async def test_a_session_unused_for_long_cannot_be_refreshed(world: World) -> None:
    _, tokens = await world.sources.sessions.open(ObjectId(), None, now())
    unused = timedelta(seconds=world.sources.settings.refresh_token_ttl + 1)
    assert await is_refused(world.sources.sessions, tokens.refresh_token, later=unused)


async def test_the_stored_hashes_of_spent_tokens_are_bounded(world: World) -> None:
    sessions = world.sources.sessions
    session, tokens = await sessions.open(ObjectId(), None, now())
    for _ in range(MAX_SPENT_HASHES + 5):
        _, tokens = await sessions.refresh(tokens.refresh_token, now())
    document = await world.sources.database["sessions"].find_one({"_id": session.id})
    assert document is not None
    assert len(document["spent_hashes"]) == MAX_SPENT_HASHES


async def test_the_first_session_is_opened_once(world: World) -> None:
    sessions, user_id, then = world.sources.sessions, ObjectId(), now()
    opened = await asyncio.gather(*(sessions.open_first(user_id, None, then, secret="key") for _ in range(5)))
    assert {(session.id, tokens.access_token, tokens.refresh_token) for session, tokens in opened} == {
        (opened[0][0].id, opened[0][1].access_token, opened[0][1].refresh_token)
    }
    document = await world.sources.database["sessions"].find_one({"_id": user_id})
    assert "key" not in str((document or {}).values())
    _, other = await sessions.open_first(user_id, None, now(), secret="another key")
    late, _ = await sessions.open_first(user_id, None, now() + timedelta(days=1), secret="key")
    assert len({opened[0][0].id, late.id}) == 2
    assert await sessions.authenticate(other.access_token) is not None
    assert len(await sessions.of_user(user_id)) == 3


async def test_the_end_of_a_session_is_published(world: World) -> None:
    sessions = world.sources.sessions
    session, tokens = await sessions.open(ObjectId(), None, now())
    async with world.sources.news.listen(session_topic(session.id)) as news:
        await asyncio.wait_for(news.wait(), NEWS_SECONDS)  # the subscription's own first wake
        news.clear()
        assert await sessions.end(session.user_id, session.id)
        await asyncio.wait_for(news.wait(), NEWS_SECONDS)
    assert await sessions.authenticate(tokens.access_token) is None
    assert not await sessions.end(session.user_id, session.id)


async def test_nobody_ends_a_session_of_another_user(world: World) -> None:
    session, tokens = await world.sources.sessions.open(ObjectId(), None, now())
    assert not await world.sources.sessions.end(ObjectId(), session.id)
    assert await world.sources.sessions.authenticate(tokens.access_token) is not None


async def test_all_sessions_of_a_user_end_together_and_no_others(world: World) -> None:
    sessions, user_id = world.sources.sessions, ObjectId()
    mine = [await sessions.open(user_id, None, now()) for _ in range(3)]
    _, others = await sessions.open(ObjectId(), None, now())
    assert [session.id for session in await sessions.of_user(user_id)] == [session.id for session, _ in mine[::-1]]
    await sessions.end_all(user_id)
    assert await sessions.of_user(user_id) == []
    assert await sessions.authenticate(others.access_token) is not None


async def test_a_log_out_everywhere_can_be_retried_until_it_is_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions, user_id = world.sources.sessions, ObjectId()
    mine, *others = [await sessions.open(user_id, None, now()) for _ in range(3)]
    delete_many, calls = sessions._sessions.delete_many, itertools.count()

    async def fail_in_the_middle(query: Any, **rest: Any) -> None:
        if next(calls) == 1:
            raise AutoReconnect
        await delete_many(query, **rest)

    with monkeypatch.context() as patch:
        patch.setattr(sessions._sessions, "delete_many", fail_in_the_middle)
        with pytest.raises(AutoReconnect):
            await sessions.end_all(user_id, last=mine[0].id)
    assert [session.id for session in await sessions.of_user(user_id)] == [mine[0].id]
    assert [await sessions.is_over(tokens.access_token) for _, tokens in (mine, *others)] == [False, True, True]
    await sessions.end_all(user_id, last=mine[0].id)
    assert await sessions.is_over(mine[1].access_token)


async def test_use_is_recorded_at_most_once_a_minute(world: World) -> None:
    sessions = world.sources.sessions
    session, tokens = await sessions.open(ObjectId(), None, now() - timedelta(minutes=2))
    await sessions.authenticate(tokens.access_token)
    recorded = await sessions.by_id(session.id)
    await sessions.authenticate(tokens.access_token)
    assert recorded is not None
    assert recorded.last_used_at > session.last_used_at
    assert await sessions.by_id(session.id) == recorded


@pytest.mark.parametrize("token", ["", "A", "=" * 59, "\u0000", "A" * 58])
async def test_malformed_tokens_are_refused(world: World, token: str) -> None:
    assert await world.sources.sessions.authenticate(token) is None
    assert await is_refused(world.sources.sessions, token)


async def test_a_version_before_personal_access_tokens_takes_none_for_a_login(world: World) -> None:
    """It knows the session of a token by two fields."""
    login, _ = await world.sources.sessions.open(ObjectId(), None, now())
    token, text = await world.sources.access_tokens.create(
        login, "a program", [AccessScope.READ], lifetime=DAY, now=now()
    )
    document = await world.sources.database["sessions"].find_one({"_id": token.id})
    assert document is not None
    assert document.keys().isdisjoint({"access_hash", "previous_access_hash", "refresh_hash"})
    session = await world.sources.sessions.authenticate(text)
    assert session is not None
    assert session.scopes == [AccessScope.READ]


async def test_no_token_outlives_what_ends_all_sessions_while_it_is_made(world: World) -> None:
    sources, user_id = world.sources, ObjectId()
    login, _ = await sources.sessions.open(user_id, None, now())
    await sources.sessions.end_all(user_id)
    with pytest.raises(Unauthenticated):
        await sources.access_tokens.create(login, "a program", [AccessScope.READ], lifetime=DAY, now=now())
    assert await sources.database["sessions"].count_documents({"user_id": user_id}) == 0
