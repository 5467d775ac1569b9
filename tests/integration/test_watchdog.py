"""The watchdog tells a pool that is stuck from a server that is absent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from config import Settings
from datasources.mongo.client import Client, open_mongo
from datasources.mongo.watchdog import Watchdog
from tests.support.toxic_proxy import Toxic, proxied
from tests.support.waiting import eventually


@asynccontextmanager
async def watched(settings: Settings) -> AsyncIterator[tuple[Client, Watchdog]]:
    """A client with a watchdog that looks often and takes half a second of failing for being stuck."""
    quick = settings.model_copy(update={"mongo_timeout": 0.1})
    client = open_mongo(quick)
    watchdog = Watchdog(quick, client)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasources.mongo.watchdog.CHECK_SECONDS", 0.02)
        patch.setattr("datasources.mongo.watchdog.STUCK_SECONDS", 0.5)
        watching = asyncio.create_task(watchdog.run())
        try:
            yield client, watchdog
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await client.close()


async def test_a_pool_whose_lock_is_lost_is_stuck_until_it_is_released(settings: Settings) -> None:
    async with watched(settings) as (client, watchdog):
        await client.admin.command("ping", maxTimeMS=5000)
        (server,) = client._topology._servers.values()
        await server.pool.lock.acquire()  # as a lock that was lost: nobody gives it back
        async with asyncio.timeout(20):
            await watchdog.stuck.wait()
        server.pool.lock.release()

        async def is_well() -> bool:
            return not watchdog.stuck.is_set()

        assert await eventually(is_well)


async def test_an_absent_server_is_not_taken_for_a_stuck_pool(settings: Settings) -> None:
    async with proxied(settings.mongo_url) as proxy:
        direct = f"{proxy.url}&directConnection=true".replace("replicaSet=photogram&", "")
        async with watched(settings.model_copy(update={"mongo_url": direct})) as (client, watchdog):
            await client.admin.command("ping", maxTimeMS=5000)
            proxy.become(Toxic.REFUSE)
            await asyncio.sleep(1.5)  # three times what it takes
            assert not watchdog.stuck.is_set()
