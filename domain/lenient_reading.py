"""Reads records that a newer version wrote, while a release is rolled out: unknown values become harmless ones.

An unknown state hides the object, an unknown reason becomes the general one, a rendition of an unknown format is left
out. A value without a harmless one makes the record unreadable. Only what is shown is read like this. Workers act upon
what they read, so they read exactly, and leave such a record among the dead letters for the newer version.
"""

import contextlib
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

import msgspec

from domain.errors import UserErrorCode
from domain.image_formats import RenditionFormat
from domain.records.follows import FollowState
from domain.records.images import RenditionRecord
from domain.records.posts import PostStatus
from domain.records.record import Record
from domain.records.uploads import UploadStatus
from domain.records.users import AccountStanding, Role, SensitiveContent, UserState

Kind = TypeVar("Kind", bound=Record)
Value = TypeVar("Value", bound=StrEnum)

HARMLESS: Mapping[type[StrEnum], StrEnum] = {
    UserState: UserState.SUSPENDED,  # nobody finds the account
    Role: Role.MEMBER,
    AccountStanding: AccountStanding.LIMITED,
    SensitiveContent: SensitiveContent.VEIL,
    PostStatus: PostStatus.PROCESSING,  # only its author sees it, without images
    UploadStatus: UploadStatus.PROCESSING,
    FollowState: FollowState.NONE,
    UserErrorCode: UserErrorCode.INVALID_INPUT,
}


def known_value(enum: type[Value], value: Any) -> Value:
    """A value of an enum, or the harmless one for an unknown value. Raises ValueError where there is none."""
    try:
        return enum(value)
    except ValueError:
        if enum not in HARMLESS or not isinstance(value, str):
            raise
    return enum(HARMLESS[enum])


def read_leniently(kind: type[Kind], document: Mapping[str, Any]) -> Kind:
    """As `from_document`, with harmless values for unknown ones. Raises msgspec.ValidationError."""
    return kind.from_document(_degraded(_shape(kind), document))


_shape = cache(msgspec.inspect.type_info)


def _degraded(shape: msgspec.inspect.Type, value: Any) -> Any:
    match shape:
        case msgspec.inspect.EnumType(cls=enum) if issubclass(enum, StrEnum):
            with contextlib.suppress(ValueError):
                return known_value(enum, value).value
            return value
        case msgspec.inspect.UnionType(types=types) if value is not None:
            (inner,) = (each for each in types if not isinstance(each, msgspec.inspect.NoneType))
            return _degraded(inner, value)
        case msgspec.inspect.ListType(item_type=item) if isinstance(value, list):
            return [_degraded(item, each) for each in value if not _is_of_a_new_format(item, each)]
        case msgspec.inspect.StructType(fields=fields) if isinstance(value, Mapping):
            shapes = {field.encode_name: field.type for field in fields}
            return {name: _degraded(shapes[name], inner) for name, inner in value.items() if name in shapes}
        case _:
            return value


def _is_of_a_new_format(shape: msgspec.inspect.Type, value: Any) -> bool:
    is_rendition = isinstance(shape, msgspec.inspect.StructType) and shape.cls is RenditionRecord
    return is_rendition and isinstance(value, Mapping) and value.get("format") not in list(RenditionFormat)
