"""Admission control: how much one process does at once, which operations wait, and which are refused.

The limit is on cost, not on the number of operations: cost is what takes memory and processor time. Operations wait in
the order of fair queueing: an operation waits for its own client's earlier ones, so a client that sends two hundred
waits for itself, and the next client waits for one of them. The waiting time of an operation is estimated when it
arrives, from the cost before it and the measured rate of the process. If it is too long the operation is refused at
once, which costs nothing.

Cheap operations have a lane of their own: they pass while costly ones wait.
"""

import asyncio
import heapq
import random
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from domain.errors import RequestError, RequestErrorCode

OVERHEAD = 50  # cost of an operation besides its fields: its request, its session, a read or two
CHEAP_MAX = 1_000  # cost of an operation in the cheap lane: a post with its comments, any mutation
CHEAP_SHARE = 0.5  # capacity of the cheap lane, as a share of the costly lane's; it is added to that
WAITING_MAX = 1_000  # operations in one lane, whatever they cost: each holds its request
PATIENCE = 5.0  # times the longest wait, after which an operation that still waits is refused after all
MEMORY = 2.0  # seconds of waiting after which an earlier measurement of the rate counts half
RATE = 400_000.0  # cost a second, until it is measured; high, for pages are seldom full
KNOWN_MAX = 10_000  # tokens whose account is remembered

Client = Hashable


class Busy(RequestError):
    """This process is overloaded at the moment; nothing was done."""

    def __init__(self, seconds: float) -> None:
        """`seconds` is when a retry may succeed."""
        message = "Too much is asked of the service at the moment; nothing was done. Try again in a moment."
        super().__init__(RequestErrorCode.BUSY, message, retry_after_ms=round(seconds * 1000))


@dataclass(slots=True, order=True)
class _Waiter:
    start: float
    number: int
    client: Client = field(compare=False)
    cost: float = field(compare=False)
    turn: asyncio.Future[None] = field(compare=False)


class Lane:
    """Admits operations while the running ones cost at most `capacity`, or nothing runs. Others wait in fair order."""

    def __init__(self, capacity: float, longest_wait: float) -> None:
        self.capacity = capacity
        self._longest_wait = longest_wait
        self._running = 0.0
        self._waiting: list[_Waiter] = []
        self._number = 0
        self._now = 0.0  # virtual time: the cost that was admitted for each active client
        self._ends: dict[Client, float] = {}  # the virtual time when all that a client asked for is admitted
        self._prune_at = WAITING_MAX
        self._operations: Counter[Client] = Counter()  # running and waiting ones
        self._done, self._seconds, self._since = RATE * MEMORY, MEMORY, 0.0
        self.refused, self.waits, self.waited = 0, 0, 0.0  # the last in seconds, of all operations together

    @property
    def running(self) -> float:
        """The cost of what runs."""
        return self._running

    @property
    def waiting(self) -> int:
        """How many operations wait."""
        return len(self._waiting)

    def admitted(self, client: Client, cost: float, *, patient: bool = False) -> "Place":
        """Runs the block when its turn comes. Raises Busy, if possible at once; never if it is `patient`."""
        return Place(self, client, cost, patient=patient)

    async def _take(self, client: Client, cost: float, *, patient: bool) -> None:
        start = max(self._now, self._ends.get(client, 0.0))
        if self._waiting or not self._fits(cost):
            await self._wait(client, start, cost, patient=patient)
        else:
            self._enter(client, start, cost)
            self._admit(start, cost)

    async def _wait(self, client: Client, start: float, cost: float, *, patient: bool) -> None:
        if not patient:
            self._refuse_if_too_long(start, cost)
        if not self._waiting:
            self._since = time.monotonic()
        self._enter(client, start, cost)
        self._number += 1
        waiter = _Waiter(start, self._number, client, cost, asyncio.get_running_loop().create_future())
        heapq.heappush(self._waiting, waiter)
        began = time.monotonic()
        try:
            async with asyncio.timeout(None if patient else PATIENCE * self._longest_wait):
                await waiter.turn
        except BaseException as error:
            self._withdraw(waiter)
            if isinstance(error, TimeoutError):
                self.refused += 1
                raise Busy(self._longest_wait) from None
            raise
        finally:
            self.waits += 1
            self.waited += time.monotonic() - began

    def _refuse_if_too_long(self, start: float, cost: float) -> None:
        ahead = self._running + sum(waiter.cost for waiter in self._waiting if waiter.start <= start)
        seconds = max(0.0, ahead + cost - self.capacity) * self._seconds / self._done
        # The first one may always wait: the rate, perhaps of a bad moment, is measured only while something waits.
        if self._waiting and (seconds > self._longest_wait or len(self._waiting) >= WAITING_MAX):
            self.refused += 1
            # At random, so that not all clients come back at the same time.
            raise Busy(max(seconds, self._longest_wait) * random.uniform(0.5, 1.5))  # noqa: S311

    def _fits(self, cost: float) -> bool:
        return self._running == 0 or self._running + cost <= self.capacity

    def _enter(self, client: Client, start: float, cost: float) -> None:
        self._operations[client] += 1
        self._ends[client] = start + cost
        if len(self._ends) >= self._prune_at:
            self._ends = {known: end for known, end in self._ends.items() if end > self._now}
            self._prune_at = max(WAITING_MAX, 2 * len(self._ends))

    def _exit(self, client: Client) -> None:
        self._operations[client] -= 1
        if not self._operations[client]:
            del self._operations[client]

    def _admit(self, start: float, cost: float) -> None:
        self._running += cost
        self._now = max(self._now, start) + cost / len(self._operations)

    def _leave(self, client: Client, cost: float) -> None:
        self._exit(client)
        self._running -= cost
        if self._waiting:
            now = time.monotonic()
            seconds, self._since = now - self._since, now
            faded = 0.5 ** (seconds / MEMORY)
            self._done, self._seconds = self._done * faded + cost, self._seconds * faded + seconds
        self._call()

    def _withdraw(self, waiter: _Waiter) -> None:
        if waiter.turn.done() and not waiter.turn.cancelled():  # it was called just when it gave up
            self._leave(waiter.client, waiter.cost)
            return
        self._exit(waiter.client)
        if waiter in self._waiting:
            self._waiting.remove(waiter)
            heapq.heapify(self._waiting)
            self._call()

    def _call(self) -> None:
        while self._waiting and self._fits(self._waiting[0].cost):
            waiter = heapq.heappop(self._waiting)
            if not waiter.turn.done():  # else it gave up
                self._admit(waiter.start, waiter.cost)
                waiter.turn.set_result(None)
        if not self._running:
            self._ends.clear()


class Place:
    """The place of an operation in its lane, which it has while the block runs."""

    __slots__ = ("_patient", "client", "cost", "is_held", "lane")

    def __init__(self, lane: Lane, client: Client, cost: float, *, patient: bool) -> None:
        self.lane = lane
        self.client = client
        self.cost = cost
        self.is_held = False
        self._patient = patient

    async def __aenter__(self) -> None:
        await self.lane._take(self.client, self.cost, patient=self._patient)  # noqa: SLF001  one module
        self.is_held = True
        _PLACE.set(self)

    async def __aexit__(self, *_error: object) -> None:
        _PLACE.set(None)
        if self.is_held:
            self.lane._leave(self.client, self.cost)  # noqa: SLF001


_PLACE: ContextVar[Place | None] = ContextVar("place", default=None)


@asynccontextmanager
async def lend_place() -> AsyncIterator[None]:
    """Gives the operation's place to others while the block waits for something that has a queue of its own.

    Afterwards the operation waits until it has a place again, without a time limit, since half of it is done.
    """
    place = _PLACE.get()
    if place is None or not place.is_held:
        yield
        return
    place.is_held = False
    place.lane._leave(place.client, place.cost)  # noqa: SLF001  one module
    yield  # an operation that fails here has little left to do, and does that without a place
    await place.lane._take(place.client, place.cost, patient=True)  # noqa: SLF001
    place.is_held = True


class Admission:
    """The two lanes of a process.

    `cost_at_once` is the cost of the operations that run at once; an operation that costs more runs alone. An operation
    that would wait for longer than `longest_wait` seconds is refused.
    """

    def __init__(self, cost_at_once: int = 30_000, longest_wait: float = 2.0) -> None:
        self._costly = Lane(cost_at_once, longest_wait)
        self._cheap = Lane(cost_at_once * CHEAP_SHARE, longest_wait)
        self.lanes = {"costly": self._costly, "cheap": self._cheap}

    def admitted(self, client: Client, cost: int, *, patient: bool = False) -> Place:
        """Runs the block of an operation of this cost when its turn comes. Raises Busy; not if it is `patient`."""
        lane = self._cheap if cost <= CHEAP_MAX else self._costly
        return lane.admitted(client, OVERHEAD + cost, patient=patient)


class Clients:
    """The client that a request counts to: an account or, for anonymous ones, an address.

    It is decided before the token is looked up, or an overload would begin there. A token whose account is remembered
    counts to that account; an unknown one, new or made up, to the address.
    """

    def __init__(self) -> None:
        self._accounts: OrderedDict[int, Client] = OrderedDict()

    def of(self, token: str | None, address: str) -> Client:
        return address if token is None else self._accounts.get(hash(token), address)

    def source(self, token: str | None, address: str) -> Client:
        """To whom a refused request counts: a token that was good lately counts for itself, all others as the address.

        It does not count to the token's account: who has an old token of it could hold up its owner.
        """
        return address if token is None or hash(token) not in self._accounts else hash(token)

    def remember(self, token: str, account: Client) -> None:
        """Remembers the account of a token."""
        self._accounts[hash(token)] = account
        self._accounts.move_to_end(hash(token))
        if len(self._accounts) > KNOWN_MAX:
            self._accounts.popitem(last=False)
