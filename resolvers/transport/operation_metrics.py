"""Counts the operations of a process, by a bounded number of names."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from datasources.telemetry.metrics import COSTS, SECONDS, Distribution, Tally
from domain.errors import RequestErrorCode

NAMES_MAX = 200  # label values of operations that a process keeps; the rest is `OTHER`
IDLE_SECONDS = 600.0  # after so long without a use, a name gives its place to a new one
OTHER = "other"
UNNAMED = "unnamed"  # an operation without a name
UNREAD = "unread"  # a request that was refused before its operation was known
OK, CLIENT_LEFT = "OK", "CLIENT_LEFT"
_WORST = (
    RequestErrorCode.INTERNAL_SERVER_ERROR,
    RequestErrorCode.UNAVAILABLE,
    RequestErrorCode.TIMEOUT,
    RequestErrorCode.BUSY,
)

_OPERATIONS = Tally(
    "photogram_operations",
    "GraphQL operations that ended, by name, transport, and OK or the gravest code of their errors.",
    *("operation", "transport", "code"),
)
_DURATIONS = Distribution(
    "photogram_operation_seconds",
    "Time from a query's or mutation's arrival to its answer, by name.",
    "operation",
    bounds=SECONDS,
)
_COSTS = Distribution("photogram_operation_cost", "Cost of operations, in fields.", bounds=COSTS)
_EVENTS = Tally("photogram_subscription_events", "Events sent to subscriptions that ended, by name.", "operation")


class OperationNames:
    """Keeps the number of label values bounded, whatever clients call their operations.

    `known` names always have their own. Other names have places, as long as there are some and they are used.
    """

    def __init__(
        self, known: Iterable[str] = (), *, limit: int = NAMES_MAX, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._known = frozenset(known)
        self._free = max(0, limit - len(self._known))
        self._used: dict[str, float] = {}  # when each name was used last
        self._full_until = -math.inf  # no name is idle before
        self._clock = clock

    def label(self, name: str) -> str:
        """The label value of a name: itself or `OTHER`."""
        if name in self._used:
            self._used[name] = self._clock()
            return name
        if name in self._known:
            return name
        return self._place(name)

    def _place(self, name: str) -> str:
        now = self._clock()
        if len(self._used) >= self._free:
            if now < self._full_until or not self._used:
                return OTHER
            oldest = min(self._used, key=self._used.__getitem__)
            self._full_until = self._used[oldest] + IDLE_SECONDS
            if now < self._full_until:
                return OTHER
            del self._used[oldest]
            for family in (_OPERATIONS, _DURATIONS, _EVENTS):
                family.remove(oldest)
        self._used[name] = now
        return name


class OperationMetrics:
    """Counts operations of all transports. One for a process."""

    def __init__(self) -> None:
        self.names = OperationNames()

    def know(self, names: Iterable[str]) -> None:
        """Has these names of operations always counted by themselves."""
        self.names = OperationNames(names)

    def count_request(self, notes: Mapping[str, Any], status: int, seconds: float) -> None:
        """Counts a request over HTTP, by what its log line says; a `status` of 0 means that its client left."""
        codes = notes.get("codes")
        code = gravest(codes) if codes else OK if status else CLIENT_LEFT
        kind = notes.get("operation_type")
        if kind is None:
            _OPERATIONS.add(UNREAD, "http", code)
            return
        name = self.names.label(notes.get("operation") or UNNAMED)
        _OPERATIONS.add(name, "http", code)
        _DURATIONS.add(seconds, name)
        _COSTS.add(notes.get("cost", 0))

    def count_over_socket(
        self, name: str | None, codes: Iterable[str], *, cost: int, seconds: float, is_subscription: bool, events: int
    ) -> None:
        """Counts an operation that ended on a socket."""
        label = self.names.label(name or UNNAMED)
        _OPERATIONS.add(label, "websocket", gravest(codes) if codes else OK)
        _COSTS.add(cost)
        if is_subscription:
            _EVENTS.add(label, by=events)
        else:
            _DURATIONS.add(seconds, label)

    def count_unread(self, codes: Iterable[str]) -> None:
        """Counts a message of a socket that is no valid operation."""
        _OPERATIONS.add(UNREAD, "websocket", gravest(codes))


OPERATION_METRICS = OperationMetrics()


def gravest(codes: Iterable[str]) -> str:
    """Of an answer's error codes the one that an operator must know of."""
    present = sorted(map(str, codes))
    return next((code.value for code in _WORST if code.value in present), present[0])
