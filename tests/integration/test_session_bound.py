"""An account has a bounded number of logins: one more ends the one that was used least lately."""

import asyncio
from datetime import timedelta

import httpx2
import pytest
from bson import ObjectId

from app import create_app
from datasources.accounts.session_tokens import Tokens, session_id_of
from datasources.accounts.sessions import SessionStore
from datasources.sources import open_sources
from domain.access_scopes import AccessScope
from domain.ids import expect_id
from domain.limits import SESSIONS_MAX
from domain.records.users import SessionRecord
from tests.support.client import PASSWORD, Person
from tests.support.factories import World, now
from tests.support.toy.server import running

AGO = timedelta(minutes=30)  # within the life of an access token


async def full(sessions: SessionStore, user_id: ObjectId) -> list[tuple[SessionRecord, Tokens]]:
    """As many sessions as an account has, the first one used last."""
    opened = [
        await sessions.open(user_id, None, now() - AGO + timedelta(seconds=number)) for number in range(SESSIONS_MAX)
    ]
    _, tokens = opened[0]
    await sessions.authenticate(tokens.access_token)
    return opened


async def test_one_more_ends_the_one_that_was_used_least_lately(world: World) -> None:
    sessions, user_id = world.sources.sessions, ObjectId()
    opened = await full(sessions, user_id)
    new, _ = await sessions.open(user_id, None, now())
    left = {session.id for session in await sessions.of_user(user_id)}
    assert left == {new.id, *(session.id for session, _ in opened)} - {opened[1][0].id}
    assert await sessions.authenticate(opened[1][1].access_token) is None
    assert await sessions.authenticate(opened[0][1].access_token) is not None


async def test_it_ends_neither_the_new_one_nor_the_one_that_asks(world: World) -> None:
    sessions, user_id = world.sources.sessions, ObjectId()
    opened = await full(sessions, user_id)
    asking = opened[1][0].id
    new, _ = await sessions.open(user_id, None, now() - 2 * AGO, asking_id=asking)
    left = {session.id for session in await sessions.of_user(user_id)}
    assert (asking in left, new.id in left, opened[2][0].id in left) == (True, True, False)
    assert len(left) == SESSIONS_MAX


async def test_who_logs_in_again_with_a_session_keeps_it(world: World) -> None:
    settings = world.sources.settings
    async with (
        running(create_app(settings), settings) as (_, port),
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http,
    ):
        ana = await Person.register(http)
        user_id = expect_id(ana.id, "User")
        assert user_id is not None
        await full(world.sources.sessions, user_id)
        await world.sources.database["sessions"].update_one(
            {"_id": session_id_of(ana.token or "")}, {"$set": {"last_used_at": now() - 2 * AGO}}
        )
        await ana.done("login", "tokens { accessToken }", login=ana.username, password=PASSWORD)
        sessions = (await ana.get("{ viewer { sessions { isCurrent } } }"))["viewer"]["sessions"]
        assert [each["isCurrent"] for each in sessions].count(True) == 1
        assert len(sessions) == SESSIONS_MAX


async def test_what_ends_closes_its_sockets_and_leaves_other_processes(world: World) -> None:
    async with open_sources(world.sources.settings) as other:
        sessions, user_id, ended = world.sources.sessions, ObjectId(), asyncio.Event()
        opened = await full(sessions, user_id)
        session, tokens = opened[1]
        watching = other.session_watch.watch(session, ended.set)
        await sessions.open(user_id, None, now())
        await asyncio.wait_for(ended.wait(), 10)
        watching.stop()
        assert await other.sessions.authenticate(tokens.access_token) is None


async def test_concurrent_logins_of_two_processes_end_within_the_limit(world: World) -> None:
    async with open_sources(world.sources.settings) as other:
        processes, user_id = [world.sources.sessions, other.sessions], ObjectId()
        await full(processes[0], user_id)
        await asyncio.gather(*(processes[number % 2].open(user_id, None, now()) for number in range(SESSIONS_MAX + 20)))
        assert await world.sources.database["sessions"].count_documents({"user_id": user_id}) <= SESSIONS_MAX
        _, tokens = await processes[0].open(user_id, None, now())
        assert await processes[1].authenticate(tokens.access_token) is not None


async def test_what_a_version_before_let_have_more_ends_with_the_next_login(world: World) -> None:
    sessions, user_id, table = world.sources.sessions, ObjectId(), world.sources.database["sessions"]
    rows = [
        {"_id": ObjectId(), "user_id": user_id, "last_used_at": now() - AGO, "access_hash": b"%d" % number}
        for number in range(SESSIONS_MAX * 4)
    ]
    await table.insert_many(rows)
    await sessions.open(user_id, None, now())
    assert await table.count_documents({"user_id": user_id}) == SESSIONS_MAX


async def test_personal_access_tokens_do_not_count_and_do_not_end(world: World) -> None:
    sessions, user = world.sources.sessions, await world.user()
    session, _ = await sessions.open(user.id, None, now() - 2 * AGO)
    created = world.sources.access_tokens.create
    _, text = await created(session, "program", [AccessScope.READ], lifetime=AGO * 96, now=now() - AGO)
    await full(sessions, user.id)
    await sessions.open(user.id, None, now())
    assert await sessions.authenticate(text) is not None
    others = await full(sessions, ObjectId())
    assert await sessions.authenticate(others[5][1].access_token) is not None


@pytest.mark.parametrize("sort", [-1, 1])
async def test_the_sessions_of_an_account_are_read_by_an_index(world: World, sort: int) -> None:
    find = {"find": "sessions", "filter": {"user_id": ObjectId()}, "sort": {"_id": sort}, "limit": 50}
    plan = await world.sources.database.command("explain", find)
    assert "'stage': 'IXSCAN'" in str(plan["queryPlanner"]["winningPlan"])
    assert "'stage': 'SORT'" not in str(plan["queryPlanner"]["winningPlan"])
