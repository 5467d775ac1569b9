"""Turns at a scarce resource that strangers may ask for, given first to who has asked for least lately.

Each request names the keys it counts for: an account, an address. Who guesses the passwords of many accounts is known
by the address, who guesses one account's from many addresses by the account. Everybody else goes before them.
"""

import asyncio
import math
import random
import time
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

MAX_KEYS = 10_000
HALF_LIFE_SECONDS = 60.0  # of what was asked for
REFUSED_WEIGHT = 0.25  # a refused request counts too, so that asking again at once is not free


class NoTurnError(Exception):
    """Too many requests wait, and none of them has asked for more."""


@dataclass(slots=True, eq=False)
class Turn:
    """One request's turn; `called` becomes True when it begins, False when the request is refused."""

    keys: Sequence[Hashable]
    called: asyncio.Future[bool]


class FairTurns:
    """At most `at_once` turns at a time, for at most `max_waiting` requests, in the order of what their keys asked for.

    When too many wait, one of those that asked for most is refused, at random among equals.
    """

    def __init__(self, at_once: int, max_waiting: int) -> None:
        self._free = at_once
        self._max_waiting = max_waiting
        self._waiting: list[Turn] = []
        self._asked: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    async def begin(self, keys: Sequence[Hashable]) -> Turn:
        """Returns when it is the request's turn, which `end` ends. Raises NoTurnError, at once or while it waits."""
        turn = Turn(keys, asyncio.get_running_loop().create_future())
        self._count(keys, 1.0)
        self._waiting.append(turn)
        self._call()
        if len(self._waiting) > self._max_waiting:
            self._refuse_one()
        try:
            is_called = await turn.called
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif not turn.called.cancelled() and turn.called.result():  # called at the moment of the cancellation
                self.end(turn)
            raise
        if not is_called:
            self._count(keys, REFUSED_WEIGHT - 1.0)
            raise NoTurnError
        return turn

    def end(self, turn: Turn, *, uncount: bool = False) -> None:
        """Gives the turn back; with `uncount` the request counts for nothing."""
        if uncount:
            self._count(turn.keys, -1.0)
        self._free += 1
        self._call()

    def _call(self) -> None:
        """Gives the free turns to those that asked for least; of equals, to the one that waits longest."""
        while self._free and self._waiting:
            turn = min(self._waiting, key=self._rank)
            self._waiting.remove(turn)
            if not turn.called.done():  # else it was cancelled
                self._free -= 1
                turn.called.set_result(True)

    def _refuse_one(self) -> None:
        ranks = [self._rank(turn) for turn in self._waiting]
        highest = max(ranks)
        candidates = [turn for turn, rank in zip(self._waiting, ranks, strict=True) if rank == highest]
        turn = random.choice(candidates)  # noqa: S311
        self._waiting.remove(turn)
        if not turn.called.done():
            turn.called.set_result(False)

    def _rank(self, turn: Turn) -> tuple[float, float]:
        """What was asked for on the busiest of its keys, then on all of them, in quarters."""
        asked = [round(self._asked_lately(key) * 4) for key in turn.keys] or [0]
        return max(asked), sum(asked)

    def _asked_lately(self, key: Hashable) -> float:
        count, at = self._asked.get(key, (0.0, 0.0))
        return count * math.pow(0.5, (time.monotonic() - at) / HALF_LIFE_SECONDS)

    def _count(self, keys: Sequence[Hashable], amount: float) -> None:
        for key in keys:
            self._asked[key] = max(0.0, self._asked_lately(key) + amount), time.monotonic()
            self._asked.move_to_end(key)
        while len(self._asked) > MAX_KEYS:
            self._asked.popitem(last=False)
