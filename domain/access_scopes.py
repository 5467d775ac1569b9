"""What a personal access token may be used for. A login may do everything, and has no scopes."""

from collections.abc import Collection
from enum import StrEnum


class AccessScope(StrEnum):
    READ = "READ"
    WRITE = "WRITE"
    MODERATE = "MODERATE"


Needs = Collection[AccessScope | None]
"""What the root fields of an operation need of a personal access token; None: no token may ask for one of them."""


def is_allowed(scopes: Collection[AccessScope] | None, needs: Needs) -> bool:
    """Whether a token of these scopes may do what needs these; None are the scopes of a login."""
    return scopes is None or all(each in scopes for each in needs)


def with_reading(scopes: Collection[AccessScope]) -> list[AccessScope]:
    """The scopes that a new token gets: reading comes with each, for answers of mutations show what they changed."""
    return [scope for scope in AccessScope if scope in scopes or scope is AccessScope.READ]
