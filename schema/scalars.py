"""Our scalars: instants in milliseconds, addresses, and their place in Strawberry's scalar map."""

from datetime import UTC, datetime
from typing import NewType

import strawberry
from strawberry.types.scalar import ScalarDefinition

Url = NewType("Url", str)


def _to_instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


SCALARS: dict[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="An instant in UTC, ISO 8601 with milliseconds.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time",
        serialize=_to_instant,
        parse_value=datetime.fromisoformat,
    ),
    Url: strawberry.scalar(name="URL", description="An absolute URL.", serialize=str, parse_value=str),
}
