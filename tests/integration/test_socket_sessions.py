"""A socket lives as long as its session and the access token that opened it, or that was refreshed over it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import httpx2
import pytest
from bson import ObjectId

from app import create_app
from datasources.accounts import session_watch
from datasources.redis import pubsub
from datasources.sources import open_sources
from tests.support.client import Person, Socket
from tests.support.factories import World, now
from tests.support.operation_counter import OperationCounter
from tests.support.toy.server import running
from tests.support.waiting import NEWS_SECONDS, eventually

REFRESH = """mutation ($input: RefreshSessionInput!) {
  refreshSession(input: $input) { userErrors { code } tokens { accessToken refreshToken } }
}"""


@pytest.fixture(autouse=True)
def _check_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_watch, "CHECK_SECONDS", 0.05)


@asynccontextmanager
async def somebody(world: World, *, access_token_ttl: int) -> AsyncIterator[Person]:
    """A newly registered person at an API whose access tokens live so long."""
    settings = world.sources.settings.model_copy(update={"access_token_ttl": access_token_ttl})
    async with (
        running(create_app(settings), settings) as (_, port),
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as http,
    ):
        yield await Person.register(http)


async def _viewer(socket: Socket, operation: str) -> str | None:
    await socket.subscribe("{ viewer { user { id } } }", operation)
    viewer: str | None = (await socket.next())["viewer"]["user"]["id"]
    assert (await socket.hear())["type"] == "complete"
    return viewer


async def test_a_socket_is_closed_when_its_token_expires(world: World) -> None:
    async with somebody(world, access_token_ttl=6) as ana, ana.socket() as socket:
        await socket.subscribe("subscription { notificationAdded { seq } }")
        assert await socket.closed() == 4403


async def test_a_refresh_over_the_socket_renews_it(world: World) -> None:
    async with somebody(world, access_token_ttl=6) as ana, ana.socket() as socket, ana.socket() as other:
        clock = asyncio.get_running_loop().time
        renewed, asked_at, first_ends_at = 0, clock(), clock() + 6.5
        while asked_at < first_ends_at:
            await socket.subscribe(REFRESH, f"r{renewed}", input={"refreshToken": ana.refresh_token})
            tokens = (await socket.next())["refreshSession"]["tokens"]
            ana.token, ana.refresh_token = tokens["accessToken"], tokens["refreshToken"]
            assert (await socket.hear())["type"] == "complete"
            renewed, asked_at = renewed + 1, clock()
            assert await _viewer(socket, f"v{renewed}") == ana.id
            await asyncio.sleep(1.5)  # some of the token's life
        assert await other.closed() == 4403  # the same session, but nobody refreshed it here
        assert await socket.closed() == 4403


async def test_a_session_of_another_login_renews_nothing(world: World) -> None:
    sessions, watch, user_id = world.sources.sessions, world.sources.session_watch, ObjectId()
    ended = asyncio.Event()
    short, _ = await sessions.open(user_id, None, now() - timedelta(seconds=3599))
    long, _ = await sessions.open(user_id, None, now())
    watching = watch.watch(short, ended.set)
    watching.renew(long)
    await asyncio.wait_for(ended.wait(), NEWS_SECONDS)
    watching.stop()


async def test_nobody_ends_the_socket_of_a_session_by_naming_it(world: World) -> None:
    """`end` publishes news of any id. Only sessions that have ended in the store lose their socket."""
    sessions, ended = world.sources.sessions, asyncio.Event()
    session, _ = await sessions.open(ObjectId(), None, now())
    watching = world.sources.session_watch.watch(session, ended.set)
    assert not await sessions.end(ObjectId(), session.id)
    await asyncio.sleep(4 * pubsub.BATCH_SECONDS)
    assert not ended.is_set()
    assert await sessions.end(session.user_id, session.id)
    await asyncio.wait_for(ended.wait(), NEWS_SECONDS)
    watching.stop()


async def test_sessions_that_end_without_news_are_found_by_one_check_of_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Redis no news comes, as when the process that ended a session died before it published that."""
    monkeypatch.setattr(pubsub, "POLL_SECONDS", 0.2)
    operations = OperationCounter()
    ended: list[ObjectId] = []
    without_redis = world.sources.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    async with open_sources(without_redis, listeners=[operations]) as sources:
        opened = [(await sources.sessions.open(ObjectId(), None, now()))[0] for _ in range(50)]
        for session in opened:
            sources.session_watch.watch(session, partial(ended.append, session.id))
        await world.sources.database["sessions"].delete_many({"_id": {"$in": [session.id for session in opened[:20]]}})

        async def have_all_ended() -> bool:
            return len(ended) == 20

        operations.counts.clear()
        await eventually(have_all_ended)
        assert set(ended) == {session.id for session in opened[:20]}
        assert operations.counts["find sessions"] <= 3
