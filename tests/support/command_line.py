"""Running `photogram` as an operator does."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.support.factories import World

# Warnings that a process of a busy machine may log, while it waits for its servers.
SLOW = re.compile(
    r'^\{.*("event": "cache\.|"error": "TimeoutError", "event": "news\.disconnected").*\}\n', re.MULTILINE
)


class Answer(NamedTuple):
    """The exit code and the output of a command, without warnings of slow servers."""

    code: int
    out: str
    err: str


async def start_command(
    world: World,
    words: Sequence[str],
    given: Mapping[str, str],
    stderr: int = asyncio.subprocess.PIPE,
    stdin: int | None = None,
) -> asyncio.subprocess.Process:
    """Starts `photogram` with the settings of a world. `given` overrides them."""
    settings = world.sources.settings
    names = ("mongo_url", "mongo_database", "redis_url", "key_prefix", "s3_endpoint_url", "environment")
    env = {name: str(getattr(settings, name)) for name in names} | dict(given)
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.cli", *words,
        env=os.environ | {f"PHOTOGRAM_{name.upper()}": value for name, value in env.items()},
        stdout=asyncio.subprocess.PIPE, stderr=stderr, stdin=stdin,
        preexec_fn=_accept_sigint,
    )  # fmt: skip


def _accept_sigint() -> None:
    """Undoes that a shell's background jobs, of which these tests may be one, ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def run_command(world: World, *words: str, **given: str) -> Answer:
    """Runs `photogram` to its end with the settings of a world. `given` overrides them."""
    return await finish_command(await start_command(world, words, given))


async def finish_command(process: asyncio.subprocess.Process, typed: str | None = None) -> Answer:
    """Waits for the end of a command, to which something is typed."""
    async with asyncio.timeout(60):
        out, err = await process.communicate(None if typed is None else typed.encode())
    return Answer(process.returncode or 0, out.decode(), SLOW.sub("", err.decode()))
