"""The answer to an operation, or to one event of a subscription."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from resolvers.transport.errors import error_codes
from resolvers.transport.hooks import Identity


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one operation, before it is encoded."""

    payload: dict[str, Any]
    status: int = 200
    identity: Identity | None = None  # the client's from now on, if the operation was run
    headers: Mapping[str, str] = field(default_factory=dict)  # over HTTP

    @property
    def executed(self) -> bool:
        """Whether there is data, even null; if not, it is a request error."""
        return "data" in self.payload

    @property
    def codes(self) -> list[str]:
        return error_codes(self.payload.get("errors", ()))
