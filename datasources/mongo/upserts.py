"""Writes that insert only what is not there yet, safe beside concurrent duplicates."""

from collections.abc import Mapping, Sequence
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError

from datasources.mongo.client import DUPLICATE_KEY, Collection, Document

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
    # The bare command, for speed: MongoDB notes each document of an `insert_many`, so that the driver may retry it,
    # which takes a fifth of the time, and the driver goes through each document four times.
    command = {"insert": collection.name, "documents": documents, "ordered": False}
    answer = await collection.database.command({**command, "writeConcern": collection.write_concern.document})
    failures = [failure for failure in answer.get("writeErrors", ()) if failure["code"] != DUPLICATE_KEY]
    unsure = [answer["writeConcernError"]] if "writeConcernError" in answer else []
    if failures or unsure:
        raise BulkWriteError({"writeErrors": failures, "writeConcernErrors": unsure})
