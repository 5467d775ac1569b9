"""Listens to every command, and finds those of the product that would go to all shards of a cluster.

No sharded cluster can be run here. So each query is judged by `datasources/mongo/shard_keys.py`: it is targeted if it
names the key. The listener is on in every test of this process (`tests/conftest.py`). A query that goes to all shards
fails the test, unless `tests/support/allowed_scatters.py` lists the function that asks.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
from pymongo import monitoring

from datasources.mongo.shard_keys import SHARD_KEYS, ShardKey
from tests.support.allowed_scatters import is_allowed

Query = Mapping[str, Any]
ROOT = Path(__file__).resolve().parents[2]
PRODUCT = tuple(str(ROOT / folder) for folder in ("datasources", "resolvers", "schema", "workers", "app.py"))
OTHERS = tuple(str(ROOT / folder) for folder in ("tests", "benchmarks", "deploy"))
SHARED = tuple(  # what many stores call: the caller is who calls it
    str(ROOT / "datasources" / name) for name in ("mongo/", "concurrency/", "jobs/outbox.py", "jobs/idempotency.py")
)
_EQUAL = {"$eq", "$in"}
_LOWER, _UPPER = {"$gt", "$gte"}, {"$lt", "$lte"}


class Scatter(msgspec.Struct, frozen=True, order=True):
    """A query of a collection that names too little of its shard key: who asked, and by which fields."""

    collection: str
    caller: str
    command: str
    fields: tuple[str, ...]


class ShardAudit(monitoring.CommandListener):
    """Collects the product's scattered queries that no list allows."""

    def __init__(self) -> None:
        self.seen: set[Scatter] = set()
        self.unexpected: list[Scatter] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        scattered = list(scattered_queries(event.command_name, event.command))
        caller = _caller(sys._getframe()) if scattered else None
        if caller is None:
            return
        for collection, query in scattered:
            scatter = Scatter(collection, caller, event.command_name, tuple(sorted(_fields(query))))
            self.seen.add(scatter)
            if not is_allowed(collection, caller):
                self.unexpected.append(scatter)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Judged when it started."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Judged when it started."""


def scattered_queries(name: str, command: Query) -> Iterator[tuple[str, Query]]:
    """The collections and queries of a command that go to all shards."""
    for collection, query, is_whole in _queries(name, command):
        key = SHARD_KEYS.get(collection)
        if key is not None and not is_targeted(query, key, is_whole=is_whole):
            yield collection, query


def is_targeted(query: Query, key: ShardKey, *, is_whole: bool = False) -> bool:
    """Whether a query goes to some shards only: it names the key, or where ranges do, its first field.

    `is_whole` asks for each field of the key: upserts, and writes of one document chosen by more than its `_id`.
    """
    if is_whole or key.is_hashed:
        return all(_names(query, field) for field in key.fields)
    return _names(query, key.fields[0], with_ranges=True)


def _names(query: Query, field: str, *, with_ranges: bool = False) -> bool:
    """Whether every branch of a query fixes a field to some values, or to a range with two ends."""
    condition = query.get(field)
    if field in query:
        operators = set(condition) if isinstance(condition, Mapping) else set()
        if not any(operator.startswith("$") for operator in operators):
            return True
        if operators & _EQUAL or (with_ranges and operators & _LOWER and operators & _UPPER):
            return True
    if any(_names(each, field, with_ranges=with_ranges) for each in query.get("$and", ())):
        return True
    return "$or" in query and all(_names(each, field, with_ranges=with_ranges) for each in query["$or"])


def _queries(name: str, command: Query) -> Iterator[tuple[str, Query, bool]]:
    """The collections and queries of a command, and whether each must name the whole key."""
    match name:
        case "find":
            yield command["find"], command.get("filter", {}), False
        case "distinct":
            yield command["distinct"], command.get("query", {}), False
        case "findAndModify":
            yield command["findAndModify"], command.get("query", {}), True
        case "update":
            for each in command.get("updates", ()):
                yield command["update"], each["q"], not each.get("multi", False)
        case "delete":
            for each in command.get("deletes", ()):
                yield command["delete"], each["q"], each.get("limit") == 1
        case "aggregate" if isinstance(command["aggregate"], str):
            yield from _queries_of_pipeline(command["aggregate"], command["pipeline"])


def _queries_of_pipeline(collection: str, pipeline: Sequence[Query]) -> Iterator[tuple[str, Query, bool]]:
    yield collection, _first_match(pipeline), False
    for stage in pipeline:
        if "$lookup" in stage:
            lookup = stage["$lookup"]
            joined = {lookup["foreignField"]: {"$in": ()}} if "foreignField" in lookup else {}
            yield lookup["from"], {**_first_match(lookup.get("pipeline", ())), **joined}, False


def _first_match(pipeline: Sequence[Query]) -> Query:
    match: Query = pipeline[0].get("$match", {}) if pipeline else {}
    return match


def _fields(query: Query) -> set[str]:
    """The fields by which a query asks."""
    nested = [field for name in ("$or", "$and") for each in query.get(name, ()) for field in _fields(each)]
    return {name for name in query if not name.startswith("$")}.union(nested)


def _caller(frame: FrameType | None) -> str | None:
    """The function of the product that asks, as `datasources.posts.posts.PostStore.delete`; None for a test's own.

    What many stores share is named only if no store stands above it, as in tasks that serve several callers.
    """
    shared: str | None = None
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(OTHERS) and path != __file__:
            return None
        if path.startswith(PRODUCT):
            module = path.removeprefix(f"{ROOT}/").removesuffix(".py").replace("/", ".")
            name = f"{module}.{frame.f_code.co_qualname.partition('.<locals>')[0]}"
            if not path.startswith(SHARED):
                return name
            if "/concurrency/" not in path:
                shared = name
        frame = frame.f_back
    return shared
