"""Text fields: each declares its limit, and an input's text far above it is refused unread."""

import dataclasses
import functools
from typing import Any

from strawberry.utils.str_converters import to_camel_case

from domain.text import check_raw_length
from schema.fields import plain

_MAX_LENGTH = "max_length"


def text_field(description: str, *, max_length: int, **options: Any) -> Any:
    """A text of at most `max_length` characters, as the description then says."""
    return plain(f"{description} At most {max_length:,} characters.", metadata={_MAX_LENGTH: max_length}, **options)


def check_lengths(given: Any, *path: str) -> None:
    """Raises Refusal (INVALID_INPUT) for the first text that is too long however it is normalized.

    Covers nested inputs and lists of inputs. Only lengths are read, so the time does not depend on the texts.
    """
    for name, field, max_length in _members(given.__class__):
        value = getattr(given, name)
        if max_length is not None:
            if isinstance(value, str):
                check_raw_length(value, ".".join((*path, field)), max_length=max_length)
            continue
        for inner in value if isinstance(value, list) else [value]:
            check_lengths(inner, *path, field)


@functools.cache
def _members(kind: Any) -> list[tuple[str, str, int | None]]:
    """Attribute name, GraphQL name and limit of each member of an input; empty for any other type."""
    if not dataclasses.is_dataclass(kind):
        return []
    return [
        (field.name, to_camel_case(field.name), field.metadata.get(_MAX_LENGTH)) for field in dataclasses.fields(kind)
    ]
