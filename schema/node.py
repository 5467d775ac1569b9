"""Relay's Node, and how a type says which records it presents."""

from collections.abc import Callable
from typing import Any

import strawberry

from domain.ids import to_global_id
from schema.context import Info
from schema.fields import computed


@strawberry.interface(description="Anything that can be fetched again by its global id.")
class Node:
    """An object with a global id, made of the type's name and the record's `id`."""

    @computed(strawberry.ID, "Global id, opaque, stable for the object's life.")
    def id(root: strawberry.Parent[Any], info: Info) -> strawberry.ID:
        return strawberry.ID(to_global_id(info.path.typename or "", root.id))


def presents(record: type, when: Callable[[Any], bool] = lambda _: True) -> Any:
    """The `is_type_of` of a type that presents these records, if `when` is true of them."""

    def is_type_of(value: object, _info: object) -> bool:
        return isinstance(value, record) and when(value)

    return staticmethod(is_type_of)
