"""The largest bursts that this machine takes, over HTTP, by wrk: `python -m benchmarks.bursts`.

Requests are offered once, over many connections. Afterwards everything acknowledged must be in the store, nothing that
was refused may be, and counts must be exact once the workers are done; otherwise the command fails.
"""

import asyncio
import contextlib
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import psutil
import typer
from bson import ObjectId

from benchmarks.lib.documents import posts, users
from benchmarks.lib.http_callers import Caller, request_of
from benchmarks.lib.mutations import spread, upload_inputs
from benchmarks.lib.report import Table, show
from benchmarks.lib.servers import UNLIMITED, finish
from benchmarks.lib.wrk import Burst, Sent, offer, wrk_path
from config import Settings
from datasources.mongo import clock
from datasources.sources import Sources, open_sources, prepare
from datasources.telemetry.logs import configure_logging
from deploy.local.process import stop_all
from deploy.local.servers import local_servers
from deploy.local.services import worker_process
from domain.ids import expect_id, to_global_id
from tests.support.api_process import api_process
from tests.support.waiting import eventually

LONGEST = 3_600.0
UPLOADS_EACH = 5  # of one account, of ten that a day allows
ACTS_EACH = 50  # likes and comments of one account, as many of each
POSTS = 200  # one of them is liked by everybody
MIB = 1024**2
SAMPLE_SECONDS = 0.05
STOP_SECONDS = 30.0

CREATE_UPLOAD = """mutation Burst($input: CreateUploadInput!) {
  createUpload(input: $input) { userErrors { code } made: upload { id } request { url headers { name value } } }
}"""
LIKE = "mutation Burst($id: ID!) { likePost(input: {postId: $id}) { userErrors { code } made: post { id likeCount } } }"
COMMENT = """mutation Burst($id: ID!, $text: String!) {
  addComment(input: {postId: $id, text: $text}) { userErrors { code } commentEdge { made: node { id } } }
}"""


class Memory(NamedTuple):
    """MiB of one process: before a burst, at most, and when everything was done."""

    before: float
    most: float
    after: float


class Result(NamedTuple):
    """A burst, how much of it is in the store, when the counts were right, and the memory of API and workers."""

    name: str
    offered: int
    burst: Burst
    stored: int
    counted_after: float | None
    memory: Sequence[Memory]


def main(
    uploads: Annotated[int, typer.Option(min=10, help="createUpload at once.")] = 10_000,
    acts: Annotated[int, typer.Option(min=100, help="Likes and comments at once, half of each.")] = 50_000,
    connections: Annotated[int, typer.Option(min=1, max=5_000, help="Open connections, each with a request.")] = 1_000,
    seconds: Annotated[float, typer.Option(min=1, max=900, help="After which a burst ends.")] = 300.0,
    patience: Annotated[float, typer.Option(min=1, help="Seconds for the workers, after a burst.")] = 600.0,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Offers both bursts to one API process and one process of all workers, and checks what became of them."""
    wrk_path()
    with _stack() as (settings, worker, folder):
        work = _measure(settings, worker, folder, (uploads, acts), connections, (seconds, patience))
        results = finish(work, LONGEST)
    show(_tables(results, connections), ["pymongo", "redis", "uvicorn"], markdown=markdown)


@contextlib.contextmanager
def _stack() -> Iterator[tuple[Settings, psutil.Process, Path]]:
    """Servers, also S3, and all workers in one process."""
    configure_logging("console", "ERROR")
    settings = Settings(environment="test", log_level="ERROR", rate_limit_factor=UNLIMITED)
    with (
        tempfile.TemporaryDirectory(prefix="photogram-bench-", ignore_cleanup_errors=True) as name,
        local_servers(Path(name), settings) as running,
    ):
        asyncio.run(prepare(running))
        worker = worker_process(running, Path(name))
        try:
            yield running, psutil.Process(worker.pid), Path(name)
        finally:
            stop_all([worker], STOP_SECONDS)


async def _measure(
    settings: Settings,
    worker: psutil.Process,
    folder: Path,
    sizes: tuple[int, int],
    connections: int,
    limits: tuple[float, float],
) -> list[Result]:
    uploads, acts = sizes
    seconds, patience = limits
    async with open_sources(settings) as sources:
        with api_process(settings) as api:
            (token,) = await _tokens(sources, await users(sources, 1))
            async with Caller.many(api.port, 1) as (first,):
                await first.ask(request_of("{ viewer { user { id } } }", token))  # it is up, and has its connections
            measured = [psutil.Process(api.process.pid), worker]
            requests = await _upload_requests(sources, uploads)
            async with _watched(measured) as memory:
                burst = await offer(api.port, requests, connections, seconds, folder)
                stored = await _check_uploads(sources, burst, len(requests))
            results = [Result("createUpload", len(requests), burst, stored, None, memory)]
            requests, expected = await _act_requests(sources, acts)
            async with _watched(measured) as memory:
                burst = await offer(api.port, requests, connections, seconds, folder)
                began = time.perf_counter()
                await eventually(lambda: _are_counted(sources), seconds=patience, every=0.1)
                counted = time.perf_counter() - began
                stored = await _check_acts(sources, burst, expected)
            results.append(Result("likePost and addComment", len(requests), burst, stored, counted, memory))
    return results


async def _tokens(sources: Sources, people: Sequence[ObjectId]) -> list[str]:
    opened = [await sources.sessions.open(person, None, clock.now()) for person in people]
    return [tokens.access_token for _, tokens in opened]


async def _upload_requests(sources: Sources, count: int) -> list[Sent]:
    tokens = await _tokens(sources, await users(sources, -(-count // UPLOADS_EACH)))
    senders = zip(itertools.cycle(tokens), upload_inputs(), strict=False)
    described = itertools.islice(senders, count)
    return [Sent(token, {"query": CREATE_UPLOAD, "variables": {"input": input_}}) for token, input_ in described]


async def _check_uploads(sources: Sources, burst: Burst, offered: int) -> int:
    """How many are in the store. Raises RuntimeError if an acknowledged one is not, or one that was refused is."""
    made = {expect_id(burst.answers[number].made, "MediaUpload") for number in burst.acknowledged()}
    stored = {row["_id"] async for row in sources.database["uploads"].find({}, {"_id": 1})}
    _refuse(made - stored, "acknowledged uploads are lost")
    _refuse(range(len(made) + offered - len(burst.answers), len(stored)), "uploads are stored that were refused")
    return len(stored)


class Act(NamedTuple):
    """A like, or a comment with its text."""

    user_id: ObjectId
    post_id: ObjectId
    text: str | None


async def _act_requests(sources: Sources, count: int) -> tuple[list[Sent], list[Act]]:
    """As many likes as comments, in turn. All like one post first; then each likes others."""
    people = await users(sources, max(2, count // ACTS_EACH))
    tokens = dict(zip(people, await _tokens(sources, people), strict=True))
    popular, *others = await posts(sources, (await users(sources, 1)) * POSTS)
    likes = itertools.chain(((person, popular) for person in people), spread(people, others))
    acts: list[Act] = []
    for number, (user_id, post_id) in enumerate(itertools.islice(likes, count // 2)):
        acts += [Act(user_id, post_id, None), Act(user_id, post_id, f"burst {number}")]
    return [Sent(tokens[act.user_id], _body(act)) for act in acts], acts


def _body(act: Act) -> dict[str, Any]:
    variables = {"id": to_global_id("Post", act.post_id)}
    if act.text is None:
        return {"query": LIKE, "variables": variables}
    return {"query": COMMENT, "variables": variables | {"text": act.text}}


async def _are_counted(sources: Sources) -> bool:
    """Whether nothing is pending for likes and comments."""
    pending = [sources.database[name].find_one({"outbox": {"$exists": True}}) for name in ("post_likes", "comments")]
    return not any(await asyncio.gather(*pending))


async def _check_acts(sources: Sources, burst: Burst, acts: Sequence[Act]) -> int:
    """How many are in the store. Raises RuntimeError if one is lost or stored though refused, or a count is wrong."""
    likes = await sources.database["post_likes"].find({"liked": True}, {"user_id": 1, "target_id": 1}).to_list()
    comments = await sources.database["comments"].find({}, {"author_id": 1, "post_id": 1, "text": 1}).to_list()
    rows = [Act(row["user_id"], row["target_id"], None) for row in likes]
    rows += [Act(row["author_id"], row["post_id"], row["text"]) for row in comments]
    stored, acknowledged = set(rows), {acts[number] for number in burst.acknowledged()}
    unanswered = {act for number, act in enumerate(acts) if number not in burst.answers}
    _refuse(acknowledged - stored, "acknowledged likes and comments are lost")
    _refuse(stored - acknowledged - unanswered, "likes and comments are stored that were refused")
    _refuse(range(len(stored), len(rows)), "likes and comments are stored twice")
    shown = await sources.database["posts"].find({}, {"like_count": 1, "comment_count": 1}).to_list()
    for field, is_like in (("like_count", True), ("comment_count", False)):
        counts = {row["_id"]: row.get(field, 0) for row in shown}
        for act in stored:
            if (act.text is None) == is_like:
                counts[act.post_id] -= 1
        _refuse([count for count in counts.values() if count], f"posts have a wrong {field}")
    return len(stored)


def _refuse(wrong: Any, what: str) -> None:
    if len(wrong):
        raise RuntimeError(f"{len(wrong)} {what}")


@contextlib.asynccontextmanager
async def _watched(processes: Sequence[psutil.Process]) -> AsyncIterator[list[Memory]]:
    """A list that has each process's memory when the block is over."""
    found: list[Memory] = []
    before = [_mib(process) for process in processes]
    most = list(before)

    async def watch() -> None:
        while True:
            most[:] = map(max, most, map(_mib, processes))
            await asyncio.sleep(SAMPLE_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield found
    finally:
        watching.cancel()
    found += map(Memory, before, most, map(_mib, processes))


def _mib(process: psutil.Process) -> float:
    return float(process.memory_info().rss / MIB)


def _tables(results: Sequence[Result], connections: int) -> list[Table]:
    answers = Table(
        f"Bursts over {connections:,} connections, each request sent once",
        [
            "",
            "offered",
            "done",
            "BUSY",
            "other answers",
            "no answer",
            "stored",
            "s",
            "answers/s",
            "counts right after, s",
        ],
    )
    memory = Table(
        "Memory of API and workers, MiB", ["", "API before", "most", "after", "workers before", "most", "after"]
    )
    for result in results:
        codes, burst = result.burst.codes(), result.burst
        done, busy = codes["OK"], codes["BUSY"]
        figures = [result.offered, done, busy, len(burst.answers) - done - busy, result.offered - len(burst.answers)]
        counted = "" if result.counted_after is None else f"{result.counted_after:.1f}"
        speed = [f"{burst.seconds:.1f}", f"{len(burst.answers) / burst.seconds:,.0f}", counted]
        answers.rows.append([result.name, *(f"{each:,}" for each in [*figures, result.stored]), *speed])
        memory.rows.append([result.name, *(f"{each:.0f}" for of in result.memory for each in of)])
    return [answers, memory]


if __name__ == "__main__":
    typer.run(main)
