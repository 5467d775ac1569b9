"""What compressing a feed page costs and saves: `python -m benchmarks.compression`."""

import gzip
import timeit
from collections.abc import Callable
from random import Random
from string import ascii_letters, ascii_lowercase, digits
from typing import Annotated, Any

import brotli
import typer
import zstandard

from benchmarks.lib.callers import Caller, Served, api, request_of
from benchmarks.lib.report import Table, median, percentile, rounds, show
from benchmarks.lib.stack import finish, servers, stores
from benchmarks.lib.world import insert, post, users
from benchmarks.overload import follow_of, token_of
from config import Settings
from resolvers.transport.compression import BROTLI_QUALITY, GZIP_LEVEL, ZSTD_LEVEL

LONGEST = 300.0
BUDGET = 60.0  # seconds of rounds
PAGES_AT_A_TIME = 20
AUTHORS, POSTS_EACH = 20, 3
CODINGS = ("identity", "gzip", "br", "zstd")
FEED = """{ feed(first: 20) { edges { cursor node {
  id caption createdAt likeCount commentCount viewerHasLiked location { name } hashtags
  author { id username displayName avatar { renditions { url width format } } }
  images { id width height altText blurHash dominantColor renditions { url width height format byteSize } }
} } pageInfo { hasNextPage endCursor } } }"""


def main(
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of every coding in turn.")] = 30,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Reads the same feed page of one API process over HTTP in every coding, in turn."""
    with servers() as settings:
        token = finish(_world(settings), LONGEST)
        with api(settings) as served:
            table = finish(_measure(served, token, repeat), LONGEST)
    show([table], ["starlette-compress", "zstandard", "brotli"], markdown=markdown)


async def _world(settings: Settings) -> str:
    async with stores(settings) as sources:
        random = Random(1)
        viewer, *authors = await users(sources, 1 + AUTHORS)
        await insert(sources, "follows", [follow_of(viewer, one, slot) for slot, one in enumerate(authors)])
        await insert(sources, "posts", [_varied(post(one), random) for one in authors * POSTS_EACH])
        return await token_of(sources, viewer)


def _varied(row: dict[str, Any], random: Random) -> dict[str, Any]:
    """A post with words and a placeholder of its own: what repeats itself compresses too well."""
    row["caption"] = " ".join("".join(random.choices(ascii_lowercase, k=random.randint(2, 9))) for _ in range(15))
    for image in row["images"]:
        image["blur_hash"] = "".join(random.choices(ascii_letters + digits, k=28))
    return row


def _alone(coding: str, body: bytes) -> float:
    """Seconds that compressing this body takes, without anything else."""
    ways: dict[str, Callable[[bytes], bytes]] = {
        "identity": bytes,
        "gzip": lambda data: gzip.compress(data, GZIP_LEVEL),
        "br": lambda data: brotli.compress(data, quality=BROTLI_QUALITY),
        "zstd": lambda data: zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(data),
    }
    compress = ways[coding]
    return min(timeit.repeat(lambda: compress(body), number=10, repeat=20)) / 10


async def _measure(served: Served, token: str, repeat: int) -> Table:
    requests = {coding: request_of(FEED, token, headers=f"accept-encoding: {coding}\r\n") for coding in CODINGS}
    seconds: dict[str, list[float]] = {coding: [] for coding in CODINGS}
    cpu: dict[str, list[float]] = {coding: [] for coding in CODINGS}
    body: dict[str, bytes] = {}
    async with Caller.many(served.port, 1) as (caller,):
        for _ in range(PAGES_AT_A_TIME):
            await caller.ask(requests["identity"])
        for _ in rounds(repeat, BUDGET):
            for coding, request in requests.items():
                before = served.cpu
                for _ in range(PAGES_AT_A_TIME):
                    heard = await caller.ask(request)
                    seconds[coding].append(heard.seconds)
                    body[coding] = heard.body
                cpu[coding].append((served.cpu - before) / PAGES_AT_A_TIME)
    table = Table("A feed page over HTTP, by coding", ["", "kB", "p50 ms", "p99 ms", "CPU ms", "compressing alone, ms"])
    for coding in CODINGS:
        table.rows.append(
            [
                coding,
                f"{len(body[coding]) / 1000:.1f}",
                *(f"{percentile(seconds[coding], percent) * 1000:.1f}" for percent in (50, 99)),
                f"{median(cpu[coding]) * 1000:.2f}",
                f"{_alone(coding, body['identity']) * 1000:.2f}",
            ]
        )
    return table


if __name__ == "__main__":
    typer.run(main)
