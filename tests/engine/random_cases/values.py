"""What attributes and resolvers give in a random case: described once, made anew for each execution."""

import asyncio
from collections import UserDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator, Mapping
from contextvars import Context
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from graphql import GraphQLResolveInfo

from tests.engine.random_cases.specs import Failed, Later, Many, Method, Record, Spec, Value, exception
from tests.engine.random_cases.stages import Call, Mode, Stage


class Slow:
    """An awaitable that is neither a coroutine nor a future."""

    def __init__(self, begin: Callable[[], Awaitable[object]]) -> None:
        self.begin = begin

    def __await__(self) -> Generator[Any, None, object]:
        return self.begin().__await__()


class Thing:
    """A record with attributes."""

    def __init__(self, spec: Record, stage: Stage) -> None:
        self.spec = spec
        if spec.typed:
            self.__typename = spec.type_name
        for name, value in spec.fields.items():
            if name not in spec.resolved:
                setattr(self, name, make(value, stage, eager=True))


class LazyThing:
    """A record whose attributes are computed, or fail, when they are read."""

    def __init__(self, spec: Record, stage: Stage) -> None:
        self.spec, self.stage = spec, stage
        if spec.typed:
            self.__typename = spec.type_name

    def __getattr__(self, name: str) -> object:
        fields = self.spec.fields
        if name in fields and name not in self.spec.resolved:
            return make(fields[name], self.stage)
        raise AttributeError(name)


class Iteration:
    """Something to iterate over that is no collection."""

    def __init__(self, items: Iterator[object]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[object]:
        return self.items


def make(spec: Spec, stage: Stage, *, eager: bool = False) -> Any:
    """The value described. An eager one may never be looked at: it is made without coroutines."""
    match spec:
        case Value():
            return spec.value
        case Failed():
            if spec.as_value or eager:
                return exception(spec)
            raise exception(spec)
        case Later():
            return _later(spec, stage, eager=eager)
        case Many():
            return _many(spec, stage, eager=eager)
        case Method():
            return _Callable(spec.result, stage)
        case Record():
            return _record(spec, stage)


def _record(spec: Record, stage: Stage) -> object:
    if spec.form == "lazy":
        return LazyThing(spec, stage)
    if spec.form == "object":
        return Thing(spec, stage)
    fields = {name: make(value, stage, eager=True) for name, value in spec.fields.items() if name not in spec.resolved}
    fields["#"] = spec
    if spec.typed:
        fields["__typename"] = spec.type_name
    match spec.form:
        case "userdict":
            return UserDict(fields)
        case "proxy":
            return MappingProxyType(fields)
        case _:
            return fields


def _later(spec: Later, stage: Stage, *, eager: bool) -> object:
    is_shared = eager and isinstance(spec.result, Many)  # by the fields that read it: no list that is read once

    async def result() -> object:
        await stage.turn(spec.rank)
        return make(spec.result, stage, eager=is_shared)

    kind = "task" if eager and spec.kind in {"coroutine", "ready"} else spec.kind
    if eager and stage.mode is Mode.PACED and kind in {"task", "future"}:
        return _LazyFuture(result)  # else it could end before it is awaited, and another with it
    match kind:
        case "slow":
            return Slow(result)
        case "task":
            return _quiet_task(result())
        case "future":
            return _future_of(_quiet_task(result()))
        case "done":
            return _done(spec.result, stage, eager=is_shared)
        case _:
            coroutine = _ready(spec.result, stage) if kind == "ready" else result()
            return stage.given(coroutine)


def _quiet_task(work: Any) -> "asyncio.Task[object]":
    task = asyncio.ensure_future(work)
    task.add_done_callback(_look)
    return cast("asyncio.Task[object]", task)


def _look(future: "asyncio.Future[Any]") -> None:
    """Marks its exception as seen: nobody needs to look at a value of a field that was never reached."""
    if not future.cancelled():
        future.exception()


def _future_of(task: "asyncio.Task[object]") -> "asyncio.Future[object]":
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    future.add_done_callback(_look)
    _lead(task, future)
    return future


def _lead(task: "asyncio.Task[object]", future: "asyncio.Future[object]") -> None:
    """Ends the future as the task ends."""

    def end(done: "asyncio.Future[object]") -> None:
        if future.done():
            return
        if error := done.exception():
            future.set_exception(error)
        else:
            future.set_result(done.result())

    task.add_done_callback(end)


class _LazyFuture(asyncio.Future[object]):
    """A future whose work begins when somebody waits for it."""

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, object]]) -> None:
        super().__init__()
        self._begin: Callable[[], Coroutine[Any, Any, object]] | None = begin

    def add_done_callback(self, function: Callable[..., object], *, context: Context | None = None) -> None:
        super().add_done_callback(function, context=context)
        if self._begin is not None:
            begin, self._begin = self._begin, None
            super().add_done_callback(_look)
            _lead(_quiet_task(begin()), self)


def _done(spec: Spec, stage: Stage, *, eager: bool) -> "asyncio.Future[object]":
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    try:
        future.set_result(make(spec, stage, eager=eager))
    except StopIteration:
        future.set_exception(ValueError("stopped"))
    except Exception as error:  # noqa: BLE001  whatever the case describes
        future.set_exception(error)
    future.add_done_callback(_look)
    return future


async def _ready(spec: Spec, stage: Stage) -> object:
    return make(spec, stage)


def _many(spec: Many, stage: Stage, *, eager: bool) -> object:
    if spec.kind in {"generator", "iteration"} and not eager:
        items = _generated(spec, stage)
        return items if spec.kind == "generator" else Iteration(items)
    if spec.kind == "async" and not eager:
        return _generated_later(spec, stage, stage.number_of_list(spec))
    items_made = [_item(item, stage, eager=True) for item in spec.items]
    match spec.kind:
        case "tuple":
            return tuple(items_made)
        case "deque":
            return deque(items_made)
        case "view":
            return dict(enumerate(items_made)).values()
        case _:
            return items_made


def _item(spec: Spec, stage: Stage, *, eager: bool) -> object:
    try:
        return make(spec, stage, eager=eager)
    except Exception as error:  # noqa: BLE001  an item cannot raise: it is an exception as a value
        return error


def _generated(spec: Many, stage: Stage) -> Iterator[object]:
    for item in spec.items:
        yield _item(item, stage, eager=False)
    if spec.breaks:
        raise ValueError("the list breaks")


async def _generated_later(spec: Many, stage: Stage, number: int) -> AsyncIterator[object]:
    rank = spec.rank + number / 1_000_000_000
    for index, item in enumerate(spec.items):
        await stage.turn(rank + index / 1_000_000)
        yield _item(item, stage, eager=True)
    await stage.turn(rank + len(spec.items) / 1_000_000)  # an empty list that breaks waits too
    if spec.breaks:
        raise ValueError("the list breaks")


@dataclass(frozen=True, slots=True, repr=False)
class _Callable:
    result: Spec
    stage: Stage

    def __call__(self, info: GraphQLResolveInfo[Any], **arguments: object) -> object:
        self.stage.calls.append(_call(info, arguments))
        return make(self.result, self.stage)

    def __repr__(self) -> str:
        return "a method"


def resolve_field(source: Any, info: GraphQLResolveInfo[Any], **arguments: object) -> object:
    """The resolver of every field that has one: what the source's record describes for it."""
    info.context.calls.append(_call(info, arguments))
    return make(_spec(source).fields[info.field_name], info.context)


def resolve_type(value: object, info: GraphQLResolveInfo[Any], abstract_type: object) -> object:
    spec = _spec(value)
    return spec.type_name if spec.claim is None else make(spec.claim, info.context)


def resolve_is_type_of(value: object, type_name: str) -> bool:
    spec = _spec(value)
    return spec.type_name == type_name and not spec.denied


def number_of(value: object) -> int:
    """Of the record that describes it; 0 for what is no record."""
    spec = value.get("#") if isinstance(value, Mapping) else getattr(value, "spec", None)
    return spec.number if isinstance(spec, Record) else 0


def _spec(value: object) -> Record:
    spec = value["#"] if isinstance(value, Mapping) else getattr(value, "spec", None)
    if not isinstance(spec, Record):
        raise TypeError("not a record")
    return spec


def _call(info: GraphQLResolveInfo[Any], arguments: Mapping[str, object]) -> Call:
    nodes = [node.loc and node.loc.start for node in info.field_nodes]
    given = (
        f"{info.parent_type}.{info.field_name}: {info.return_type} {arguments!r} nodes={nodes} "
        f"variables={info.variable_values.coerced!r} operation={info.operation.name and info.operation.name.value} "
        f"fragments={sorted(info.fragments)} typename={info.path.typename}"
    )
    return Call(tuple(info.path.as_list()), info.field_name, given)
