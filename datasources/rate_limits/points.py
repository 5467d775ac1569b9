"""The general points, which every operation costs: of its account and its session's token, and of its address.

A process takes points in blocks and counts them down by itself, so most operations ask nobody. What an operation did
not use goes back to the block; a block that is not used for some seconds goes back to its bucket.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

import structlog
from bson import ObjectId

from datasources.rate_limits.buckets import Buckets
from datasources.rate_limits.local_buckets import Want
from datasources.telemetry.metrics import Tally
from domain.rate_limits import (
    MEMBER,
    OPERATION_POINTS,
    POINTS,
    POINTS_OF_ADDRESS,
    POINTS_OF_STRANGER,
    POINTS_OF_TOKEN,
    Limit,
    RateLimited,
    RateLimits,
    Throttle,
)

log = structlog.get_logger(__name__)

BLOCKS = 10  # a block is this part of a limit, and at most a quarter of what is left
IDLE_SECONDS = 5.0
CLIENTS_MAX = 10_000  # whose blocks are kept; an older one goes back to its bucket

REFUSED = Tally("photogram_rate_limited", "What was refused because a limit was used up, by the limit.", "limit")

RoleOf = Callable[[ObjectId], Awaitable[str]]


class _Block:
    """Points of one bucket that this process has taken, and how full the bucket was then."""

    __slots__ = ("backlog", "held", "is_filling", "key", "limit", "name", "read_at", "used_at")

    def __init__(self, name: str, subject: object, limit: Limit) -> None:
        self.name = name
        self.key = f"{name}:{subject}"
        self.limit = limit
        self.held = 0
        self.is_filling = False  # somebody takes a block just now: concurrent operations take what they need alone
        self.backlog = 0.0
        self.read_at = self.used_at = time.monotonic()

    def left(self) -> int:
        """What is in the bucket, if nobody else has taken from it since."""
        return self.limit.available(self.backlog - (time.monotonic() - self.read_at))

    def throttle(self) -> Throttle:
        maximum = self.limit.maximum
        return Throttle(maximum, min(maximum, max(0, self.held) + self.left()), self.limit.rate)


class Charge:
    """The points that one operation has taken."""

    __slots__ = ("_blocks", "_own")

    def __init__(self, blocks: Sequence[_Block], own: int) -> None:
        self._blocks = blocks
        self._own = own  # how many of them, from the first, are the client's alone

    def give_back(self, points: int) -> None:
        """Gives back what the operation turned out not to need."""
        for block in self._blocks:
            block.held += points

    def throttle(self) -> Throttle | None:
        """The client's points now: those of its account or of its token, whichever are fewer. None without limits."""
        return min((block.throttle() for block in self._blocks[: self._own]), key=_available, default=None)


FREE = Charge((), 0)


class Points:
    """Takes the points of operations; one for a process."""

    def __init__(self, buckets: Buckets, limits: RateLimits, role_of: RoleOf) -> None:
        self._buckets = buckets
        self._limits = limits
        self._role_of = role_of
        self._blocks: OrderedDict[tuple[str, object], _Block] = OrderedDict()  # the one used last is last
        self._surplus: list[_Block] = []

    async def take(
        self,
        account_id: ObjectId | None,
        token_id: ObjectId | None,
        address: str,
        cost: int,
        *,
        device: str | None = None,
    ) -> Charge:
        """Takes the points of an operation of this cost. Raises RateLimited.

        Without an account it counts to the address; or to a `device`, within the points of the address that are for
        whoever is known.
        """
        if not self._limits.is_on:
            return FREE
        points = OPERATION_POINTS + cost
        if account_id is None and device is None:
            blocks, own = [self._block(POINTS_OF_STRANGER, address)], 1
        elif account_id is None:
            blocks, own = [self._block(POINTS_OF_STRANGER, device), self._block(POINTS_OF_ADDRESS, address)], 1
        else:
            own = 2
            blocks = [
                self._block(POINTS, account_id),
                self._block(POINTS_OF_TOKEN, token_id),
                self._block(POINTS_OF_ADDRESS, address),
            ]
        if any([block.held < points for block in blocks]):  # noqa: C419  a list is faster here
            await self._take_and_fill(account_id, blocks, points, own)
        else:
            for block in blocks:
                block.held -= points
        now = time.monotonic()
        for block in blocks:
            block.used_at = now
        return Charge(blocks, own)

    def throttle(self, account_id: ObjectId, token_id: ObjectId | None) -> Throttle | None:
        """The points of an account, or of a token of it if these are fewer. None without limits."""
        if not self._limits.is_on:
            return None
        return Charge([self._block(POINTS, account_id), self._block(POINTS_OF_TOKEN, token_id)], 2).throttle()

    async def keep_returning(self) -> None:
        """Gives back the blocks of clients that have left, until cancelled."""
        while True:
            await asyncio.sleep(IDLE_SECONDS)
            await self.return_idle(time.monotonic() - IDLE_SECONDS)

    async def return_idle(self, since: float) -> None:
        """Gives back the blocks that were not used since then."""
        back, self._surplus = self._surplus, []
        while self._blocks and next(iter(self._blocks.values())).used_at < since:
            back.append(self._blocks.popitem(last=False)[1])
        held = [(block, block.held) for block in back if block.held > 0]
        for block, _ in held:
            block.held = 0
        await self._buckets.give_back([Want(block.key, block.limit, -count, -count) for block, count in held])

    def _block(self, name: str, subject: object) -> _Block:
        block = self._blocks.get((name, subject))
        if block is None:
            block = self._blocks[name, subject] = _Block(name, subject, self._limits.of(name))
            if len(self._blocks) > CLIENTS_MAX:
                _, oldest = self._blocks.popitem(last=False)
                if len(self._surplus) < CLIENTS_MAX:  # else time restores its points
                    self._surplus.append(oldest)
        self._blocks.move_to_end((name, subject))
        return block

    async def _take_and_fill(
        self, account_id: ObjectId | None, blocks: Sequence[_Block], points: int, own: int
    ) -> None:
        """Takes the points of an operation for which a block holds too few, and more to hold.

        Raises RateLimited, and takes nothing, if a bucket has too few. What the blocks hold is taken before anything is
        waited for, so that concurrent operations do not count on the same points.
        """
        reserved = [min(block.held, points) for block in blocks]
        for block, held in zip(blocks, reserved, strict=True):
            block.held -= held
        missing = [(block, points - held) for block, held in zip(blocks, reserved, strict=True) if held < points]
        short: Sequence[tuple[_Block, int]] = missing
        try:
            short = await self._fill(account_id, missing)
        finally:
            if short:
                for block, held in zip(blocks, reserved, strict=True):
                    block.held += held
        if short:
            raise self._refusal(short, Charge(blocks, own))

    async def _fill(
        self, account_id: ObjectId | None, missing: Sequence[tuple[_Block, int]]
    ) -> Sequence[tuple[_Block, int]]:
        """Takes what is missing from the buckets, and more to hold. Nothing if some are short of it: returns those."""
        role = MEMBER if account_id is None else await self._role_of(account_id)
        wants, filling = [], [block for block, _ in missing if not block.is_filling]
        for block, least in missing:
            block.limit = self._limits.of(block.name, role)
            more = 0 if block.is_filling else min(block.limit.maximum // BLOCKS, block.left() // 4)
            wants.append(Want(block.key, block.limit, least, least + more))
        for block in filling:
            block.is_filling = True
        try:
            answers = await self._buckets.take(wants)
        finally:
            for block in filling:
                block.is_filling = False
        now = time.monotonic()
        for (block, _), taken in zip(missing, answers, strict=True):
            block.backlog, block.read_at = taken.backlog, now
        short = [each for each, taken in zip(missing, answers, strict=True) if taken.is_short]
        if not short:
            for (block, least), taken in zip(missing, answers, strict=True):
                block.held += taken.number - least
        return short

    def _refusal(self, short: Sequence[tuple[_Block, int]], charge: Charge) -> RateLimited:
        for block, _ in short:
            REFUSED.add(block.name)
        now = time.monotonic()
        seconds = max(block.limit.wait(block.backlog - (now - block.read_at), least) for block, least in short)
        return RateLimited(seconds, charge.throttle())


def _available(throttle: Throttle) -> int:
    return throttle.available
