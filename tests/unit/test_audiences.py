"""Subscriptions that share what one of them reads: each client gets each event once, in order, whatever happens."""

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from resolvers.transport import audiences
from resolvers.transport.answer import Answer
from resolvers.transport.documents import GraphQLRequest
from resolvers.transport.execution import OperationExecutor
from resolvers.transport.hooks import Hooks
from tests.support.toy.schema import schema
from tests.support.toy.server import until
from tests.support.toy.world import Context, Outage, Watch, World

LOG = 'subscription($after:Int!,$text:String=""){log(after:$after){number echo(text:$text)}}'


class Clients:
    """Subscriptions to the toy's log."""

    def __init__(self) -> None:
        self.world = World()
        self.started: list[Client] = []

        async def authenticate(token: str | None) -> str | None:
            return token

        hooks = Hooks(
            authenticate=authenticate,
            make_context=lambda identity, request_id, address: Context(self.world, identity, request_id, address),
            identity_of=lambda context: context.identity,
            watch=lambda identity, ended: Watch(self.world, identity, ended),
            is_outage=lambda error: isinstance(error, Outage),
            account=lambda identity: identity,
        )
        self.executor = OperationExecutor(schema, hooks)

    def client(self, after: int = 0, identity: str = "ana", **variables: Any) -> "Client":
        self.started.append(Client(self, identity, {"after": after, **variables}))
        return self.started[-1]


class Client:
    """One client. While it is slow it takes nothing at once, and what it is sent waits."""

    def __init__(self, clients: Clients, identity: str, variables: dict[str, Any]) -> None:
        self.after = variables["after"]
        self.numbers: list[int] = []
        self.echoes: list[str] = []
        self.waited = 0  # events that were not sent at once
        self._takes = asyncio.Event()
        self._takes.set()
        operation = clients.executor.operation(GraphQLRequest(LOG, None, variables))
        subscribing = clients.executor.subscribe(operation, identity, "test", send_now=self._send_now)
        self._task = asyncio.create_task(self._receive(subscribing))

    async def _receive(self, answers: Any) -> None:
        try:
            async for answer in answers:
                await self._takes.wait()
                self.waited += 1
                self._take(answer)
        finally:
            await answers.aclose()

    def _send_now(self, answer: Answer, _encoded: bytes) -> bool:
        if self._takes.is_set():
            self._take(answer)
        return self._takes.is_set()

    def _take(self, answer: Answer) -> None:
        self.numbers.append(answer.payload["data"]["log"]["number"])
        self.echoes.append(answer.payload["data"]["log"]["echo"])

    def set_slow(self, slow: bool) -> None:
        (self._takes.clear if slow else self._takes.set)()

    def has_all(self, numbers: list[int]) -> bool:
        return {number for number in numbers if number > self.after} <= set(self.numbers)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    clients = Clients()
    yield clients
    for client in clients.started:
        await client.stop()
    assert not clients.executor._audiences._audiences


async def quiet() -> None:
    """Waits until nothing more happens by itself."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_an_event_is_executed_once_for_all_that_ask_for_the_same(clients: Clients) -> None:
    clients.world.log.add(1)
    ours = [clients.client(after) for after in (0, 1, 1, 0)]
    await quiet()
    clients.world.executed.clear()
    clients.world.log.add(2)
    await quiet()
    assert [client.numbers for client in ours] == [[1, 2], [2], [2], [1, 2]]
    assert clients.world.executed == [("ana", 2)]


async def test_others_get_answers_of_their_own(clients: Clients) -> None:
    ana, bob = clients.client(), clients.client(identity="bob")
    asks_more = clients.client(text="!")
    await quiet()
    clients.world.log.add(1)
    await quiet()
    assert [client.echoes for client in (ana, bob, asks_more)] == [["ana"], ["bob"], ["ana!"]]


async def test_a_client_that_takes_nothing_keeps_nobody_waiting_and_misses_nothing(clients: Clients) -> None:
    ours = [clients.client() for _ in range(3)]
    await quiet()
    for number, slow in ((1, ours[0]), (2, ours[1])):  # the leader, and one of the others
        slow.set_slow(True)
        clients.world.log.add(number)
        await quiet()
    assert [client.numbers for client in ours] == [[], [1], [1, 2]]
    for slow in ours[:2]:
        slow.set_slow(False)
    await quiet()
    clients.world.log.add(3)
    await quiet()
    assert [client.numbers for client in ours] == [[1, 2, 3]] * 3
    assert [client.waited for client in ours] == [2, 1, 0]
    assert clients.world.executed.count(("ana", 3)) == 1  # they are together again


async def test_when_the_leader_goes_another_reads_on(clients: Clients) -> None:
    first, *others = [clients.client() for _ in range(3)]
    await quiet()
    clients.world.log.add(1)
    await first.stop()
    await quiet()
    clients.world.log.add(2)
    await quiet()
    assert [client.numbers for client in others] == [[1, 2]] * 2


async def test_when_the_leader_goes_while_it_sends_an_event_nobody_misses_it(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audiences, "SENT_AT_ONCE", 1)
    first, *others = [clients.client() for _ in range(5)]
    await quiet()
    clients.world.log.add(1)
    while not others[0].numbers:
        await asyncio.sleep(0)
    assert others[-1].numbers == []
    await first.stop()
    await quiet()
    clients.world.log.add(2)
    await quiet()
    assert [client.numbers for client in others] == [[1, 2]] * 4


async def test_what_is_gone_from_the_log_is_not_looked_for_again_and_again(clients: Clients) -> None:
    clients.client()
    await quiet()
    clients.world.log.add(1)
    await quiet()
    clients.world.log.numbers.clear()
    late = clients.client()
    await quiet()
    reads = clients.world.log.reads
    await quiet()
    assert clients.world.log.reads == reads
    clients.world.log.add(2)
    await quiet()
    assert late.numbers == [2]
    assert clients.world.executed.count(("ana", 2)) == 1


@pytest.mark.parametrize("seed", range(15))
async def test_whatever_happens_each_client_gets_each_event_once_and_in_order(
    clients: Clients, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audiences, "SENT_AT_ONCE", 1)  # so that everything happens while an event is being sent
    rng, log, running, last = Random(seed), clients.world.log, list[Client](), 0
    for _ in range(300):
        match rng.choice(("add", "add", "remove", "start", "stop", "slow", "quick", "quick")):
            case "add":
                last += rng.randint(1, 2)
                log.add(last)
            case "remove" if log.numbers:
                log.numbers.remove(rng.choice(log.numbers))
            case "start" if len(running) < 8:
                running.append(clients.client(rng.randint(0, last)))
            case "stop" if running:
                stopped = running.pop(rng.randrange(len(running)))
                await stopped.stop()
                assert stopped.numbers == sorted(set(stopped.numbers))
            case "slow" | "quick" as speed if running:
                rng.choice(running).set_slow(speed == "slow")
        for _ in range(rng.randint(0, 6)):
            await asyncio.sleep(0)
    for client in running:
        client.set_slow(False)
    await until(lambda: all(client.has_all(log.numbers) for client in running))
    for client in running:
        assert client.numbers == sorted(set(client.numbers))
        await client.stop()
    assert not clients.executor._audiences._audiences
