"""A database for each test module or test. To empty one takes a twentieth of the time that a new one takes."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from pymongo import MongoClient
from pymongo.database import Database

from config import Settings
from datasources.mongo.indexes import INDEXES

FEW = 20_000  # documents that are deleted faster than a new database is made
_empty: dict[str, list[str]] = {}  # databases of each server that have no documents, and no indexes but the product's
_clients: dict[str, MongoClient[dict[str, Any]]] = {}


@contextlib.contextmanager
def own_database(shared: Settings, **changes: object) -> Iterator[Settings]:
    """These settings with an empty database, a Redis key prefix and queues of their own.

    The database may have been another test's, and so be prepared.
    """
    name, empty = _new_name(), _empty.setdefault(shared.mongo_url, [])
    database = empty.pop() if empty else name
    is_good = False
    try:
        yield _with_names(shared, name, database, changes)
        is_good = _emptied(_client(shared.mongo_url)[database])
    finally:
        if is_good:
            empty.append(database)
        else:
            _client(shared.mongo_url).drop_database(database)


@contextlib.contextmanager
def new_database(shared: Settings, **changes: object) -> Iterator[Settings]:
    """As `own_database`, with a database that was never prepared. Drops it at the end."""
    name = _new_name()
    try:
        yield _with_names(shared, name, name, changes)
    finally:
        _client(shared.mongo_url).drop_database(name)


def close_clients() -> None:
    """Drops the databases that `own_database` has emptied, and closes the connections by which it did."""
    while _empty:
        url, names = _empty.popitem()
        for name in names:
            _client(url).drop_database(name)
    while _clients:
        _clients.popitem()[1].close()


def _new_name() -> str:
    return f"test_{uuid4().hex[:12]}"


def _with_names(shared: Settings, name: str, database: str, changes: Mapping[str, object]) -> Settings:
    own = {"mongo_database": database, "key_prefix": f"{name}:", "aws_prefix": f"{name}-"}
    return shared.model_copy(update={**own, **changes})


def _client(url: str) -> MongoClient[dict[str, Any]]:
    if url not in _clients:
        _clients[url] = MongoClient(url, serverSelectionTimeoutMS=5000)
    return _clients[url]


def _emptied(database: Database[dict[str, Any]]) -> bool:
    """Empties a database; whether it is good for another test then."""
    database.command("profile", 0)
    if database.command("dbStats")["objects"] > FEW:
        return False
    for name in database.list_collection_names():
        expected = {index.document["name"] for index in INDEXES.get(name, ())} | {"_id_"}
        if name not in INDEXES:
            database.drop_collection(name)
        elif database[name].index_information().keys() <= expected:
            database[name].delete_many({})
        else:
            return False
    return True
