"""Texts in inputs: each declares its limit, and a text far above it is refused before anything else reads it."""

import dataclasses
import functools
from typing import Any

from strawberry.utils.str_converters import to_camel_case

from domain.text import check_raw_length
from schema.fields import plain

_MOST = "most"


def text_field(description: str, *, most: int, **options: Any) -> Any:
    """A text in an input, of at most `most` characters; the description gets a sentence that says so."""
    return plain(f"{description} At most {most:,} characters.", metadata={_MOST: most}, **options)


def length_limit(field: "dataclasses.Field[Any]") -> int | None:
    """The most characters that a text in an input may have; None for a field that is not declared by `text_field`."""
    limit: int | None = field.metadata.get(_MOST)
    return limit


def check_lengths(given: Any, *path: str) -> None:
    """Raises Refusal (INVALID_INPUT) for the first text that is too long whatever normalization makes of it.

    Covers nested inputs and lists of inputs. Only lengths are read, so the time does not depend on the texts.
    """
    for name, field, most in _members(given.__class__):
        value = getattr(given, name)
        if most is not None:
            if isinstance(value, str):
                check_raw_length(value, ".".join((*path, field)), most=most)
            continue
        for inner in value if isinstance(value, list) else [value]:
            check_lengths(inner, *path, field)


@functools.cache
def _members(kind: Any) -> list[tuple[str, str, int | None]]:
    """Attribute name, GraphQL name and limit of each member of an input; empty for any other type."""
    if not dataclasses.is_dataclass(kind):
        return []
    return [(field.name, to_camel_case(field.name), length_limit(field)) for field in dataclasses.fields(kind)]
