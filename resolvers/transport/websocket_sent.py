"""What was sent of an operation over a socket, for the log and the metrics when it ends."""

from collections.abc import Iterable

import structlog
from graphql import OperationType

from resolvers.transport.documents import Operation
from resolvers.transport.operation_metrics import OPERATION_METRICS

log = structlog.stdlib.get_logger(__name__)


class Sent:
    """How many events of one operation were sent, and which codes of errors."""

    __slots__ = ("codes", "events", "id")

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.events = 0
        self.codes: frozenset[str] = frozenset()

    def note(self, codes: Iterable[str]) -> None:
        self.codes = self.codes.union(codes)

    def report(self, operation: Operation, request_id: str, account: str | None, seconds: float) -> None:
        """Counts the operation, which has ended, and logs a line about it."""
        name, is_subscription = operation.name and operation.name[:64], operation.kind is OperationType.SUBSCRIPTION
        OPERATION_METRICS.count_over_socket(
            name,
            self.codes,
            cost=operation.cost,
            seconds=seconds,
            is_subscription=is_subscription,
            events=self.events,
        )
        log.info(
            "operation",
            request_id=request_id,
            operation=name,
            operation_type=operation.kind.value,
            duration_ms=round(seconds * 1000, 1),
            **({"account": account} if account else {}),
            **({"events": self.events} if self.events else {}),
            **({"codes": sorted(self.codes)} if self.codes else {}),
        )
