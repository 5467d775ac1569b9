"""What is kept of objects that were completed before: of those that last, the fields that depend on nothing else.

Such an object is completed in full when it is met for the first and for the second time. From then on the fields that
last are taken as they were, and only the others are completed. An object that is met once costs an entry, no more.
"""

from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakSet

from graphql import GraphQLObjectType, is_leaf_type, is_object_type

from engine.plans import Attribute, Compute, Item
from engine.positions import Field, Position

CHEAP_FIELDS = 3  # so many plain fields are read as fast as they are looked up


class KeptObjects:
    """What all operations of a schema keep, of `max_objects` objects together; when it is full, all is dropped.

    `lasts` says of which object types the owner promises: an object that a resolver gives never changes, its class has
    the type's plan of every field, and one that is given again and again is the same object.
    """

    def __init__(self, lasts: Callable[[GraphQLObjectType], bool], max_objects: int) -> None:
        self.lasts = lasts
        self._max_objects = max_objects
        self._count = 0
        self._places: WeakSet[Kept] = WeakSet()

    def at(self, position: Position) -> "Kept":
        """What is kept of the objects at a position."""
        kept = Kept(self, position)
        self._places.add(kept)
        return kept

    def count(self) -> None:
        """Makes room for one more object."""
        self._count += 1
        if self._count > self._max_objects:
            self._count = 1
            for place in self._places:
                place.entries.clear()


class Kept:
    """The objects of one position by their identity, each with what is kept of it: False if it cannot be kept.

    An object that was met once has an entry without it, which does not keep it alive. If another takes its place in
    memory, that one is kept a little early.
    """

    __slots__ = ("__weakref__", "_all", "_position", "entries")

    def __init__(self, all_objects: KeptObjects, position: Position) -> None:
        self._all = all_objects
        self._position = position
        self.entries: dict[int, tuple[Any, Any]] = {}

    def meet(self, value: Any, complete: Callable[[Position, Any], dict[str, Any] | None]) -> None:
        """Notes that an object is completed in full; the second time, keeps what `complete` makes of it."""
        entry = self.entries.get(id(value))
        if entry is None:
            self._all.count()
            self.entries[id(value)] = _MET_ONCE
        elif entry is _MET_ONCE:
            self.entries[id(value)] = (value, complete(self._position, value) or False)


_MET_ONCE = (object(), None)


def keep(objects: KeptObjects, fields: Iterable[Field]) -> None:
    """Decides for the positions of these fields, and all below, of which objects something is kept."""
    for field in fields:
        _keep(objects, field.value)


def _keep(objects: KeptObjects, position: Position) -> None:
    if position.item is not None:
        _keep(objects, position.item)
    for variant in position.variants.values():
        _keep(objects, variant)
    if is_object_type(position.type) and objects.lasts(position.type):
        lasting = {field for field in position.fields if _lasts(objects, field)}
        plain = [field for field in lasting if isinstance(field.plan, Attribute) and is_leaf_type(field.value.type)]
        if len(lasting) > len(plain) or len(plain) > CHEAP_FIELDS:
            position.lasting, position.kept = lasting, objects.at(position)
    keep(objects, [field for field in position.fields if field not in position.lasting])


def _lasts(objects: KeptObjects, field: Field) -> bool:
    """Whether a field of a lasting object depends on nothing but the object."""
    if field.is_typename:
        return True
    is_pure = isinstance(field.plan, Attribute | Item | Compute) and not field.has_variables
    return is_pure and _is_whole(objects, field.value)


def _is_whole(objects: KeptObjects, position: Position) -> bool:
    if position.item is not None:
        return _is_whole(objects, position.item)
    if is_leaf_type(position.type):
        return True
    return (
        is_object_type(position.type)
        and objects.lasts(position.type)
        and all(_lasts(objects, field) for field in position.fields)
    )
