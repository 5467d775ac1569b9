"""The base of what the stores return: immutable records with the names that the API shows.

A record is made from a stored document by its field names alone (`id` is stored as `_id`), so the API's plain fields
need no code. Every `datetime` is aware and in UTC.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Self

import msgspec
from bson import ObjectId


def _as_it_is(_type: type, value: Any) -> Any:
    return value


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """The base of everything read from or written into a document."""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Takes the fields it knows and leaves the others; raises msgspec.ValidationError if one has a wrong type."""
        return msgspec.convert(document, cls, dec_hook=_as_it_is)

    def to_document(self) -> dict[str, Any]:
        """The document it was or can be stored as; enums as their values."""
        names = zip(self.__struct_encode_fields__, self.__struct_fields__, strict=True)
        return {stored_as: _stored(getattr(self, name)) for stored_as, name in names}


def _stored(value: Any) -> Any:
    match value:
        case Record():
            return value.to_document()
        case list():
            return [_stored(item) for item in value]
        case Enum():
            return value.value
        case _:
            return value


class Stored(Record, frozen=True, kw_only=True, rename={"id": "_id"}):
    """A record that is a document of its own."""

    id: ObjectId
