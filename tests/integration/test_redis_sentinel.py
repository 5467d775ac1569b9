"""Clients that ask a sentinel for the master: they follow it when another server becomes the master."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing
from pathlib import Path

import pytest
from redis.asyncio import Redis

from deploy.local import binaries, valkey
from deploy.local.data_folder import hold
from deploy.local.ports import LOOPBACK, keep_ports
from deploy.local.process import Process, stop_all
from tests.support.waiting import eventually
from tests.support.word_cache import WordCache, Words

pytestmark = pytest.mark.usefixtures("patient_caches")

NAMES = ("first", "second")
SERVICE = "photos"


class Watched:
    """Two servers, one a replica of the other, and a sentinel."""

    def __init__(self, folder: Path, ports: dict[str, int], lock: int) -> None:
        self.ports = ports
        self.processes = {
            name: valkey.start(folder / name, folder / f"{name}.log", ports[name], lock, name=name) for name in NAMES
        }
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {ports['sentinel']}\nbind {LOOPBACK}\ndir {folder}\n"
            f"sentinel monitor {SERVICE} {LOOPBACK} {ports['first']} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} 1000\nsentinel failover-timeout {SERVICE} 5000\n"
        )
        command: list[str | Path] = [binaries.valkey_server(), config, "--sentinel"]
        self.processes["sentinel"] = Process.start("sentinel", command, log=folder / "sentinel.log", pass_fds=[lock])
        self.url = f"redis+sentinel://{LOOPBACK}:{ports['sentinel']}/{SERVICE}/0"

    async def wait_until_ready(self) -> None:
        """Waits until the second follows the first and the sentinel knows it."""
        until = time.monotonic() + 60
        for name in NAMES:
            await asyncio.to_thread(valkey.await_ready, self.processes[name], self.ports[name], until)
        async with Redis(port=self.ports["second"]) as second:
            await second.replicaof(LOOPBACK, str(self.ports["first"]))
        async with Redis(port=self.ports["sentinel"]) as sentinel:

            async def is_known() -> bool:
                replicas = await sentinel.sentinel_slaves(SERVICE)
                return [replica["master-link-status"] for replica in replicas] == ["ok"]

            await eventually(is_known, seconds=60)

    async def role_of(self, name: str) -> str:
        async with Redis(port=self.ports[name]) as redis:
            return str((await redis.info("replication"))["role"])


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    folder = tmp_path / "servers"
    with ExitStack() as stack:
        lock = stack.enter_context(hold(folder))
        ports = stack.enter_context(keep_ports(folder / "ports.json", (*NAMES, "sentinel")))
        watched = Watched(folder, ports, lock)
        stack.callback(lambda: stop_all(list(watched.processes.values()), 10))
        await watched.wait_until_ready()
        yield watched


async def is_cached(process: WordCache, truth: Words) -> bool:
    """Whether `a` is read from the cache. Asserts that it is right in any case."""
    before = len(truth.asked)
    assert await process.read(truth, "a") == [truth.words["a"]]
    return len(truth.asked) == before


async def test_a_client_follows_the_master_when_the_sentinel_replaces_a_killed_one(watched: Watched) -> None:
    async with aclosing(WordCache(watched.url, "test:")) as process:
        truth = Words(a="old")
        await eventually(lambda: is_cached(process, truth))
        watched.processes["first"].kill()
        truth.words["a"] = "new"
        await process.cache.invalidate(["a"])

        async def is_replaced() -> bool:
            assert await process.read(truth, "a") == ["new"]
            return await watched.role_of("second") == "master"

        await eventually(is_replaced, seconds=60)
        await eventually(lambda: is_cached(process, truth), seconds=30)


async def test_a_client_leaves_a_master_that_was_demoted_while_it_ran(watched: Watched) -> None:
    async with aclosing(WordCache(watched.url, "test:")) as process:
        truth = Words(a="old")
        await eventually(lambda: is_cached(process, truth))
        async with Redis(port=watched.ports["sentinel"]) as sentinel:
            await sentinel.sentinel_failover(SERVICE)

        async def is_demoted() -> bool:
            return [await watched.role_of(name) for name in NAMES] == ["slave", "master"]

        await eventually(is_demoted, seconds=60)
        truth.words["a"] = "new"
        await process.cache.invalidate(["a"])
        await eventually(lambda: is_cached(process, truth), seconds=30)
        assert await process.redis.set("written", "1"), "the client writes to the new master"
