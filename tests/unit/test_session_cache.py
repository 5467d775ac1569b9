"""The sessions that a process keeps: for how long, how many, and what removes them."""

from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId

from datasources.accounts.session_cache import IDLE_SECONDS, VALID_SECONDS, SessionCache, token_hash
from datasources.mongo import clock
from domain.limits import LAST_USED_PRECISION
from domain.records.users import SessionRecord

TOKEN = "a token"


class Machine:
    """Its time, which a test sets."""

    ticks = 1000.0
    now = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(clock, "ticks", lambda: machine.ticks)
    monkeypatch.setattr(clock, "now", lambda: machine.now)
    return machine


def opened(machine: Machine, *, lifetime: timedelta = timedelta(1)) -> SessionRecord:
    now = machine.now
    return SessionRecord(
        id=ObjectId(), user_id=ObjectId(), created_at=now, last_used_at=now, access_expires_at=now + lifetime
    )


def keep(cache: SessionCache, session: SessionRecord, token: str = TOKEN) -> None:
    cache.keep(session, token_hash(token), read_at=clock.ticks(), removals=cache.removals)


@pytest.fixture
def cache(machine: Machine) -> SessionCache:
    return SessionCache()


@pytest.fixture
def session(machine: Machine, cache: SessionCache) -> SessionRecord:
    """A session in the cache."""
    session = opened(machine)
    keep(cache, session)
    return session


def test_a_session_is_found_by_its_own_token_alone(cache: SessionCache, session: SessionRecord) -> None:
    assert cache.find(session.id, TOKEN) == session
    assert cache.find(session.id, "another token") is None
    assert cache.find(ObjectId(), TOKEN) is None
    assert cache.find(session.id, TOKEN) == session


def test_a_session_that_is_not_read_again_lapses(machine: Machine, cache: SessionCache, session: SessionRecord) -> None:
    machine.ticks += VALID_SECONDS
    assert cache.find(session.id, TOKEN) is not None
    machine.ticks += 0.001
    assert cache.find(session.id, TOKEN) is None


def test_reading_it_again_makes_it_valid_from_when_the_read_began(
    machine: Machine, cache: SessionCache, session: SessionRecord
) -> None:
    began = machine.ticks = machine.ticks + VALID_SECONDS
    machine.ticks += 1
    cache.confirm([session.id], {session.id: {token_hash(TOKEN): session.access_expires_at}}, read_at=began)
    machine.ticks = began + VALID_SECONDS
    assert cache.find(session.id, TOKEN) == session
    machine.ticks += 0.001
    assert cache.find(session.id, TOKEN) is None


def test_a_session_that_is_gone_or_has_another_token_is_dropped(machine: Machine, cache: SessionCache) -> None:
    gone, renewed = opened(machine), opened(machine)
    keep(cache, gone)
    keep(cache, renewed)
    stored = {renewed.id: {token_hash("another token"): renewed.access_expires_at}}
    cache.confirm([gone.id, renewed.id], stored, read_at=machine.ticks)
    assert len(cache) == 0


def test_a_replaced_token_ends_when_its_overlap_does(
    machine: Machine, cache: SessionCache, session: SessionRecord
) -> None:
    soon = machine.now + timedelta(seconds=1)
    cache.confirm([session.id], {session.id: {token_hash(TOKEN): soon}}, read_at=machine.ticks)
    found = cache.find(session.id, TOKEN)
    assert found is not None
    assert found.access_expires_at == soon
    machine.now = soon
    assert cache.find(session.id, TOKEN) is None


def test_a_token_expires_while_it_is_kept(machine: Machine, cache: SessionCache) -> None:
    session = opened(machine, lifetime=timedelta(seconds=1))
    keep(cache, session)
    assert cache.find(session.id, TOKEN) == session
    machine.now += timedelta(seconds=1)
    assert cache.find(session.id, TOKEN) is None


def test_a_use_that_has_to_be_recorded_is_not_answered_from_here(
    machine: Machine, cache: SessionCache, session: SessionRecord
) -> None:
    machine.now += LAST_USED_PRECISION
    assert cache.find(session.id, TOKEN) == session
    machine.now += timedelta(milliseconds=1)
    assert cache.find(session.id, TOKEN) is None


def test_what_was_read_before_a_removal_is_not_kept(machine: Machine, cache: SessionCache) -> None:
    session, removals = opened(machine), cache.removals
    cache.remove([session.id])
    cache.keep(session, token_hash(TOKEN), read_at=machine.ticks, removals=removals)
    assert cache.find(session.id, TOKEN) is None


def test_an_older_check_does_not_undo_a_later_read(
    machine: Machine, cache: SessionCache, session: SessionRecord
) -> None:
    before, machine.ticks = machine.ticks, machine.ticks + 1
    keep(cache, session, "a newer token")
    cache.confirm([session.id], {session.id: {token_hash(TOKEN): session.access_expires_at}}, read_at=before)
    assert cache.find(session.id, "a newer token") == session


def test_a_refused_token_takes_no_other_token_away(cache: SessionCache, session: SessionRecord) -> None:
    cache.discard(session.id, token_hash("another token"))
    assert cache.find(session.id, TOKEN) == session
    cache.discard(session.id, token_hash(TOKEN))
    assert cache.find(session.id, TOKEN) is None


def test_the_sessions_unused_for_longest_make_room(machine: Machine) -> None:
    cache, sessions = SessionCache(limit=3), [opened(machine) for _ in range(4)]
    for session in sessions[:3]:
        keep(cache, session)
    assert cache.find(sessions[0].id, TOKEN) is not None
    keep(cache, sessions[3])
    assert [cache.find(session.id, TOKEN) is not None for session in sessions] == [True, False, True, True]


def test_unused_sessions_are_not_read_again(machine: Machine, cache: SessionCache, session: SessionRecord) -> None:
    machine.ticks += IDLE_SECONDS
    assert cache.in_use() == [session.id]
    machine.ticks += 0.001
    assert cache.in_use() == []
    assert len(cache) == 0
