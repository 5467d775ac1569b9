"""The probes: whether a process lives, and whether it should get requests."""

import asyncio
import time

import httpx2
import pytest

from resolvers.transport import health
from tests.support.toy.http import ask
from tests.support.toy.server import Served, served


async def test_readiness_follows_the_checks_and_is_remembered(client: httpx2.AsyncClient, toy: Served) -> None:
    answers = await asyncio.gather(*(client.get("/readyz") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert toy.world.checks == 1
    mongo, s3 = {"name": "mongo", "ok": True, "needed": True}, {"name": "s3", "ok": True, "needed": False}
    assert answers[0].json() == {"ready": True, "degraded": False, "draining": False, "checks": [mongo, s3]}
    toy.world.mongo_down = True
    async with asyncio.timeout(20):
        while (response := await client.get("/readyz")).status_code == 200:
            await asyncio.sleep(0.05)
    assert response.json()["checks"] == [{**mongo, "ok": False}, s3]
    assert (await client.get("/livez")).status_code == 200


async def test_a_process_without_an_optional_server_is_ready_and_says_so_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "CHECK_TIMEOUT", 0.1)
    async with served() as toy, httpx2.AsyncClient(base_url=toy.url, timeout=10) as client:
        toy.world.storage_hangs = True
        began = time.monotonic()
        first = await client.get("/readyz")
        assert (first.status_code, first.json()["ready"]) == (200, True)
        assert time.monotonic() - began < 1
        async with asyncio.timeout(5):
            while not (answer := (await client.get("/readyz")).json())["degraded"]:
                await asyncio.sleep(0.05)
        assert (answer["ready"], answer["checks"][1]) == (True, {"name": "s3", "ok": False, "needed": False})


async def test_a_draining_process_is_alive_and_not_ready_and_still_serves(
    client: httpx2.AsyncClient, toy: Served
) -> None:
    toy.app.state.drain.begin()
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/livez")).status_code == 200
    assert (await ask(client, "{hello}")).status_code == 200


async def test_a_stuck_process_is_not_alive(client: httpx2.AsyncClient, toy: Served) -> None:
    toy.world.stuck = True
    answer = await client.get("/livez")
    assert (answer.status_code, answer.json()) == (503, {"alive": False})
