"""What a request takes with one API process and with two behind one port: `python -m benchmarks.processes`."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import psutil
import typer

from benchmarks.lib.documents import users
from benchmarks.lib.http_callers import Caller, request_of
from benchmarks.lib.report import Table, median, rounds, show, times
from benchmarks.lib.servers import finish, servers, stores
from config import Settings
from datasources.mongo import clock
from deploy.local.ports import LOOPBACK, listen
from deploy.local.process import stop_all
from deploy.local.services import ApiProcesses
from tests.support.api_process import cpu_seconds
from tests.support.waiting import eventually

LONGEST = 900.0
BUDGET = 300.0  # seconds of rounds
MOST = 2
STOP_SECONDS = 30.0
CONNECTIONS = (2, 10, 20, 64, 128)
QUERY = "{ viewer { user { id username } } }"


class Spent(NamedTuple):
    """Of one round: CPU milliseconds a request of all processes, and the smallest share of requests, in percent."""

    cpu: float
    smallest: float


class Group:
    """Some API processes behind one port."""

    def __init__(self, api: ApiProcesses) -> None:
        self._api = api
        self.port = api.places[0].settings.port
        self.spent: dict[int, list[Spent]] = {}

    @property
    def _processes(self) -> list[psutil.Process]:
        return [psutil.Process(process.pid) for process in self._api.running]

    def _clients(self, process: psutil.Process) -> int:
        return sum(1 for each in process.net_connections("tcp") if each.raddr and each.laddr.port == self.port)

    async def await_accepting(self) -> None:
        """Waits until every process accepts."""

        async def accept() -> bool:
            return all(self._api.sign_of_life(number) for number in range(len(self._api.places)))

        await eventually(accept, seconds=STOP_SECONDS)

    async def run(self, request: bytes, connections: int, count: int, *, keep: bool) -> None:
        """Sends `count` requests, as many over each of so many connections, which are opened at once and stay open."""
        opened = await asyncio.gather(*(asyncio.open_connection(LOOPBACK, self.port) for _ in range(connections)))
        callers = [Caller(*connection) for connection in opened]

        async def ask(caller: Caller, times: int) -> None:
            for _ in range(times):
                if (await caller.ask(request)).outcome != "data":
                    raise RuntimeError("refused")

        await asyncio.gather(*(ask(caller, 1) for caller in callers))
        cpu = sum(map(cpu_seconds, self._processes))
        await asyncio.gather(*(ask(caller, count // connections) for caller in callers))
        cpu = sum(map(cpu_seconds, self._processes)) - cpu
        shares = [self._clients(process) for process in self._processes]
        for caller in callers:
            caller.close()
        if keep:
            spent = Spent(cpu / (count // connections * connections) * 1000, min(shares) / connections * 100)
            self.spent.setdefault(connections, []).append(spent)


def main(
    requests: Annotated[int, typer.Option(min=10, help="Requests of a round.")] = 2_000,
    limit: Annotated[int, typer.Option("--rounds", min=1, help="Rounds.")] = 9,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Sends requests over few and many connections to one process and to two, in turns."""
    with servers() as settings, contextlib.ExitStack() as stack:
        groups = [stack.enter_context(_group(settings, number)) for number in range(1, MOST + 1)]
        table = finish(_measure(settings, groups, requests, limit), LONGEST)
    show([table], ["uvicorn", "uvloop"], markdown=markdown)


@contextlib.contextmanager
def _group(settings: Settings, number: int) -> Iterator[Group]:
    with listen(LOOPBACK, 0) as listener:
        own = settings.model_copy(update={"host": LOOPBACK, "port": listener.getsockname()[1], "allow_root": True})
        api = ApiProcesses.create(number, own, listener.fileno())
        try:
            api.start()
            yield Group(api)
        finally:
            stop_all(api.running, STOP_SECONDS)


async def _measure(settings: Settings, groups: list[Group], requests: int, limit: int) -> Table:
    async with stores(settings) as sources:
        (user_id,) = await users(sources, 1)
        _, tokens = await sources.sessions.open(user_id, None, clock.now())
        request = request_of(QUERY, tokens.access_token)
        for group in groups:
            await group.await_accepting()
        for number in rounds(limit + 1, BUDGET):
            for connections in CONNECTIONS:
                for group in groups:
                    await group.run(request, connections, requests, keep=number > 0)
    one, two = (group.spent for group in groups)
    table = Table(
        f"{QUERY}, as many over each connection",
        [
            "connections",
            "CPU ms, one process",
            "two",
            "two / one",
            "two / one with half",
            "smaller share, median",
            "least",
        ],
    )
    for connections, spent in two.items():
        cpu, shares = [each.cpu for each in spent], [each.smallest for each in spent]
        alone = [each.cpu for each in one[connections]]
        half = [each.cpu for each in one.get(connections // 2, [])]
        compared = [times(cpu, alone), times(cpu, half) if half else ""]
        row = [str(connections), f"{median(alone):.2f}", f"{median(cpu):.2f}", *compared]
        table.rows.append([*row, f"{median(shares):.0f} %", f"{min(shares):.0f} %"])
    return table


if __name__ == "__main__":
    typer.run(main)
