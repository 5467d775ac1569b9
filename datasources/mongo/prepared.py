"""Making the collections and indexes of a database, and the check that it has them all."""

import contextlib

from pymongo import timeout
from pymongo.errors import CollectionInvalid, OperationFailure

from datasources.mongo.client import DUPLICATE_KEY, LONGEST_SECONDS, Database, Document
from datasources.mongo.indexes import DUE, INDEXES, PENDING
from domain.jobs import Fact

_CONFLICTS = {DUPLICATE_KEY, 85, 86}  # and IndexOptionsConflict, IndexKeySpecsConflict
# Where names are found by many entries: on disk they take half as many bytes. An index made before stays as it is.
_COMPRESSED: Document = {
    "indexOptionDefaults": {"storageEngine": {"wiredTiger": {"configString": "block_compressor=zstd"}}}
}
_OPTIONS = {"users": _COMPRESSED, "topics": _COMPRESSED}
MAX_NAMED = 3  # missing indexes in a message


async def ensure_indexes(database: Database) -> None:
    """Makes the collections and indexes that are missing. Safe to repeat and to run side by side.

    Those of one collection may take `LONGEST_SECONDS`. Raises IndexesMissingError if documents, or another index, are
    in the way of one.
    """
    existing = set(await database.list_collection_names())
    for name, indexes in INDEXES.items():
        if name not in existing:
            with contextlib.suppress(CollectionInvalid):  # another process was first
                await database.create_collection(name, **_OPTIONS.get(name, {}))
        if not indexes:
            continue
        try:
            with timeout(LONGEST_SECONDS):  # else MongoDB would give up the build of an index of many documents
                await database[name].create_indexes(indexes)
        except OperationFailure as error:
            if error.code not in _CONFLICTS:
                raise
            reason = " ".join(str((error.details or {}).get("errmsg", error)).split())
            raise IndexesMissingError(f"an index of {name} cannot be made: {reason}") from error


class UnusableDatabaseError(RuntimeError):
    """The database is not as this version needs it; the message, one line, says what to do."""


class IndexesMissingError(UnusableDatabaseError):
    """The database lacks indexes that the product's rules rest on."""


class OldDatabaseError(UnusableDatabaseError):
    """The database has the form of an older version, which this one can neither read nor migrate."""


async def expect_indexes(database: Database) -> None:
    """Raises IndexesMissingError unless every index is there, and OldDatabaseError."""
    missing = await missing_indexes(database)
    if missing:
        await refuse_old_form(database)
        more = len(missing) - MAX_NAMED
        names = ", ".join(missing[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
        raise IndexesMissingError(f"the database lacks indexes ({names}): run `photogram prepare` first")


async def missing_indexes(database: Database) -> list[str]:
    """The indexes that should be there and are not, as `collection.index`."""
    missing = []
    for name, indexes in INDEXES.items():
        existing = await database[name].index_information()
        wanted = [index.document["name"] for index in indexes] or ["_id_"]  # which comes with the collection
        missing += [f"{name}.{index}" for index in wanted if index not in existing]
    return missing


async def refuse_old_form(database: Database) -> None:
    """Raises OldDatabaseError for a database whose facts are indexed by what is pending, and nowhere by when it is due.

    In the old form the time stood in another field.
    """
    pending, due = PENDING.document["name"], DUE.document["name"]
    is_old = False
    for fact in Fact:
        names = await database[fact.collection].index_information()
        if due in names:
            return
        is_old = is_old or pending in names
    if is_old:
        raise OldDatabaseError(
            f"the database {database.name} was made by an older version, and its data cannot be migrated: "
            "use a new database (PHOTOGRAM_MONGO_DATABASE, or for `photogram run` a new --data-dir)"
        )
