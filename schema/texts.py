"""Texts that clients give: each says how long it may be, and is refused by its length before anybody reads it."""

import dataclasses
import functools
from typing import Any

from strawberry.utils.str_converters import to_camel_case

from domain.text import check_raw_length
from schema.fields import plain

_MOST = "most"


def bounded(description: str, *, most: int, **options: Any) -> Any:
    """An input's text of at most `most` characters, as its description then says."""
    return plain(f"{description} At most {most:,} characters.", metadata={_MOST: most}, **options)


def length_limit(field: "dataclasses.Field[Any]") -> int | None:
    """How many characters an input's text may have; None for what is no text of its own, such as an id."""
    limit: int | None = field.metadata.get(_MOST)
    return limit


def check_lengths(given: Any, *path: str) -> None:
    """Refuses an input in which a text is too long however it is normalized; it takes no time that depends on the text.

    Goes through inputs within inputs, and lists of them. Raises Refusal (INVALID_INPUT), which names the field.
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
    """Attribute, field and limit of an input's members; none of what is no input."""
    if not dataclasses.is_dataclass(kind):
        return []
    return [(field.name, to_camel_case(field.name), length_limit(field)) for field in dataclasses.fields(kind)]
