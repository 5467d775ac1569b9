"""Where a request's processor time goes: the stacks of an API process, sampled and sorted by steps."""

import json
import re
import signal
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.lib.report import Table, median, rounds
from benchmarks.lib.turns import Way
from tests.support.api_process import MeasuredProcess
from tests.support.waiting import eventually

STRETCH = 1.5  # processor seconds, about, of one server
TRIAL = 50  # requests, to see how long they take

REST = "event loop, sockets, HTTP"

# Whatever is done inside such a frame belongs to the step.
_WHOLE = {
    "session": r"/datasources/accounts/\w*session\w*\.py ",
    "log": r"/structlog/|/logging/|/telemetry/logs\.py ",
    "document, limits, plan": r"/resolvers/transport/(documents|document_\w+|operation_cost|list_limits|fragments"
    r"|json_parsing)\.py |/resolvers/transport/request_body\.py decode_json|/graphql/(language|validation)/",
    "encode": r"/resolvers/transport/\w+\.py _?encode\w*",
    "decode records": r"/datasources/redis/read_through\.py _(sort|decode)|/lenient_read\w+\.py |/domain/records/"
    r"|/bson/__init__\.py ",
}
# Of all other frames the innermost that is named here decides.
_INNERMOST = {
    "Redis": r"/redis/|/hiredis/",
    "MongoDB": r"/pymongo/|/datasources/mongo/",
    "execute, resolve, rules": r"/graphql/|/strawberry/|/engine/|/schema/|/domain/|/datasources/|/resolvers/\w+\.py "
    r"|/resolvers/transport/(execution|executable_schema|admission|bad_tokens|errors|hooks)\.py ",
    REST: r"/uvicorn/|/starlette/|/resolvers/transport/|/app\.py ",
}
STEPS = (*_WHOLE, *_INNERMOST)

_whole = {step: re.compile(pattern) for step, pattern in _WHOLE.items()}
_innermost = {step: re.compile(pattern) for step, pattern in _INNERMOST.items()}


def sampled_launcher(folder: Path) -> tuple[str, str]:
    """How an API process is launched, to be sampled: it writes its samples into this folder."""
    return str(Path(__file__).with_name("sampled_process.py")), str(folder)


async def request_steps(
    title: str, servers: Mapping[str, MeasuredProcess], ways: Mapping[str, Way], repeat: int, folder: Path
) -> Table:
    """Microseconds of a request that each step takes, of servers that `sampled_launcher(folder)` has launched."""
    counts = {name: Counter[str]() for name in servers}
    costs: dict[str, list[float]] = {name: [] for name in servers}
    for number in rounds(repeat + 1, float("inf")):
        for name, server in servers.items():
            trial, *_ = await ways[name](TRIAL)
            server.process.send_signal(signal.SIGUSR1)
            cost, *_ = await ways[name](max(TRIAL, round(STRETCH / trial)))
            steps = await _written(server, folder)
            if number:
                counts[name] += steps
                costs[name].append(cost)
    table = Table(f"{title}: microseconds of a request", ["step", *servers])
    for step in STEPS:
        shares = [counts[name][step] / counts[name].total() * median(costs[name]) for name in servers]
        table.rows.append([step, *(f"{1e6 * share:,.0f}" for share in shares)])
    table.rows.append(["all", *(f"{1e6 * median(each):,.0f}" for each in costs.values())])
    table.rows.append(["samples", *(f"{each.total():,}" for each in counts.values())])
    return table


async def _written(server: MeasuredProcess, folder: Path) -> Counter[str]:
    """Ends the samples of a server, and counts them by step."""
    file = folder / f"{server.process.pid}.json"
    file.unlink(missing_ok=True)
    server.process.send_signal(signal.SIGUSR2)

    async def is_written() -> bool:
        return file.exists()

    await eventually(is_written)
    counts = Counter[str]()
    for stack, count in json.loads(file.read_bytes()):
        counts[step_of(stack)] += count
    return counts


def step_of(stack: Iterable[Sequence[str]]) -> str:
    """The step of a stack of files and functions, which is given innermost first."""
    frames = [f"{file} {function}" for file, function in stack]
    for step, pattern in _whole.items():
        if any(map(pattern.search, frames)):
            return step
    return next((step for frame in frames for step, pattern in _innermost.items() if pattern.search(frame)), REST)
