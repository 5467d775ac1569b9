"""A process answers queries by a session that it has read lately, and notices within two seconds that it has ended."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from bson import ObjectId

from config import Settings
from datasources.accounts.sessions import GRACE, OVERLAP, SessionStore
from datasources.outages import is_outage
from datasources.sources import Sources, open_sources
from domain.errors import Refusal
from domain.limits import LAST_USED_PRECISION
from domain.records.users import Device, SessionRecord
from tests.support.factories import World, now, opened
from tests.support.operation_counter import OperationCounter
from tests.support.toxic_proxy import Toxic, proxied
from tests.support.waiting import eventually

End = Callable[[SessionStore, SessionRecord], Awaitable[object]]


@pytest.fixture
def sessions(world: World, monkeypatch: pytest.MonkeyPatch) -> SessionStore:
    """The sessions of a process whose checks run when a test says so; what it keeps does not lapse meanwhile."""
    monkeypatch.setattr("datasources.accounts.session_cache.VALID_SECONDS", 3600.0)
    return unchecked(world.sources)


def unchecked(sources: Sources) -> SessionStore:
    """Another store of sessions, which nothing checks."""
    lifetimes = {"access_ttl": sources.settings.access_token_ttl, "refresh_ttl": sources.settings.refresh_token_ttl}
    return SessionStore(sources.database, sources.news, **lifetimes)


async def used(sessions: SessionStore, user_id: ObjectId | None = None) -> tuple[SessionRecord, str, str]:
    """A session that this process keeps, its access token and its refresh token."""
    _, tokens = await sessions.open(user_id or ObjectId(), Device(client_name="phone"), now())
    session = await sessions.authenticate(tokens.access_token)
    assert session is not None
    assert sessions.recall(tokens.access_token) == session
    return session, tokens.access_token, tokens.refresh_token


async def delete(sessions: SessionStore, session: SessionRecord) -> None:
    await sessions._sessions.delete_one({"_id": session.id})


async def end(sessions: SessionStore, session: SessionRecord) -> None:
    await sessions.end(session.user_id, session.id)


async def end_all(sessions: SessionStore, session: SessionRecord) -> None:
    await sessions.end_all(session.user_id)


@pytest.mark.parametrize("ending", [delete, end, end_all])
async def test_a_check_finds_what_ended_elsewhere_without_any_message(
    sessions: SessionStore, other: World, ending: End
) -> None:
    session, token, _ = await used(sessions)
    _, others, _ = await used(sessions)
    await ending(other.sources.sessions, session)
    await sessions.check_cached()
    assert sessions.recall(token) is None
    assert sessions.recall(others) is not None


@pytest.mark.parametrize("ending", [end, end_all])
async def test_a_session_that_this_process_ends_is_refused_at_once(sessions: SessionStore, ending: End) -> None:
    session, token, _ = await used(sessions)
    await ending(sessions, session)
    assert sessions.recall(token) is None


async def test_a_spent_token_used_again_ends_the_kept_session_at_once(sessions: SessionStore) -> None:
    _, _, refresh_token = await used(sessions)
    _, new = await sessions.refresh(refresh_token, now() - GRACE)
    await sessions.authenticate(new.access_token)
    assert sessions.recall(new.access_token) is not None
    with pytest.raises(Refusal):
        await sessions.refresh(refresh_token, now())
    assert sessions.recall(new.access_token) is None


async def test_a_token_that_mongodb_has_refused_is_refused_from_then_on(sessions: SessionStore, other: World) -> None:
    session, token, _ = await used(sessions)
    await end(other.sources.sessions, session)
    assert await sessions.authenticate(token) is None
    assert sessions.recall(token) is None


async def test_a_token_replaced_elsewhere_ends_with_its_overlap(sessions: SessionStore, other: World) -> None:
    _, token, refresh_token = await used(sessions)
    await other.sources.sessions.refresh(refresh_token, now() - OVERLAP + timedelta(minutes=1))
    await sessions.check_cached()
    kept, stored = sessions.recall(token), await other.sources.sessions.authenticate(token)
    assert kept is not None
    assert stored is not None
    assert kept.access_expires_at == stored.access_expires_at


async def test_a_token_replaced_twice_is_refused(sessions: SessionStore, other: World) -> None:
    _, token, refresh_token = await used(sessions)
    _, new = await other.sources.sessions.refresh(refresh_token, now())
    await other.sources.sessions.refresh(new.refresh_token, now())
    await sessions.check_cached()
    assert sessions.recall(token) is None


async def test_refreshing_here_makes_mongodb_decide_about_the_old_token(sessions: SessionStore) -> None:
    _, token, refresh_token = await used(sessions)
    await sessions.refresh(refresh_token, now())
    assert sessions.recall(token) is None


async def test_the_sessions_of_a_deleted_account_end(sessions: SessionStore, other: World) -> None:
    user = await other.user()
    _, token, _ = await used(sessions, user.id)
    assert await other.sources.users.delete(user.id, now())
    await other.drain()
    await sessions.check_cached()
    assert sessions.recall(token) is None


async def test_bad_tokens_are_never_kept(sessions: SessionStore) -> None:
    session, token, refresh_token = await used(sessions)
    long_ago = now() - timedelta(days=1)
    _, expired = await sessions.open(ObjectId(), None, long_ago)
    other_secret = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")
    for bad in (refresh_token, other_secret, expired.access_token, "", "A" * 59):
        assert await sessions.authenticate(bad) is None
        assert sessions.recall(bad) is None
    assert sessions._cache.in_use() == [session.id]


async def test_the_use_of_a_kept_session_is_recorded(sessions: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    session, token, _ = await used(sessions)
    later = session.last_used_at + LAST_USED_PRECISION + timedelta(seconds=1)
    monkeypatch.setattr("datasources.mongo.clock.now", lambda: later)
    assert sessions.recall(token) is None
    await sessions.authenticate(token)
    stored = await sessions.by_id(session.id)
    assert stored is not None
    assert stored.last_used_at >= later - timedelta(milliseconds=1)
    assert sessions.recall(token) is not None


async def test_many_sessions_are_checked_by_one_read_and_none_by_no_read(settings: Settings) -> None:
    counter = OperationCounter()
    async with open_sources(settings, [counter]) as sources:
        sessions = unchecked(sources)
        await sessions.check_cached()
        assert counter.counts["find sessions"] == 0
        for _ in range(30):
            await used(sessions)
        counter.counts.clear()
        await sessions.check_cached()
        assert counter.counts["find sessions"] == 1


async def test_a_process_checks_by_itself(world: World, other: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasources.accounts.session_cache.VALID_SECONDS", 3600.0)
    session, token, _ = await used(world.sources.sessions)
    await end(other.sources.sessions, session)

    async def is_refused() -> bool:
        return world.sources.sessions.recall(token) is None

    await eventually(is_refused, seconds=30)


async def test_without_mongodb_no_session_is_answered_from_memory_for_long(settings: Settings) -> None:
    async with proxied(settings.mongo_url) as proxy:
        url = proxy.url.replace("replicaSet=photogram", "directConnection=true")
        short = settings.model_copy(update={"mongo_url": url, "mongo_timeout": 5.0})
        async with opened(short) as world:
            sessions = world.sources.sessions
            _, token, _ = await used(sessions)
            proxy.become(Toxic.BLACK_HOLE)

            async def has_lapsed() -> bool:
                return sessions.recall(token) is None

            await eventually(has_lapsed, seconds=30)
            with pytest.raises(Exception, match=r".*") as caught:
                await sessions.authenticate(token)
            assert is_outage(caught.value)
            proxy.become(Toxic.NONE)  # else the client could not be closed in time
