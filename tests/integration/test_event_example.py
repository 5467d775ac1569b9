"""The example of a program that reads events counts each like once, from the stream and as an endpoint of webhooks."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from config import Settings
from datasources.events.redis_stream import stream_key
from deploy.local.ports import reserve_port
from tests.support.factories import World, now, opened
from tests.support.own_databases import own_database
from tests.support.stack import ROOT
from tests.support.waiting import eventually

EXAMPLE = ROOT / "docs" / "examples" / "count_likes.py"


@pytest.fixture(scope="module")
async def telling(shared_settings: Settings) -> AsyncIterator[World]:
    """A world whose events go to Redis and to webhooks."""
    events = ("redis", "webhooks")
    with own_database(shared_settings, events=events, webhook_private_addresses=True) as settings:
        async with opened(settings) as world:
            yield world


async def start(folder: Path, *words: str, secret: str = "") -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLE), "--database", str(folder / "likes.db"), *words),
        env=os.environ | {"SECRET": secret},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def run(folder: Path, *words: str) -> str:
    process = await start(folder, *words)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def like_by(world: World, number: int) -> None:
    """A post with so many new likes, of which others are told."""
    ana, *others = await world.users(number + 1)
    post = await world.post(ana)
    for other in others:
        await world.sources.post_likes.like(post.id, other.id, now())
    await world.drain()


async def counted(folder: Path) -> int:
    return sum(int(line.split()[-1]) for line in (await run(folder, "show")).splitlines())


async def test_the_example_counts_likes_of_the_stream_once(telling: World, tmp_path: Path) -> None:
    settings, redis = telling.sources.settings, telling.redis
    key = stream_key(settings.key_prefix)
    words = ["stream", settings.redis_url, "--stream", key, "--once"]
    await like_by(telling, 3)
    assert await run(tmp_path, *words) == ""
    assert await counted(tmp_path) == 3
    entries: Any = await redis.xrange(key)
    for _, fields in entries:  # each once more, as after a crash of a worker
        await redis.xadd(key, {**fields, "number": await redis.incr(f"{key}:number")})
    await like_by(telling, 1)
    assert await run(tmp_path, *words) == ""
    assert await counted(tmp_path) == 4
    await like_by(telling, 2)
    await redis.xtrim(key, maxlen=1, approximate=False)
    assert "events are missing" in await run(tmp_path, *words)


async def test_the_example_counts_likes_of_webhooks_once(telling: World, tmp_path: Path) -> None:
    reserved = reserve_port()
    assert reserved is not None
    with reserved:
        port = reserved.getsockname()[1]
        endpoint = await telling.sources.webhook_endpoints.add(f"http://127.0.0.1:{port}/", [])
        await telling.sources.webhook_endpoints.add(f"http://127.0.0.1:{port}/forged", [])
        receiver = await start(tmp_path, "webhooks", str(port), secret=endpoint.secrets[0].value)
        try:
            await like_by(telling, 3)

            async def is_counted() -> bool:
                await telling.sources.database["webhook_messages"].update_many({}, {"$set": {"next_at": now()}})
                await telling.drain()
                return await counted(tmp_path) == 3

            await eventually(is_counted, seconds=60)
            await eventually(lambda: _has_error(telling, "HTTP 401"), seconds=30)  # the secret of /forged is another
        finally:
            receiver.kill()
            await receiver.wait()


async def _has_error(world: World, error: str) -> bool:
    return any(each.last_error == error for each in await world.sources.webhook_endpoints.all())
