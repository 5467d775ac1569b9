"""Equal subscriptions of one account: one of them reads and executes each event, and all are sent its answer.

An audience are the subscriptions that wait at the same place of the same log, for the same fields. Its leader waits for
news, reads, and executes. The others only wait: they are sent the leader's answers, encoded once, and keep count of
their position. Who cannot be sent an answer at once, since its client reads slowly, leaves and reads by itself what it
has missed; so nothing is queued. When the leader ends, the one that has read least leads.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import Any, Self

import orjson
from graphql import FieldNode, FragmentDefinitionNode, Node, VariableNode

from resolvers.transport.admission import Client
from resolvers.transport.answer import Answer
from resolvers.transport.documents import Operation

SENT_AT_ONCE = 100  # then others have their turn

SendNow = Callable[[Answer, bytes], bool]
"""Sends an answer, given with its JSON, if the client takes it without a wait; whether it was sent."""


class Reader:
    """A subscription that reads a log of numbered events, and where it is: all up to `position` is read."""

    __slots__ = ("_audiences", "_checked", "_key", "_send_now", "position")

    def __init__(
        self, audiences: "Audiences | None" = None, key: tuple[Any, ...] = (), send_now: SendNow | None = None
    ) -> None:
        self._audiences = audiences
        self._key = key
        self._send_now = send_now
        self._checked = 0  # what was sent up to here is read, or is no longer in the log
        self.position = 0

    @classmethod
    def of(cls, topic: str, position: int) -> Self:
        """The subscription that is running, as a reader of the log of this topic.

        Its resolver sets `position` before it yields an event, and calls `wait` when it has read all there is.
        """
        reader = _RUNNING.get()
        if not isinstance(reader, cls):
            reader = cls()
        reader._key = (topic, *reader._key)
        reader.position = position
        return reader

    async def wait(self, news: Callable[[], Awaitable[object]]) -> None:
        """Waits until there may be something after `position`, which may have grown: the client has what is before it.

        `news` waits for news of the log. It is called only where no other subscription waits for this one.
        """
        if self._audiences is None:
            await news()
            return
        audience = self._audiences.joined(self._key, self)
        if audience.leader is self:
            await news()
            return
        self.position = max(self.position, self._checked)
        if self.position < audience.position:
            self._checked = audience.position
            return
        self._key = audience.key
        await audience.wait(self)

    async def send(self, answer: Answer) -> bool:
        """Sends the answer to the event at `position` to all that wait with this reader, and to its own client.

        False if its client must be sent it in another way.
        """
        audience = None if self._audiences is None else self._audiences.led_by(self._key, self)
        if audience is None or not answer.executed:
            return False
        try:
            encoded = orjson.dumps(answer.payload)
        except TypeError:
            return False
        await audience.send(answer, encoded)
        if self.send_now(answer, encoded):
            return True
        audience.hand_over()
        return False

    def send_now(self, answer: Answer, encoded: bytes) -> bool:
        """Sends an answer to its client, if that takes it without a wait; whether it was sent."""
        return self._send_now is not None and self._send_now(answer, encoded)

    def stop(self) -> None:
        """Leaves its audience. Safe to repeat."""
        audience = None if self._audiences is None else self._audiences.get(self._key)
        if audience is not None:
            audience.leave(self)


_RUNNING: ContextVar[Reader | None] = ContextVar("reader", default=None)


class Audience:
    """Readers that are sent the same. While it has any, one of them is its leader."""

    __slots__ = ("_audiences", "_waiting", "key", "leader", "position")

    def __init__(self, audiences: "Audiences", key: tuple[Any, ...], leader: Reader) -> None:
        self._audiences = audiences
        self.key = key
        self.leader = leader
        self.position = leader.position  # of the last event that was sent
        self._waiting: dict[Reader, asyncio.Future[None]] | None = None

    async def wait(self, reader: Reader) -> None:
        """Waits until the reader leads, or must read by itself."""
        if self._waiting is None:
            self._waiting = {}
        self._waiting[reader] = asyncio.get_running_loop().create_future()
        await self._waiting[reader]

    async def send(self, answer: Answer, encoded: bytes) -> None:
        """Sends the answer to the leader's event to the others. Cancelled, it has sent it to some."""
        waiting = self._waiting or {}
        self.position = position = self.leader.position
        for number, reader in enumerate(list(waiting)):
            if number and number % SENT_AT_ONCE == 0:
                await asyncio.sleep(0)
            if reader not in waiting or reader.position >= position:
                continue
            if reader.send_now(answer, encoded):
                reader.position = position
            else:
                _wake(waiting.pop(reader))

    def leave(self, reader: Reader) -> None:
        if reader is self.leader:
            self.hand_over()
        elif self._waiting is not None:
            self._waiting.pop(reader, None)

    def hand_over(self) -> None:
        """Makes another reader the leader: the one that has read least, in case not all were sent the last event."""
        if not self._waiting:
            self._audiences.end(self.key)
            return
        self.leader = min(self._waiting, key=lambda reader: reader.position)
        _wake(self._waiting.pop(self.leader))


class Audiences:
    """The audiences of one process."""

    def __init__(self) -> None:
        self._audiences: dict[tuple[Any, ...], Audience] = {}

    def start(self, account: Client, operation: Operation, send_now: SendNow | None) -> Reader | None:
        """The subscription that begins in this task, if its client can be sent answers at once."""
        reader = None
        if send_now is not None:
            key = (account, operation.query, operation.name, _variables_of_events(operation))
            reader = Reader(self, key, send_now)
        _RUNNING.set(reader)
        return reader

    def joined(self, key: tuple[Any, ...], reader: Reader) -> Audience:
        """The audience of a key, which the reader leads if it is the first."""
        audience = self._audiences.get(key)
        if audience is None:
            audience = self._audiences[key] = Audience(self, key, reader)
        return audience

    def led_by(self, key: tuple[Any, ...], reader: Reader) -> Audience | None:
        """The audience that a reader leads."""
        audience = self._audiences.get(key)
        return audience if audience is not None and audience.leader is reader else None

    def get(self, key: tuple[Any, ...]) -> Audience | None:
        return self._audiences.get(key)

    def end(self, key: tuple[Any, ...]) -> None:
        self._audiences.pop(key, None)


def _wake(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


def _variables_of_events(operation: Operation) -> str:
    """The variables that the answers to a subscription's events depend on: not those of its own arguments."""
    if not operation.variables:
        return ""
    parts: list[Any] = [each for each in operation.document.definitions if isinstance(each, FragmentDefinitionNode)]
    for selection in operation.node.selection_set.selections:
        if isinstance(selection, FieldNode):
            parts += (selection.directives, selection.selection_set)
        else:
            parts.append(selection)
    names = set(_variables_in(parts))
    return repr({name: value for name, value in operation.variables.items() if name in names})


def _variables_in(parts: list[Any]) -> Iterator[str]:
    todo = list(parts)
    while todo:
        each = todo.pop()
        if isinstance(each, VariableNode):
            yield each.name.value
        elif isinstance(each, Node):
            todo += (getattr(each, key) for key in each.keys)
        elif isinstance(each, list | tuple):
            todo += each
