"""Finding documents by their ids, ids alone, and ids that are documents by a part of them."""

from collections.abc import Callable, Sequence
from typing import Any

from bson import ObjectId
from bson.max_key import MaxKey
from bson.min_key import MinKey

from datasources.mongo.client import Document, Readable

BY_ID = "_id_"  # the index of the ids; a hint, or MongoDB may walk all documents of a popular key
Where = Callable[[Sequence[ObjectId]], Document]  # says where the documents of some ids lie, as a part of a query


def nowhere(_ids: Sequence[Any]) -> Document:
    """For collections that are sharded by their ids, or not at all: the ids say enough."""
    return {}


async def find_by_ids(
    collection: Readable, ids: Sequence[Any], where: Where = nowhere, **options: Any
) -> dict[Any, Document]:
    """Documents by id, without the missing ones; one operation, none for no ids."""
    if not ids:
        return {}
    if place := where(ids):
        options["hint"] = BY_ID
    query = {"_id": {"$in": list(ids)}, **place}
    documents = await collection.find(query, batch_size=len(ids) + 1, **options).to_list()
    return {document["_id"]: document for document in documents}


async def find_ids(collection: Readable, query: Document, **options: Any) -> list[Any]:
    """The ids of the documents that match a query; `options` are those of `find`. One operation."""
    if "limit" in options:
        options.setdefault("batch_size", options["limit"] + 1)  # else the first 101 are an operation of their own
    rows = await collection.find(query, {"_id": 1}, **options).to_list()
    return [row["_id"] for row in rows]


def among(documents: Sequence[Document], key: str) -> Document:
    """A condition for documents as they were read: by their ids, and by the field that shards their collection."""
    return {"_id": {"$in": [each["_id"] for each in documents]}, key: {"$in": list({each[key] for each in documents})}}


def within(first: ObjectId, *names: str) -> Document:
    """A condition for ids that are documents with fields `names`, of which the first has this value."""
    name, *rest = names
    return {
        "$gt": {name: first, **dict.fromkeys(rest, MinKey())},
        "$lt": {name: first, **dict.fromkeys(rest, MaxKey())},
    }
