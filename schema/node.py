"""Relay's Node, and how a type says which records it presents."""

from collections.abc import Callable
from typing import Any

import strawberry

from domain.ids import to_global_id
from engine import Compute, Plan
from schema.context import Info
from schema.fields import computed

_RECORD = "presented_record"
_LASTS = "lasts"


def _id_plan(type_name: str) -> Plan:
    return Compute(lambda record: to_global_id(type_name, record.id))


@strawberry.interface(description="Anything that can be fetched again by its global id.")
class Node:
    """An object with a global id, made of the type's name and the record's `id`."""

    @computed(strawberry.ID, "Global id, opaque, stable for the object's life.", plan=_id_plan)
    def id(root: strawberry.Parent[Any], info: Info) -> strawberry.ID:
        return strawberry.ID(to_global_id(info.path.typename or "", root.id))


def presents(record: type, when: Callable[[Any], bool] | None = None, *, lasts: bool = False) -> Any:
    """The `is_type_of` of a type that presents these records, if `when` is true of them.

    Beside a type that presents them in any case, one with `when` is never asked in an interface or a union.
    With `lasts` they come from caches, which give the same record again as long as nothing of it changed. So the fields
    that are read from it, or computed of it alone, may be kept between operations.
    """

    def is_type_of(value: object, _info: object) -> bool:
        return isinstance(value, record) and (when is None or when(value))

    if when is None:
        setattr(is_type_of, _RECORD, record)
        setattr(is_type_of, _LASTS, lasts)
    return staticmethod(is_type_of)


def record_of(is_type_of: Any) -> type | None:
    """The class all of whose instances a type presents, by what `presents` made; None where there is no such class."""
    record: type | None = getattr(is_type_of, _RECORD, None)
    return record


def lasts(is_type_of: Any) -> bool:
    """Whether a type presents records that last, by what `presents` made."""
    return getattr(is_type_of, _LASTS, False)
