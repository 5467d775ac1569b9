"""Finding documents by their ids, ids alone, and ids that are documents by a part of them."""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId
from bson.max_key import MaxKey
from bson.min_key import MinKey

from datasources.mongo.client import Document, Readable

BY_ID = "_id_"  # the index of the ids; a hint, or MongoDB may walk all documents of a popular key


async def find_by_ids(collection: Readable, ids: Sequence[Any], **options: Any) -> dict[Any, Document]:
    """Documents by id, without the missing ones; one operation."""
    documents = await collection.find({"_id": {"$in": list(ids)}}, batch_size=len(ids) + 1, **options).to_list()
    return {document["_id"]: document for document in documents}


async def find_ids(collection: Readable, query: Document, **options: Any) -> list[Any]:
    """The ids of the documents that match a query; `options` are those of `find`. One operation."""
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
