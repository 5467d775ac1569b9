"""The answer of one run: its data, its errors, and which parts of it are null because of them."""

from contextlib import suppress
from typing import Any

from graphql import located_error
from graphql.execution.executor import CollectedErrors

from engine.errors import Bubble
from engine.paths import Link, keys_of, to_path
from engine.positions import Position


class Answer:
    """`data` is the answer so far. Values that are awaited have their place in it, and take it when they arrive."""

    __slots__ = ("_errors", "data", "nulled")

    def __init__(self) -> None:
        self.data: dict[str, Any] | None = {}
        self.nulled = 0  # how often a part became null, with all that was to come below it
        self._errors: CollectedErrors | None = None

    @property
    def collected(self) -> CollectedErrors:
        """The errors so far, without those that came below a position that was null already."""
        if self._errors is None:
            self._errors = CollectedErrors()
        return self._errors

    @property
    def errors(self) -> list[Any] | None:
        """A list of the errors so far, if there are any, which no later error changes."""
        return None if self._errors is None else list(self._errors.errors) or None

    def fail(self, position: Position, error: Exception, parent: Link, key: Any) -> Any:
        """Null with an error, where null may be. Raises Bubble where it may not."""
        located = located_error(error, position.field.nodes, keys_of((parent, key)))
        if not position.nullable:
            raise Bubble(located)
        self.collected.add(located, to_path(position, (parent, key)))
        return None

    def caught(self, bubble: Bubble, position: Position, parent: Link, key: Any) -> Any:
        """Null with the error of something below a position that may be null."""
        self.nulled += 1
        self.collected.add(bubble.error, to_path(position, (parent, key)))
        return None

    def bubble(self, bubble: Bubble, position: Position, parent: Link) -> None:
        """Puts null above a position that has its place in the answer already, and may not be null."""
        up, link = position.up, parent
        while up is not None and link is not None and not up.nullable:
            up, link = up.up, link[0]
        if up is None or link is None:
            self.reject(bubble)
            return
        self.nulled += 1
        self.collected.add(bubble.error, to_path(up, link))
        self.put(None, link[0], link[1])

    def reject(self, bubble: Bubble) -> None:
        """Makes all data null."""
        self.nulled += 1
        self.data = None
        self.collected.add(bubble.error, None)

    def put(self, value: Any, parent: Link, key: Any) -> None:
        """Puts a value at a path, unless something above it is null."""
        container = self.container(parent)
        if container is not None:
            container[key] = value

    def container(self, link: Link) -> Any:
        """The dictionary or list at a path; None if it, or something above it, is null."""
        at: Any = self.data
        with suppress(KeyError, IndexError, TypeError):
            for key in keys_of(link):
                at = at[key]
            return at
        return None
