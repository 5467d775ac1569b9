"""Calls one module's `execute`, without HTTP, as often as asked: `python -m ... by_hand`.

Each line of the input is a count; the answer to it is one line: the JSON of the last call.
"""

import asyncio
import sys
from importlib import import_module

import uvloop

from benchmarks.peers.python.feed_data import VARIABLES
from deploy.cli.interpreter_memory import calm_collector


async def main(module: str) -> None:
    execute = import_module(f"benchmarks.peers.python.{module}").execute
    calm_collector()
    for line in sys.stdin:  # nothing else runs on the loop meanwhile
        answer = b""
        for _ in range(int(line)):
            answer = await execute(VARIABLES)
        sys.stdout.write(answer.decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
