"""The API's scalars: instants in milliseconds, URLs and files."""

from collections.abc import AsyncIterable
from datetime import UTC, datetime
from typing import Any, NewType, NoReturn

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

Url = NewType("Url", str)


class Upload(AsyncIterable[bytes]):
    """A file in a request: its bytes as they arrive, to be read once."""


def _to_instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _to_file(value: Any) -> AsyncIterable[bytes]:
    """The file that the transport put into the variables. Raises GraphQLError for a value that a client wrote."""
    if not isinstance(value, AsyncIterable):
        raise GraphQLError("A file is sent in a GraphQL multipart request.")
    return value


def _never_sent(_value: object) -> NoReturn:
    raise TypeError("a file is never part of an answer")


SCALARS: dict[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="An instant in UTC, ISO 8601 with milliseconds.",
        specified_by_url="https://scalars.graphql.org/andimarek/date-time",
        serialize=_to_instant,
        parse_value=datetime.fromisoformat,
    ),
    Upload: strawberry.scalar(
        name="Upload",
        description="A file in a GraphQL multipart request.",
        specified_by_url="https://github.com/jaydenseric/graphql-multipart-request-spec",
        serialize=_never_sent,
        parse_value=_to_file,
    ),
    Url: strawberry.scalar(name="URL", description="An absolute URL.", serialize=str, parse_value=str),
}
