"""Listens to every command, and finds those of the product that would go to all shards of a cluster.

No sharded cluster can be run here. So each query is judged by `datasources/mongo/shard_keys.py`: it is targeted if it
names the key. The listener is on in every test of this process (`tests/conftest.py`). A query that goes to all shards
fails the test, unless `tests/support/allowed_scatters.py` lists the function that asks.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from pathlib import Path
from types import FrameType, MappingProxyType
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


class Reach(Enum):
    """How many documents a command is about, which says how much of the key it must name."""

    MANY = auto()
    ONE = auto()  # a write of one
    UPSERT = auto()


class Scatter(msgspec.Struct, frozen=True, order=True):
    """A query of a collection that names too little of its shard key: who asked, and by which fields."""

    collection: str
    caller: str
    command: str
    fields: tuple[str, ...]


class ShardAudit(monitoring.CommandListener):
    """Collects the product's scattered queries that no list allows."""

    def __init__(self) -> None:
        self.unexpected: list[Scatter] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        scattered = list(scattered_queries(event.command_name, event.command))
        caller = _caller(sys._getframe()) if scattered else None
        if caller is None:
            return
        for collection, query in scattered:
            scatter = Scatter(collection, caller, event.command_name, tuple(sorted(_fields(query))))
            if not is_allowed(collection, caller):
                self.unexpected.append(scatter)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Judged when it started."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Judged when it started."""


def scattered_queries(name: str, command: Query) -> Iterator[tuple[str, Query]]:
    """The collections and queries of a command that go to all shards."""
    for collection, query, reach in _queries(name, command):
        key = SHARD_KEYS.get(collection)
        if key is not None and not is_targeted(query, key, reach):
            yield collection, query


def is_targeted(query: Query, key: ShardKey, reach: Reach = Reach.MANY) -> bool:
    """Whether a query goes to some shards only: it names the first field of the key, by a range if that is not hashed.

    An upsert names each field of the key. A write of one document does so, or names its `_id` beside the first field.
    """
    is_whole = all(_names(query, field) for field in key.fields)
    if is_whole or reach is Reach.UPSERT:
        return is_whole
    begins = _names(query, key.fields[0], with_ranges=not key.is_hashed)
    return begins and (reach is Reach.MANY or _names(query, "_id"))


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


def _queries(name: str, command: Query) -> Iterator[tuple[str, Query, Reach]]:
    """The collections and queries of a command, and how many documents each is about."""
    match name:
        case "find":
            yield command["find"], command.get("filter", {}), Reach.MANY
        case "distinct" | "count":
            yield command[name], command.get("query", {}), Reach.MANY
        case "findAndModify":
            yield command["findAndModify"], command.get("query", {}), _reach(command, is_one=True)
        case "update":
            for each in command.get("updates", ()):
                yield command["update"], each["q"], _reach(each, is_one=not each.get("multi", False))
        case "delete":
            for each in command.get("deletes", ()):
                yield command["delete"], each["q"], _reach(each, is_one=each.get("limit") == 1)
        case "aggregate" if isinstance(command["aggregate"], str):
            for collection, query in _queries_of_pipeline(command["aggregate"], command["pipeline"]):
                yield collection, query, Reach.MANY


def _reach(write: Query, *, is_one: bool) -> Reach:
    if write.get("upsert", False):
        return Reach.UPSERT
    return Reach.ONE if is_one else Reach.MANY


def _queries_of_pipeline(
    collection: str, pipeline: Sequence[Query], joined: Query = MappingProxyType({})
) -> Iterator[tuple[str, Query]]:
    yield collection, {**_first_match(pipeline), **joined}
    for stage in pipeline:
        ((operator, given),) = stage.items()
        match operator:
            case "$lookup":
                on = {given["foreignField"]: {"$in": ()}} if "foreignField" in given else {}
                yield from _queries_of_pipeline(given["from"], given.get("pipeline", ()), on)
            case "$graphLookup":
                yield given["from"], {**given.get("restrictSearchWithMatch", {}), given["connectToField"]: {"$in": ()}}
            case "$unionWith" if isinstance(given, str):
                yield given, {}
            case "$unionWith":
                yield from _queries_of_pipeline(given["coll"], given.get("pipeline", ()))
            case "$facet":  # whose pipelines go on with what is there
                for inner in given.values():
                    yield from list(_queries_of_pipeline(collection, inner))[1:]


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
