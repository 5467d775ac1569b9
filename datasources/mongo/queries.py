"""Finding documents by their ids, and by a part of ids that are documents themselves."""

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


def within(first: ObjectId, *names: str) -> Document:
    """A condition for ids that are documents with fields `names`, of which the first has this value."""
    name, *rest = names
    return {
        "$gt": {name: first, **dict.fromkeys(rest, MinKey())},
        "$lt": {name: first, **dict.fromkeys(rest, MaxKey())},
    }
