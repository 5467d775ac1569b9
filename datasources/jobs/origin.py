"""Where a job comes from: when it was enqueued, and the place in a trace. It travels in the message beside the job.

It is no part of the job: two messages that differ in it alone are the same job.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple, Self

from datasources.telemetry.tracing import TRACEPARENT

_AT = "at"  # milliseconds since 1970, by the database's clock
_TRACEPARENT_LENGTH = 55


class Origin(NamedTuple):
    """When a job was enqueued, and the place in the trace of whoever did that; None for what is not known."""

    at: datetime | None = None
    traceparent: str | None = None

    @classmethod
    def of(cls, fields: Mapping[bytes, bytes]) -> Self:
        """The origin that a message tells; messages of other versions may tell nothing."""
        at, traceparent = fields.get(_AT.encode(), b""), fields.get(TRACEPARENT.encode(), b"")
        is_time = at.isdigit() and len(at) < 15
        return cls(
            datetime.fromtimestamp(int(at) / 1000, UTC) if is_time else None,
            traceparent.decode("ascii", "replace") if len(traceparent) == _TRACEPARENT_LENGTH else None,
        )

    def to_fields(self) -> dict[str, str]:
        """What a message carries of it."""
        at = {} if self.at is None else {_AT: str(round(self.at.timestamp() * 1000))}
        return at if self.traceparent is None else {**at, TRACEPARENT: self.traceparent}
