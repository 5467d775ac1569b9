"""Finding documents by their ids, ids alone, and ids that are documents by a part of them."""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId
from bson.max_key import MaxKey
from bson.min_key import MinKey

from datasources.mongo.client import Document, Readable


async def find_by_ids(collection: Readable, ids: Sequence[ObjectId], **options: Any) -> dict[ObjectId, Document]:
    """Documents by id, without the missing ones; one operation."""
    documents = await collection.find({"_id": {"$in": list(ids)}}, batch_size=len(ids) + 1, **options).to_list()
    return {document["_id"]: document for document in documents}


async def find_ids(collection: Readable, query: Document, **options: Any) -> list[Any]:
    """The ids of the documents that match a query; `options` are those of `find`. One operation."""
    rows = await collection.find(query, {"_id": 1}, **options).to_list()
    return [row["_id"] for row in rows]


def within(first: ObjectId, *names: str) -> Document:
    """A condition for ids that are documents with fields `names`, of which the first has this value."""
    name, *rest = names
    return {
        "$gt": {name: first, **dict.fromkeys(rest, MinKey())},
        "$lt": {name: first, **dict.fromkeys(rest, MaxKey())},
    }
