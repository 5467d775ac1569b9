"""`python -m tests.faults.counted_server --listener 3`: the API on an inherited socket; SIGUSR1 lists its tasks."""

import asyncio
import gc
import json
import signal
import socket
import sys
from collections import Counter
from contextlib import closing

import uvloop

from app import create_app
from config import read_settings
from deploy.cli.interpreter_memory import calm_collector
from resolvers.transport.server import build_server


def print_tasks() -> None:
    """One line of JSON: how many tasks run, by the name of their coroutine."""
    gc.collect()
    names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    sys.stdout.write(json.dumps(Counter(names)) + "\n")
    sys.stdout.flush()


async def serve() -> None:
    """Serves until SIGTERM."""
    settings = read_settings()
    server = build_server(create_app(settings), settings)
    calm_collector()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, print_tasks)
    with closing(socket.socket(fileno=int(sys.argv[2]))) as listener:
        await server.serve([listener])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
