"""What caches and the job queue cost on one Valkey server and on a cluster: `python -m benchmarks.redis_cluster`."""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from bson import ObjectId

from benchmarks.lib.report import Table, median, rounds, show, times
from config import Settings
from datasources.graph.cached_relations import relation_cache
from datasources.jobs.queue import JobQueue
from datasources.jobs.redis_queue import RedisTransport
from datasources.posts.cached_posts import post_cache
from datasources.redis.cache_servers import CacheServers
from datasources.redis.servers import following, make_servers
from datasources.telemetry.logs import configure_logging
from deploy.local.servers import local_servers
from domain.jobs import Fact, Job, Task
from domain.visibility import Relation

PAGE = 20
TURN = 300  # calls of one way at a stretch
BUDGET = 30.0  # seconds of rounds
NOWHERE = "http://127.0.0.1:1"  # of servers that are not needed, so that they are not started
COLUMNS = ["a call", "one, CPU us", "cluster, CPU us", "ratio"]

Way = Callable[[], Awaitable[object]]


def main(
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of all ways in turn.")] = 9,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Reads and invalidates cached values and enqueues jobs on one server and on three masters, in turn."""
    configure_logging("console", "ERROR")
    settings = Settings(environment="test", mongo_url=NOWHERE, s3_endpoint_url=NOWHERE)
    with (
        tempfile.TemporaryDirectory(prefix="photogram-bench-", ignore_cleanup_errors=True) as folder,
        local_servers(Path(folder, "one"), settings) as one,
        local_servers(Path(folder, "cluster"), settings, cluster=True) as cluster,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        table = runner.run(_measure(one.redis_url, cluster.redis_url, repeat))
    show([table], ["redis", "hiredis"], markdown=markdown)


async def _measure(one: str, cluster: str, repeat: int) -> Table:
    async with _ways(one) as of_one, _ways(cluster) as of_cluster:
        seconds: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in of_one}
        for _ in rounds(repeat, BUDGET):
            for name, measured in seconds.items():
                for spent, ways in zip(measured, (of_one, of_cluster), strict=True):
                    spent.append(await _cpu(ways[name]))
    table = Table("Redis, one server and a cluster of three masters", COLUMNS)
    for name, (alone, several) in seconds.items():
        row = (f"{median(alone) * 1e6:.0f}", f"{median(several) * 1e6:.0f}", times(several, alone))
        table.rows.append([name, *row])
    return table


@contextlib.asynccontextmanager
async def _ways(url: str) -> AsyncIterator[dict[str, Way]]:
    servers = make_servers(url, seconds=5.0, wait=5.0)
    caches = CacheServers(servers, "bench:")
    posts, relations = post_cache(caches), relation_cache(caches)
    queue = JobQueue(RedisTransport(servers, "bench:"))
    viewer, ids = ObjectId(), [ObjectId() for _ in range(PAGE)]
    pairs = [(viewer, id_) for id_ in ids]
    kinds = (Task.COUNT, Fact.POST_LIKE), (Task.FAN_OUT, Fact.POST), (Task.NOTIFY, Fact.COMMENT)

    async def no_posts(missing: Sequence[ObjectId]) -> list[None]:
        return [None] * len(missing)

    async def no_relations(missing: Sequence[tuple[ObjectId, ObjectId]]) -> list[Relation]:
        return [Relation()] * len(missing)

    try:
        async with following(servers):
            yield {
                f"{PAGE} cached values": lambda: posts.read(ids, no_posts),
                f"{PAGE} relations of one viewer": lambda: relations.read(pairs, no_relations),
                "one invalidation": lambda: posts.invalidate([ObjectId()]),
                f"{PAGE} invalidations together": lambda: posts.invalidate([ObjectId() for _ in ids]),
                "a job": lambda: queue.enqueue([Job(*kinds[0], str(ObjectId()))]),
                "jobs of three workers": lambda: queue.enqueue([Job(*kind, str(ObjectId())) for kind in kinds]),
            }
    finally:
        await caches.aclose()
        await servers.aclose()


async def _cpu(way: Way) -> float:
    """Processor seconds of this process for a call, after one that fills the cache."""
    await way()
    before = time.process_time()
    for _ in range(TURN):
        await way()
    return (time.process_time() - before) / TURN


if __name__ == "__main__":
    typer.run(main)
