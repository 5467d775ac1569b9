"""Batch fields of random cases: loaders, and the resolvers that do with a loader what `Load` says."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from engine import Load
from tests.engine.random_cases.specs import Spec
from tests.engine.random_cases.stages import Stage
from tests.engine.random_cases.values import make

LOADERS = ("known", "later", "mixed", "down")
"""How a loader answers: at once, later, at once if it has an even number of keys, with an error for all keys."""


class CaseLoader:
    """Makes the values that a case describes by their keys, each once."""

    def __init__(self, name: str, specs: Mapping[int, Spec], stage: Stage) -> None:
        self.name = name
        self.specs = specs
        self.stage = stage
        self.values: dict[int, Any] = {}

    def batch(self, keys: Sequence[int]) -> list[Any] | Awaitable[list[Any]]:
        assert keys, "nothing to load"
        if not self.stage.is_async or self.name == "known" or (self.name == "mixed" and len(keys) % 2 == 0):
            return self._all(keys)
        return self._later(keys)

    def value(self, key: int) -> Any:
        """The value, or the exception in its place."""
        if self.name == "down":
            return ConnectionError("failure of the loader")
        if key not in self.values:
            try:
                self.values[key] = make(self.specs[key], self.stage, eager=True)
            except Exception as error:  # noqa: BLE001  whatever the case describes
                self.values[key] = error
        return self.values[key]

    async def load(self, keys: Sequence[int]) -> list[Any]:
        """For a resolver: the values, or raises the first exception among them."""
        if keys:
            await self._turn(keys)
        return self.load_at_once(keys)

    def load_at_once(self, keys: Sequence[int]) -> list[Any]:
        values = [self.value(key) for key in keys]
        for value in values:
            if isinstance(value, Exception):
                raise value
        return values

    def _all(self, keys: Sequence[int]) -> list[Any]:
        values = [self.value(key) for key in keys]
        if self.name == "down":
            raise values[0]
        return values

    async def _later(self, keys: Sequence[int]) -> list[Any]:
        await self._turn(keys)
        return self._all(keys)

    async def _turn(self, keys: Sequence[int]) -> None:
        await self.stage.turn(sum(keys) * 0.618 % 1)


def loader_named(name: str) -> Callable[[Stage], CaseLoader]:
    def find(stage: Stage) -> CaseLoader:
        return cast("CaseLoader", stage.loader(name, CaseLoader))

    return find


def key_of(plan: Load) -> str:
    """The name of the source's attribute or item that holds the key."""
    return plan.key if isinstance(plan.key, str) else str(plan.key.key)


def boxed(value: object) -> object:
    """What a field makes of the value that is loaded for it."""
    if value == "refused":
        raise ValueError("failure to read")
    return value


def resolver_of(plan: Load) -> Callable[..., Any]:
    """A resolver that does what the plan says, without batches."""

    def resolve(source: Any, info: Any, **_: object) -> Any:
        loader: Any = plan.loader(info.context)
        held = getattr(source, plan.key) if isinstance(plan.key, str) else source[plan.key.key]
        keys = list(held) if plan.many else [held]
        if held is None and not plan.many:
            return None
        if not info.context.is_async:
            return _field(plan, loader.load_at_once(keys))
        return info.context.given(_field_later(plan, loader, keys))

    return resolve


async def _field_later(plan: Load, loader: CaseLoader, keys: list[int]) -> Any:
    return _field(plan, await loader.load(keys))


def _field(plan: Load, values: list[Any]) -> Any:
    value = [each for each in values if each is not None] if plan.many else values[0]
    return value if plan.read is None else plan.read(value)
