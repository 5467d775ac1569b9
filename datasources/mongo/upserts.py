"""Writes that insert only what is not there yet, safe beside concurrent duplicates."""

from collections.abc import Mapping, Sequence
from typing import Any

import pymongo
from bson.raw_bson import RawBSONDocument
from pymongo.errors import AutoReconnect, BulkWriteError, DuplicateKeyError

from datasources.mongo.client import DUPLICATE_KEY, Collection, Document, time_limit

TRIES = 5  # two upserts of one new key can collide; the next try finds the document


async def upsert(collection: Collection, key: Mapping[str, Any], pipeline: Sequence[Mapping[str, Any]]) -> Document:
    """Applies an update pipeline to the document with this unique `key`, or inserts it; returns the new document.

    Atomic. An upsert that loses the race for a new key is tried again as an update.
    """
    for _ in range(TRIES):
        try:
            document = await collection.find_one_and_update(key, list(pipeline), upsert=True, return_document=True)
        except DuplicateKeyError:
            continue
        assert document is not None  # noqa: S101  an upsert always returns a document
        return document
    raise RuntimeError(f"could not upsert into {collection.name}")


async def insert_absent(collection: Collection, documents: Sequence[RawBSONDocument]) -> None:
    """Inserts those of these encoded documents whose `_id` is not there yet, in one operation. Safe to repeat.

    Raises BulkWriteError.
    """
    answer = await _write(collection, {"insert": collection.name, "documents": documents})
    _raise_failures(answer, [each for each in answer.get("writeErrors", ()) if each["code"] != DUPLICATE_KEY])


async def update_each(collection: Collection, updates: Sequence[Mapping[str, Any]]) -> bool:
    """Applies updates, as the command `update` has them, in one operation, in any order; whether any changed something.

    Each must be safe to repeat: after a lost connection or a change of the primary, all are sent once more, without
    knowing which were applied; both times share one time limit. Raises BulkWriteError.
    """
    answer, _ = await _write_again_if_lost(collection, {"update": collection.name, "updates": updates})
    _raise_failures(answer, answer.get("writeErrors", ()))
    return bool(answer["nModified"] or answer.get("upserted"))


async def insert_each(
    collection: Collection, documents: Sequence[Mapping[str, Any]], same: Sequence[str]
) -> dict[int, Document]:
    """Inserts documents with new ids in one operation; returns what each refused as a duplicate met, by its number.

    They are sent once more as by `update_each`. One whose `_id` is there then, in a document with the same values of
    the `same` fields, which never change, was inserted the first time. Raises BulkWriteError.
    """
    answer, is_again = await _write_again_if_lost(collection, {"insert": collection.name, "documents": documents})
    failures: Sequence[Document] = answer.get("writeErrors", ())
    duplicates = {each["index"]: each for each in failures if each["code"] == DUPLICATE_KEY}
    _raise_failures(answer, [each for each in failures if each["index"] not in duplicates])
    there = [documents[index] for index, each in duplicates.items() if is_again and each["keyPattern"] == {"_id": 1}]
    if not there:
        return duplicates
    ours = {"$or": [{field: document[field] for field in ("_id", *same)} for document in there]}
    inserted = {row["_id"] async for row in collection.find(ours, {"_id": 1})}
    return {index: each for index, each in duplicates.items() if documents[index]["_id"] not in inserted}


async def _write_again_if_lost(collection: Collection, command: Document) -> tuple[Document, bool]:
    """The answer to a bare command, and whether it was sent again because the first answer was lost."""
    with pymongo.timeout(time_limit(collection)):
        try:
            return await _write(collection, command), False
        except AutoReconnect as error:
            if error.timeout:
                raise
            return await _write(collection, command), True


async def _write(collection: Collection, command: Document) -> Document:
    """The answer to a bare command, for speed.

    MongoDB notes each document that the driver writes, so that the driver may retry it, which takes a fifth of the
    time, and the driver goes through each document four times.
    """
    write_concern = collection.write_concern.document
    return await collection.database.command({**command, "ordered": False, "writeConcern": write_concern})


def _raise_failures(answer: Document, failures: Sequence[Document]) -> None:
    unsure = [answer["writeConcernError"]] if "writeConcernError" in answer else []
    if failures or unsure:
        raise BulkWriteError({"writeErrors": failures, "writeConcernErrors": unsure})
