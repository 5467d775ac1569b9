"""The cache over a real Redis: one loader for each key, no stale values, and outages of Redis."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from uuid import uuid4

import msgspec
import pytest
from bson import ObjectId
from structlog.testing import capture_logs

from config import Settings
from datasources.redis import cache_server, cache_servers
from datasources.redis.cache_servers import CacheServers
from datasources.redis.read_through import Beside, Cache, id_names
from datasources.redis.server_run import MARK_BYTES
from datasources.redis.servers import OneServer
from domain.records.posts import PostRecord
from tests.support.factories import World
from tests.support.toxic_proxy import Proxy, Toxic
from tests.support.waiting import eventually
from tests.support.word_cache import WordCache, Words

pytestmark = pytest.mark.usefixtures("patient_caches")

SOON = 0.25  # how long a test of an outage waits for Redis
Load = Callable[[Sequence[str]], Awaitable[Sequence[str | None]]]


async def raw(process: WordCache, key: str) -> bytes:
    """What Redis holds under a word's key."""
    value = await process.redis.get(f"{process.servers.prefix}word:{key}")
    return value if isinstance(value, bytes) else b""


@pytest.fixture
def prefix() -> str:
    return f"test_{uuid4().hex[:12]}:"


@asynccontextmanager
async def opened(settings: Settings, prefix: str, count: int = 1) -> AsyncIterator[list[WordCache]]:
    processes = [WordCache(settings.redis_url, prefix) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            await process.aclose()


@pytest.fixture
async def process(shared_settings: Settings, prefix: str) -> AsyncIterator[WordCache]:
    async with opened(shared_settings, prefix) as (process,):
        yield process


@pytest.fixture
async def processes(shared_settings: Settings, prefix: str) -> AsyncIterator[list[WordCache]]:
    async with opened(shared_settings, prefix, 2) as processes:
        yield processes


@pytest.fixture
async def proxy(shared_settings: Settings) -> AsyncIterator[Proxy]:
    async with Proxy(shared_settings.redis_url).listening() as proxy:
        yield proxy


@pytest.fixture
async def shaky(proxy: Proxy, prefix: str) -> AsyncIterator[WordCache]:
    """A process whose connection to Redis can be made to fail."""
    async with aclosing(WordCache(proxy.url, prefix)) as process:
        yield process


async def test_a_value_is_loaded_once_and_then_kept(process: WordCache) -> None:
    truth = Words(a="1", b="2")
    assert await process.read(truth, "a", "b") == ["1", "2"]
    assert await process.read(truth, "b", "a", "b") == ["2", "1", "2"]
    assert truth.asked == ["a", "b"]
    assert (process.cache.hits, process.cache.misses) == (3, 2)


async def test_a_value_is_decoded_once_until_it_changes(process: WordCache) -> None:
    truth = Words(a="some word")
    await process.read(truth, "a")
    first, second = [await process.read(truth, "a") for _ in range(2)]
    assert first == ["some word"]
    assert second[0] is first[0]
    truth.words["a"] = "other"
    await process.cache.invalidate(["a"])
    assert [await process.read(truth, "a") for _ in range(2)] == [["other"], ["other"]]


async def test_what_is_looked_up_beside_is_found_if_it_was_read_with_all_the_rest(process: WordCache) -> None:
    truth, others = Words(a="1", b="2"), Words(c="3")
    other: Cache[str, str | None] = Cache(process.servers, "other", str | None, 30.0)
    await other.read(["c"], others)

    async def beside(*keys: str) -> tuple[list[str | None], dict[str, str | None]]:
        found = Beside(other, ["c", "d"])
        return await process.cache.read(keys, truth, beside=[found]), dict(zip(*found.found(["c", "d"]), strict=True))

    assert await beside("a") == (["1"], {})  # it was loaded, so later than what is beside it
    assert await beside("a", "b") == (["1", "2"], {})
    assert await beside("b", "a") == (["2", "1"], {"c": "3"})
    assert (others.asked, other.hits) == (["c"], 1)


async def test_a_missing_value_is_cached_for_a_shorter_time(process: WordCache) -> None:
    truth = Words(a="1")
    assert await process.read(truth, "a", "gone") == ["1", None]
    assert await process.read(truth, "a", "gone") == ["1", None]
    assert truth.asked == ["a", "gone"]
    lives = [await process.redis.pttl(f"{process.servers.prefix}word:{key}") for key in ("a", "gone")]
    assert 5_000 < lives[0] <= 30_000
    assert 0 < lives[1] <= 5_000


async def test_a_value_created_after_a_miss_is_read_once_the_miss_is_invalidated(process: WordCache) -> None:
    truth = Words()
    assert await process.read(truth, "a") == [None]
    truth.words["a"] = "new"
    await process.cache.invalidate(["a"])
    assert await process.read(truth, "a") == ["new"]


async def test_every_value_expires(shared_settings: Settings, prefix: str) -> None:
    async with aclosing(WordCache(shared_settings.redis_url, prefix, seconds=0.05)) as process:
        truth = Words(a="old")
        await process.read(truth, "a")
        truth.words["a"] = "new"

        async def is_new() -> bool:
            return await process.read(truth, "a") == ["new"]

        await eventually(is_new)


async def test_of_fifty_concurrent_misses_one_loads(shared_settings: Settings, prefix: str) -> None:
    async with opened(shared_settings, prefix, 5) as processes:
        truth = Words(a="1", b="2")
        readers = [process.read(truth, "a", "b") for process in processes for _ in range(10)]
        assert await asyncio.gather(*readers) == [["1", "2"]] * 50
        assert sorted(truth.asked) == ["a", "b"]


async def test_a_reader_that_waits_for_a_slow_loader_loads_too_and_stores_nothing(processes: list[WordCache]) -> None:
    slow, quick = Words(a="slow"), Words(a="quick")
    slow.may_answer.clear()
    loading = asyncio.create_task(processes[0].read(slow, "a"))
    await slow.reading.wait()
    assert await processes[1].read(quick, "a") == ["quick"]
    assert quick.asked == ["a"]
    slow.may_answer.set()
    assert await loading == ["slow"]
    assert await processes[1].read(quick, "a") == ["slow"]  # the loader's, not the other's


async def test_a_loader_that_read_before_a_write_stores_nothing(processes: list[WordCache]) -> None:
    truth = Words(a="old", b="same")
    truth.may_answer.clear()
    loading = asyncio.create_task(processes[0].read(truth, "a", "b"))
    await truth.reading.wait()
    truth.words["a"] = "new"
    assert await processes[1].cache.invalidate(["a"])
    truth.may_answer.set()
    assert await loading == ["old", "same"]  # it began before the write was answered
    assert await processes[0].read(truth, "a", "b") == ["new", "same"]
    assert truth.asked == ["a", "b", "a"]  # the other key was kept


async def test_a_late_loader_does_not_overwrite_a_value_loaded_after_the_write(processes: list[WordCache]) -> None:
    late, after = Words(a="old"), Words(a="new")
    late.may_answer.clear()
    loading = asyncio.create_task(processes[0].read(late, "a"))
    await late.reading.wait()
    await processes[1].cache.invalidate(["a"])
    assert await processes[1].read(after, "a") == ["new"]
    late.may_answer.set()
    await loading
    assert await processes[0].read(late, "a") == ["new"]


async def test_a_loader_whose_key_holds_another_lease_after_a_write_stores_nothing(processes: list[WordCache]) -> None:
    late, after = Words(a="old"), Words(a="new")
    for truth in (late, after):
        truth.may_answer.clear()
    first = asyncio.create_task(processes[0].read(late, "a"))
    await late.reading.wait()
    await processes[1].cache.invalidate(["a"])
    second = asyncio.create_task(processes[1].read(after, "a"))
    await after.reading.wait()
    late.may_answer.set()
    await first  # while the second one's lease stands
    after.may_answer.set()
    await second
    assert await processes[0].read(late, "a") == ["new"]


async def test_a_loader_whose_lease_ran_out_stores_nothing(process: WordCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_server, "LOAD_LEASE_SECONDS", 0.01)
    truth = Words(a="old")
    truth.may_answer.clear()
    loading = asyncio.create_task(process.read(truth, "a"))
    await truth.reading.wait()

    async def has_expired() -> bool:
        return await raw(process, "a") == b""

    await eventually(has_expired)
    truth.words["a"] = "new"  # there was no lease that an invalidation could remove
    truth.may_answer.set()
    await loading
    assert await process.read(truth, "a") == ["new"]


async def test_a_loader_that_fails_raises_and_blocks_nobody(processes: list[WordCache]) -> None:
    async def broken(_keys: Sequence[str]) -> Sequence[str | None]:
        raise LookupError

    with pytest.raises(LookupError):
        await processes[0].cache.read(["a"], broken)
    assert await processes[1].read(Words(a="1"), "a") == ["1"]


async def test_emptying_redis_during_a_load_costs_one_more_load(process: WordCache, prefix: str) -> None:
    truth = Words(a="1")
    truth.may_answer.clear()
    loading = asyncio.create_task(process.read(truth, "a"))
    await truth.reading.wait()
    await process.redis.delete(*[key async for key in process.redis.scan_iter(match=f"{prefix}*")])
    truth.may_answer.set()
    assert await loading == ["1"]
    assert await process.read(truth, "a") == ["1"]
    assert await process.read(truth, "a") == ["1"]
    assert truth.asked == ["a", "a"]


async def test_a_value_of_another_version_is_neither_read_nor_replaced_but_is_invalidated(
    shared_settings: Settings, prefix: str
) -> None:
    """While a release is rolled out, processes whose records have other fields share the keys."""

    class Older(msgspec.Struct):
        """A record as it was."""

        word: str

    async with opened(shared_settings, prefix, 1) as (newer,):
        older: Cache[str, Older | None] = Cache(newer.servers, "word", Older | None, 30)

        async def load_old(keys: Sequence[str]) -> list[Older | None]:
            return [Older("old") for _ in keys]

        await older.read(["a"], load_old)
        truth = Words(a="new")
        assert await newer.read(truth, "a") == ["new"]
        assert b"old" in await raw(newer, "a")
        await newer.cache.invalidate(["a"])
        assert await raw(newer, "a") == b""


@pytest.mark.parametrize("damage", [b"", b"V", b"V1234", b"nonsense"])
async def test_a_damaged_value_is_loaded_again(process: WordCache, damage: bytes) -> None:
    truth = Words(a="1")
    await process.read(truth, "a")
    stored = await raw(process, "a")
    cut = stored[: MARK_BYTES + 5] + b"\xc1"
    await process.redis.set(f"{process.servers.prefix}word:a", damage if damage != b"V1234" else cut)
    assert await process.read(truth, "a") == ["1"]


@pytest.mark.parametrize("toxic", [Toxic.REFUSE, Toxic.BLACK_HOLE])
async def test_without_redis_everything_is_loaded_and_the_outage_is_logged_once(
    shaky: WordCache, proxy: Proxy, toxic: Toxic, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = Words(a="1")
    await shaky.read(truth, "a")
    proxy.become(toxic)
    monkeypatch.setattr(cache_server, "ANSWER_SECONDS", SOON)
    monkeypatch.setattr(cache_server, "BACKOFF_SECONDS", 60)
    with capture_logs() as logs:
        assert await shaky.read(truth, "a") == ["1"]
        proxy.met = 0
        for _ in range(100):
            assert await shaky.read(truth, "a") == ["1"]
        assert proxy.met == 0  # nobody asks Redis for a while
    assert truth.asked == ["a"] * 102
    assert [entry["event"] for entry in logs] == ["cache.down"]


async def test_redis_that_comes_back_is_used_again(
    shaky: WordCache, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_server, "BACKOFF_SECONDS", 0.05)
    truth = Words(a="1")
    with capture_logs() as logs:
        proxy.become(Toxic.REFUSE)
        for _ in range(3):
            await shaky.read(truth, "a")
            await asyncio.sleep(0.06)
        proxy.become(Toxic.NONE)

        async def is_kept() -> bool:
            before = len(truth.asked)
            await shaky.read(truth, "a")
            return len(truth.asked) == before

        await eventually(is_kept)
    assert [entry["event"] for entry in logs] == ["cache.down", "cache.up"]


async def test_a_lost_invalidation_is_retried_and_its_process_reads_nothing_stale_meanwhile(
    shaky: WordCache, process: WordCache, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_server, "BACKOFF_SECONDS", 0.05)
    truth = Words(a="old")
    await process.read(truth, "a")
    assert await shaky.read(truth, "a") == ["old"]
    proxy.become(Toxic.REFUSE)
    truth.words["a"] = "new"
    assert not await shaky.cache.invalidate(["a"])
    assert await shaky.read(truth, "a") == ["new"]  # its own write
    assert await process.read(truth, "a") == ["old"]  # as the docs say: until Redis hears of it
    proxy.become(Toxic.NONE)
    assert await shaky.read(truth, "a") == ["new"]  # Redis answers again, and still has the old value

    async def is_invalidated() -> bool:
        return await process.read(truth, "a") == ["new"]

    await eventually(is_invalidated, seconds=cache_server.LOAD_LEASE_SECONDS)  # long before it expires
    assert await shaky.read(truth, "a") == ["new"]


async def test_a_failed_invalidation_is_retried_no_longer_than_the_value_can_live(
    shaky: WordCache, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_server, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(cache_servers, "MAX_LIFE_SECONDS", 0.05)
    proxy.become(Toxic.REFUSE)
    assert not await shaky.cache.invalidate(["a"])

    async def is_over() -> bool:
        return not any(task.get_name() == "cache" for task in asyncio.all_tasks())

    await eventually(is_over)


async def test_a_cancelled_invalidation_is_still_carried_out(process: WordCache) -> None:
    truth = Words(a="old")
    await process.read(truth, "a")
    truth.words["a"] = "new"
    invalidating = asyncio.create_task(process.cache.invalidate(["a"]))
    await asyncio.sleep(0)  # it has begun
    invalidating.cancel()

    async def is_invalidated() -> bool:
        return await process.read(truth, "a") == ["new"]

    await eventually(is_invalidated)


async def test_a_process_that_reads_no_cache_invalidates_for_those_that_do(
    process: WordCache, shared_settings: Settings, prefix: str
) -> None:
    async with aclosing(WordCache(shared_settings.redis_url, prefix)) as other:
        writer: Cache[str, str | None] = Cache(
            CacheServers(OneServer(other.redis), prefix, reads=False), "word", str | None, 30
        )
        truth = Words(a="old")
        await process.read(truth, "a")
        truth.words["a"] = "new"
        assert await writer.read(["a"], truth) == ["new"]
        assert await writer.invalidate(["a"])
        assert await process.read(truth, "a") == ["new"]


async def test_cached_records_equal_the_stored_ones(process: WordCache, world: World) -> None:
    ana, bob = await world.users(2)
    stored = await world.post(ana, caption="#ñandú", mention_ids=[bob.id], tagged=[bob])
    posts: Cache[ObjectId, PostRecord | None] = Cache(process.servers, "post", PostRecord | None, 30)
    asked: list[ObjectId] = []

    async def load(ids: Sequence[ObjectId]) -> list[PostRecord | None]:
        asked.extend(ids)
        return await world.sources.posts.by_ids(ids)

    for _ in range(2):
        assert await posts.read([stored.id], load) == [stored]
    assert asked == [stored.id]


def test_names_of_ids_are_their_hexadecimal_forms() -> None:
    ids = [ObjectId() for _ in range(3)]
    assert list(id_names(ids)) == [str(id_) for id_ in ids]
