"""Reads of a document together with documents of other collections: one operation, everything from one snapshot.

A snapshot contains every write that was acknowledged before the read began.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo.read_concern import ReadConcern

from datasources.mongo.client import Collection, Database, Document
from datasources.mongo.queries import Where, nowhere

SNAPSHOT = ReadConcern("snapshot")
JOINED = "joined"  # the field of a document, as it is read here, that holds what was joined to it


def snapshot_of(database: Database, name: str) -> Collection:
    """A collection of which each operation reads one snapshot."""
    return database.get_collection(name, read_concern=SNAPSHOT)


def join(
    collection: str,
    name: str,
    *,
    on: tuple[str, str] | None = None,
    where: Mapping[str, Any] | None = None,
    fields: Mapping[str, int] | None = None,
) -> Document:
    """A stage that joins a list of another collection's documents, called `name`, to each document.

    `on` names a field of the document, an id or a list of ids, and the field of the other collection that equals it.
    """
    pipeline: list[Document] = [{"$match": where}] if where else []
    if fields is not None:
        pipeline.append({"$project": fields})
    fields_equal = {} if on is None else {"localField": on[0], "foreignField": on[1]}
    return {"$lookup": {"from": collection, **fields_equal, "pipeline": pipeline, "as": f"{JOINED}.{name}"}}


async def find_joined(
    collection: Collection, document_id: ObjectId, stages: Sequence[Document], where: Where = nowhere
) -> tuple[Document, dict[str, list[Document]]] | None:
    """A document, and the lists that these stages join to it, by name; None if there is no such document."""
    match = {"$match": {"_id": document_id, **where([document_id])}}
    rows = await (await collection.aggregate([match, *stages])).to_list()
    return None if not rows else (rows[0], rows[0].pop(JOINED))


def first(rows: Sequence[Document]) -> Document | None:
    """The one document that a stage joined, or None."""
    return rows[0] if rows else None
