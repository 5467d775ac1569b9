"""A process with too much to do, as clients meet it: over HTTP and over a socket."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from resolvers.transport import admission
from resolvers.transport.admission import OVERHEAD, Admission
from tests.support.toy.http import GRAPHQL, ask
from tests.support.toy.server import Served, served, until
from tests.support.toy.sockets import connected


@pytest.fixture
async def toy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """It runs one cheap operation at a time, lets one more wait, and refuses the next."""
    monkeypatch.setattr(admission, "RATE", 1.0)
    capacity = (OVERHEAD + 1) / admission.CHEAP_SHARE
    async with served(admission=Admission(round(capacity), longest_wait=5.0)) as running:
        yield running


async def test_a_request_too_many_is_refused_at_once_and_the_others_are_served(
    toy: Served, client: httpx2.AsyncClient
) -> None:
    served = [asyncio.create_task(ask(client, "{wait(seconds:1.5)}"))]
    await until(lambda: toy.world.running == 1)
    served += [asyncio.create_task(ask(client, "{hello}"))]
    lane = toy.app.state.admission._cheap
    await until(lambda: len(lane._waiting) == 1)
    refused = await ask(client, "{hello}")
    assert toy.world.running == 1
    assert refused.status_code == 503
    [error] = refused.json()["errors"]
    assert error["extensions"]["code"] == "BUSY"
    assert error["extensions"]["retryAfterMs"] >= 1_000
    assert abs(int(refused.headers["retry-after"]) * 1_000 - error["extensions"]["retryAfterMs"]) <= 1_000
    legacy = await ask(client, "{hello}", accept="application/json")
    assert (legacy.status_code, legacy.json()["errors"][0]["extensions"]["code"]) == (200, "BUSY")
    assert "retry-after" in legacy.headers
    answers = await asyncio.gather(*served)
    assert [answer.json()["data"] for answer in answers] == [{"wait": "done"}, {"hello": "hello world"}]
    assert lane._running == 0


async def test_operations_of_a_socket_count_too(toy: Served, client: httpx2.AsyncClient) -> None:
    async with connected(toy) as socket:
        await socket.start()
        await socket.subscribe("{wait(seconds:0.3)}", "a")
        await until(lambda: toy.world.running == 1)
        await socket.subscribe("{hello}", "b")
        await socket.subscribe("{hello}", "c")
        refused = await socket.hear()
        assert (refused["id"], refused["type"]) == ("c", "error")
        assert refused["payload"][0]["extensions"]["code"] == "BUSY"
        assert refused["payload"][0]["extensions"]["retryAfterMs"] > 0
        assert (await ask(client, "{hello}")).status_code == 503
        heard = [await socket.hear() for _ in range(4)]
        assert [(message["id"], message["type"]) for message in heard] == [
            ("a", "next"), ("a", "complete"), ("b", "next"), ("b", "complete"),
        ]  # fmt: skip


async def test_an_event_of_a_subscription_waits_its_turn_and_is_not_lost(toy: Served) -> None:
    async with connected(toy) as socket:
        await socket.start()
        await socket.subscribe("{wait(seconds:0.3)}", "query")
        await until(lambda: toy.world.running == 1)
        await socket.subscribe("subscription{count(to:3)}", "first")
        await socket.subscribe("subscription{count(to:3)}", "second")
        heard = [await socket.hear() for _ in range(10)]
    assert [message["type"] for message in heard[:2]] == ["next", "complete"]
    assert {message["id"] for message in heard[:2]} == {"query"}
    for name in ("first", "second"):
        answers = [message for message in heard[2:] if message["id"] == name and "payload" in message]
        assert [answer["payload"]["data"]["count"] for answer in answers] == [1, 2, 3]


async def test_the_address_is_the_one_a_trusted_proxy_names(toy: Served, client: httpx2.AsyncClient) -> None:
    for address in ("203.0.113.7", "2001:db8::7"):
        await client.post(
            "/graphql", json={"query": "{hello}"}, headers={"x-forwarded-for": address, "accept": GRAPHQL}
        )
    assert [context.address for context in toy.world.contexts] == ["203.0.113.7", "2001:db8::/64"]
