"""The cache over a Valkey that is restarted, rewound and demoted: no value of an earlier run is read."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from redis.asyncio import Redis

from datasources.redis import cache_server
from deploy.local import valkey
from deploy.local.data_folder import hold
from deploy.local.ports import keep_ports
from deploy.local.process import stop_all
from tests.support.own_servers import Server
from tests.support.waiting import eventually
from tests.support.word_cache import WordCache, Words

pytestmark = pytest.mark.usefixtures("patient_caches")


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_server, "BACKOFF_SECONDS", 0.05)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    folder = tmp_path / "servers"
    with hold(folder) as lock, keep_ports(folder / "ports.json", ("valkey",)) as ports:
        started = Server(valkey, folder / "valkey", ports["valkey"], lock)
        try:
            await started.wait_until_ready()
            async with Redis.from_url(started.url) as redis:
                await redis.config_set("appendfsync", "always")
            yield started
        finally:
            stop_all([started.process], 10)


@pytest.fixture
async def process(server: Server) -> AsyncIterator[WordCache]:
    async with aclosing(WordCache(server.url, "test:")) as process:
        yield process


@pytest.fixture
async def other(server: Server) -> AsyncIterator[WordCache]:
    async with aclosing(WordCache(server.url, "test:")) as process:
        yield process


async def is_kept(process: WordCache, truth: Words, word: str) -> bool:
    """Whether `a` is read from the cache. Asserts that it is this word in any case."""
    before = len(truth.asked)
    assert await process.read(truth, "a") == [word]
    return len(truth.asked) == before


async def test_a_value_of_an_earlier_run_is_loaded_and_stored_again(server: Server, process: WordCache) -> None:
    truth = Words(a="old")
    await process.read(truth, "a")
    server.kill()
    truth.words["a"] = "new"  # the invalidation is among the writes that were lost
    await server.start()
    await eventually(lambda: is_kept(process, truth, "new"))


async def test_a_loader_with_a_lease_of_an_earlier_run_stores_nothing(
    server: Server, process: WordCache, other: WordCache, tmp_path: Path
) -> None:
    late, truth = Words(a="old"), Words(a="new")
    late.may_answer.clear()
    loading = asyncio.create_task(process.read(late, "a"))
    await late.reading.wait()
    shutil.copytree(server.folder, tmp_path / "copy")
    assert await other.cache.invalidate(["a"])
    server.kill()
    shutil.rmtree(server.folder)
    shutil.copytree(tmp_path / "copy", server.folder)
    await server.start()
    assert await process.redis.get("test:cache:word:a")  # its lease is back
    late.may_answer.set()
    assert await loading == ["old"]  # it began before the write was answered
    await eventually(lambda: is_kept(other, truth, "new"))


async def test_a_server_that_became_a_replica_is_not_read_from(server: Server, process: WordCache) -> None:
    truth = Words(a="old")
    await process.read(truth, "a")
    async with Redis.from_url(server.url) as redis:
        await redis.replicaof("127.0.0.1", 1)
        truth.words["a"] = "new"
        assert not await process.cache.invalidate(["a"])
        for _ in range(3):
            assert await process.read(truth, "a") == ["new"]
            await asyncio.sleep(0.06)  # as long as nobody asks Redis
        await redis.replicaof("NO", "ONE")
    await eventually(lambda: is_kept(process, truth, "new"))


async def test_a_replica_that_becomes_a_master_is_read_from(server: Server) -> None:
    async with Redis.from_url(server.url) as redis, aclosing(WordCache(server.url, "test:")) as process:
        await redis.replicaof("127.0.0.1", 1)
        truth = Words(a="1")
        assert await process.read(truth, "a") == ["1"]
        await redis.replicaof("NO", "ONE")
        await eventually(lambda: is_kept(process, truth, "1"))


async def test_a_server_that_hides_its_run_id_is_not_read_from(server: Server) -> None:
    async with Redis.from_url(server.url) as redis:
        await redis.acl_setuser("app", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-info"])
    async with aclosing(WordCache(server.url.replace("//", "//app@"), "test:")) as process:
        truth = Words(a="1")
        for _ in range(2):
            assert await process.read(truth, "a") == ["1"]
        assert truth.asked == ["a", "a"]
        assert await process.cache.invalidate(["a"])  # for the processes that may know it
