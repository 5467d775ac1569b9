"""How fields are declared: plain, computed, or an edge to another noun.

An edge is a declaration: which loader, and which attribute of the record holds the key. The resolvers made here are
plain functions that return the loader's future, or its value if it is there: an `async def` resolver would cost six
times as much for each field, and even a future that is done costs the loop a task. The plans beside them tell the
compiled engine to load the keys of all records of a level in one call.
"""

from asyncio import Future
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import strawberry

from domain.limits import PAGE_SIZE_MAX
from engine import Load
from schema.context import Info
from schema.field_metadata import PlanOf, bounded, priced

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

First = Annotated[int | None, strawberry.argument(description=f"How many items from the start; 1 to {PAGE_SIZE_MAX}.")]
After = Annotated[str | None, strawberry.argument(description="Only what comes after this cursor.")]
Last = Annotated[int | None, strawberry.argument(description=f"How many items from the end; 1 to {PAGE_SIZE_MAX}.")]
Before = Annotated[str | None, strawberry.argument(description="Only what comes before this cursor.")]


def plain(description: str, *, max_items: int | None = None, **options: Any) -> Any:
    """A field that is the record's, or an input's, attribute of the same name. A list declares `max_items`."""
    return strawberry.field(**bounded(description, max_items), **options)


def shown(graphql_type: Any, description: str) -> Any:
    """A field that holds a record, or None, and is shown as this type."""
    return plain(description, graphql_type=graphql_type | None, default=None)


def computed(
    graphql_type: Any, description: str, *, max_items: int | None = None, plan: PlanOf | None = None
) -> Callable[[Decorated], Any]:
    """Decorates a function of the record (and `info`) into a field of this type. `plan` gives the same result."""

    def decorate(function: Decorated) -> Any:
        return strawberry.field(function, graphql_type=graphql_type, **bounded(description, max_items, plan))

    return decorate


def loaded(loader: str, *, key: str, description: str) -> Any:
    """An edge to what `loader` loads for the record's attribute `key`; null where that is None."""

    def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        value = getattr(root, key)
        return None if value is None else _result_or_future(getattr(info.context.loaders, loader).load(value))

    return strawberry.field(resolve, **bounded(description, None, _load(loader, key)))


def loaded_list(loader: str, *, key: str, description: str, max_items: int) -> Any:
    """Edges to what `loader` loads for each of the record's keys; keys that it loads None for are left out."""

    def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        values = _result_or_future(getattr(info.context.loaders, loader).load_many(getattr(root, key)))
        return _values_later(values) if isinstance(values, Future) else _values(values)

    return strawberry.field(resolve, **bounded(description, max_items, _load(loader, key, many=True)))


def viewer_state(
    graphql_type: Any,
    loader: str,
    read: Callable[[Any], Any],
    *,
    description: str,
    max_items: int | None = None,
    price: int = 0,
) -> Any:
    """A field about the viewer and the record: `read` of what `loader` loads for the record."""

    def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        value = _result_or_future(getattr(info.context.loaders, loader).load(root.id))
        return _read_later(value, read) if isinstance(value, Future) else read(value)

    plan = _load(loader, "id", read=read)
    options = priced(bounded(description, max_items, plan), price)
    return strawberry.field(resolve, graphql_type=graphql_type, **options)


def _load(loader: str, key: str, *, many: bool = False, read: Callable[[Any], Any] | None = None) -> PlanOf:
    """The plan of an edge: the same as its resolver, for all records of a level at once."""
    plan = Load(lambda context: getattr(context.loaders, loader), key, many=many, read=read)
    return lambda _: plan


def _result_or_future(future: "Future[Any]") -> Any:
    return future.result() if future.done() and not future.cancelled() else future


def _values(loaded: list[Any]) -> list[Any]:
    return [value for value in loaded if value is not None]


async def _values_later(loaded: Awaitable[list[Any]]) -> list[Any]:
    return _values(await loaded)


async def _read_later(future: Awaitable[Any], read: Callable[[Any], Any]) -> Any:
    return read(await future)
