"""One execution of a compiled operation: a run that completes values.

Generated code handles the values that answers are nearly always made of, and calls this for all others: null, errors,
awaitables, values of other classes. What even this does not know is completed by graphql-core's executor.
"""

from collections.abc import Mapping
from enum import Enum
from types import GeneratorType
from typing import Any

from graphql.execution import Executor
from graphql.execution.executor import invalid_return_type_error
from graphql.pyutils import Undefined, is_async_iterable, is_awaitable, is_iterable

from engine.errors import Bubble
from engine.paths import Link, path_of
from engine.positions import Position
from engine.run import Run
from engine.waiting import Slot

KNOWN_CLASSES_MAX = 16  # at a position; instances of others are completed more slowly
NULLS = (type(None), type(Undefined))


class Execution(Run):
    """Completes values that generated code does not know.

    Each method returns what takes the place in the answer, which may be replaced later, or raises Bubble.
    """

    __slots__ = ()

    def leaf(self, position: Position, value: Any, parent: Link, key: Any) -> Any:
        """Completes a scalar or an enum."""
        is_odd, completed = self._odd(position, value, parent, key)
        if is_odd:
            return completed
        try:
            return Executor.complete_leaf_value(position.type, value)
        except Exception as error:  # noqa: BLE001  scalars are anybody's code
            return self.fail(position, error, parent, key)

    def default_leaf(self, position: Position, value: Any, parent: Link, key: Any) -> Any:
        """As `leaf`, of a field without a resolver, whose attribute may be callable."""
        value = self.called(value, position.field, parent) if callable(value) else value
        return self.leaf(position, value, parent, key)

    def default_enum(self, position: Position, value: Any, parent: Link, key: Any) -> Any:
        """As `default_leaf`, of an enum. The members of one may be callable, and are not called by `enum`."""
        value = self.called(value, position.field, parent) if callable(value) else value
        return self.enum(position, value, parent, key)

    def enum(self, position: Position, value: Any, parent: Link, key: Any) -> Any:
        """As `leaf`; remembers the names of an enum's values, if they are all of one class."""
        name = self.leaf(position, value, parent, key)
        kind = type(value)
        if type(name) is str and (kind is str or issubclass(kind, Enum)) and position.known <= {kind}:
            position.known.add(kind)
            position.enum_names[value] = name
        return name

    def scalar(self, position: Position, value: Any, parent: Link, key: Any) -> Any:
        """As `leaf`; remembers the value's class."""
        _admit(position, type(value))
        return self.leaf(position, value, parent, key)

    def meet(self, position: Position, value: Any) -> None:
        """Notes that an object of which something may be kept is completed in full."""
        position.kept.meet(value, self._lasting)

    def _lasting(self, position: Position, value: Any) -> dict[str, Any] | None:
        """What is kept of an object; None if an error or an awaitable is in it."""
        alone = Execution(self.variant, None, None, self.variables)
        try:
            lasting = position.template(value, None, None, alone)
        except Bubble:
            return None
        if alone.waiting:
            alone.waiting.discard()
            return None
        return None if alone.errors else lasting

    def object(self, position: Position, value: Any, parent: Link, key: Any) -> Any:
        """Completes an object of a class not seen here before."""
        is_odd, completed = self._odd(position, value, parent, key)
        if is_odd:
            return completed
        is_type_of = position.type.is_type_of
        if is_type_of is None:
            _admit(position, type(value))
            return position.function(value, parent, key, self, True)
        try:
            verdict = is_type_of(value, self.info(position, parent))
        except Exception as error:  # noqa: BLE001  it is anybody's code
            return self.fail(position, error, parent, key)

        def judged(is_type: Any) -> Any:
            if not is_type:
                error = invalid_return_type_error(position.type, value, position.field.details)
                return self.fail(position, error, parent, key)
            return position.function(value, parent, key, self, True)

        if is_awaitable(verdict):
            return self.later(verdict, position, parent, key, judged)
        return judged(verdict)

    def abstract(self, position: Position, value: Any, parent: Link, key: Any) -> Any:
        """Completes a value of an interface or a union by its object type."""
        variant = position.by_class.get(type(value))
        if variant is not None:
            return variant.function(value, parent, key, self)
        is_odd, completed = self._odd(position, value, parent, key)
        if is_odd:
            return completed
        info = self.info(position, parent)

        def typed(name: Any) -> Any:
            try:
                checked = self.executor.ensure_valid_runtime_type(
                    name, position.type, position.field.details, info, value
                )
            except Exception as error:  # noqa: BLE001  whatever it is, it is the position's error
                return self.fail(position, error, parent, key)
            return position.variants[checked.name].function(value, parent, key, self)

        try:
            resolve_type = position.type.resolve_type or self.executor.type_resolver
            name = resolve_type(value, info, position.type)
        except Exception as error:  # noqa: BLE001  it is anybody's code
            return self.fail(position, error, parent, key)
        return self.later(name, position, parent, key, typed) if is_awaitable(name) else typed(name)

    def list(self, position: Position, value: Any, parent: Link, key: Any) -> Any:
        """Completes a list that is neither a list nor a tuple."""
        is_odd, completed = self._odd(position, value, parent, key)
        if is_odd:
            return completed
        if is_async_iterable(value) or not is_iterable(value):
            return self.delegate(position, value, parent, key)
        items: list[Any] = []
        try:
            items.extend(value)
        except Exception as error:  # noqa: BLE001  it is anybody's code
            position.function(items, parent, key, self)  # for the errors of the items before this one
            self.nulled += 1
            return self.fail(position, error, parent, key)
        return position.function(items, parent, key, self)

    def delegate(self, position: Position, value: Any, parent: Link, key: Any) -> Any:
        """Lets graphql-core complete a value, and all below it."""
        path = path_of(position, parent, key)
        try:
            completed = self.executor.complete_value(
                position.declared, position.field.details, self.info(position, parent), path, value, None
            )
        except Exception as error:  # noqa: BLE001  whatever it is, it is the position's error
            return self.fail(position, error, parent, key)
        return self.later(completed, position, parent, key, _same) if is_awaitable(completed) else completed

    def _odd(self, position: Position, value: Any, parent: Link, key: Any) -> tuple[bool, Any]:
        """Completes null, an exception and an awaitable at any position. The first value says whether it was one."""
        if is_awaitable(value):
            return True, self.later(value, position, parent, key)
        if isinstance(value, Exception):
            return True, self.fail(position, value, parent, key)
        if value is None or value is Undefined:
            return True, self.null(position, parent, key)
        return False, None

    def null(self, position: Position, parent: Link, key: Any) -> Any:
        """Completes null."""
        if position.nullable:
            return None
        field = position.field
        message = f"Cannot return null for non-nullable field {field.parent_type}.{field.name}."
        return self.fail(position, TypeError(message), parent, key)

    def arrive(self, slot: Slot, value: Any) -> None:
        """Puts an awaited value, or the exception in its place, into the answer."""
        position, parent, key = slot.position, slot.parent, slot.key
        try:
            if isinstance(value, Exception):
                completed = self.fail(position, value, parent, key)
            elif slot.complete is not None:
                completed = slot.complete(value)
            elif is_awaitable(value):  # a resolver's value is awaited once
                completed = self.delegate(position, value, parent, key)
            else:
                completed = position.function(value, parent, key, self)
        except Bubble as bubble:
            self.bubble(bubble, position, parent)
        else:
            if slot.container is None:
                self.put(completed, parent, key)
            else:
                slot.container[key] = completed


def _admit(position: Position, kind: type) -> None:
    """From now on generated code completes direct instances of this class by itself, if they need no care."""
    is_odd = kind in NULLS or issubclass(kind, Exception | GeneratorType) or hasattr(kind, "__await__")
    is_other_mapping = issubclass(kind, Mapping) and kind is not dict  # whose fields are items, not attributes
    if not is_odd and not is_other_mapping and len(position.known) < KNOWN_CLASSES_MAX:
        position.known.add(kind)


def _same(value: Any) -> Any:
    return value
