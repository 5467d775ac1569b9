"""Turns at something scarce that strangers may ask for: given first to whoever asked least for it lately.

Each request names what it is to be counted to: an account, an address. Who guesses passwords of many accounts is told
by the address, who guesses one account's from many addresses by the account, and whoever else comes goes before them.
"""

import asyncio
import math
import random
import time
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

KEYS_MAX = 10_000
HALVED_AFTER = 60.0  # seconds, after which what was asked for counts half
REFUSED = 0.25  # what being turned away counts: to ask again at once is not for nothing


class NoTurnError(Exception):
    """Too many wait, and none of them has asked for more."""


@dataclass(slots=True, eq=False)
class Turn:
    """One request's turn, and whether it was called or sent away."""

    keys: Sequence[Hashable]
    called: asyncio.Future[bool]


class FairTurns:
    """At most `at_once` at a time; at most `waiting` wait, in the order of how much was asked for on their keys.

    When too many wait, one of those who asked for most is sent away, by lot among equals.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._free = at_once
        self._most = waiting
        self._waiting: list[Turn] = []
        self._asked: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    async def begin(self, keys: Sequence[Hashable]) -> Turn:
        """Returns when it is the request's turn, which `end` ends. Raises NoTurnError, at once or while it waits."""
        turn = Turn(keys, asyncio.get_running_loop().create_future())
        self._count(keys, 1.0)
        self._waiting.append(turn)
        self._call()
        if len(self._waiting) > self._most:
            self._send_one_away()
        try:
            is_called = await turn.called
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif not turn.called.cancelled() and turn.called.result():  # called at the moment when it gave up
                self.end(turn)
            raise
        if not is_called:
            self._count(keys, REFUSED - 1.0)
            raise NoTurnError
        return turn

    def end(self, turn: Turn, *, spare: bool = False) -> None:
        """Gives the turn back; with `spare`, what was asked for counts for nothing."""
        if spare:
            self._count(turn.keys, -1.0)
        self._free += 1
        self._call()

    def _call(self) -> None:
        """Gives the free turns to those who asked for least; of equals, to who waits longest."""
        while self._free and self._waiting:
            turn = min(self._waiting, key=self._rank)
            self._waiting.remove(turn)
            if not turn.called.done():  # else it has given up
                self._free -= 1
                turn.called.set_result(True)

    def _send_one_away(self) -> None:
        ranks = [self._rank(each) for each in self._waiting]
        most = max(ranks)
        turn = random.choice([each for each, rank in zip(self._waiting, ranks, strict=True) if rank == most])  # noqa: S311
        self._waiting.remove(turn)
        if not turn.called.done():
            turn.called.set_result(False)

    def _rank(self, turn: Turn) -> tuple[float, float]:
        """The most that was asked for on one of its keys, then on all of them, in quarters."""
        asked = [round(self._so_far(key) * 4) for key in turn.keys] or [0]
        return max(asked), sum(asked)

    def _so_far(self, key: Hashable) -> float:
        count, at = self._asked.get(key, (0.0, 0.0))
        return count * math.pow(0.5, (time.monotonic() - at) / HALVED_AFTER)

    def _count(self, keys: Sequence[Hashable], amount: float) -> None:
        for key in keys:
            self._asked[key] = max(0.0, self._so_far(key) + amount), time.monotonic()
            self._asked.move_to_end(key)
        while len(self._asked) > KEYS_MAX:
            self._asked.popitem(last=False)
