"""Numbers in many documents, each set or moved by its own value, in the caller's transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne

from datasources.mongo.client import Collection, Session
from datasources.mongo.queries import Where, nowhere


async def increment(
    collection: Collection,
    field: str,
    by: Mapping[ObjectId, int],
    session: Session,
    where: Where = nowhere,
    then: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Adds to a field of many documents, in one operation; a missing document is left out.

    `then` are stages that set what follows from the new number.

    It goes in the order of the ids, so that concurrent duplicates conflict at the first id that they share.
    """
    deltas = [(id_, delta) for id_, delta in sorted(by.items()) if delta]
    updates = [UpdateOne({"_id": id_, **where([id_])}, _addition(field, delta, then)) for id_, delta in deltas]
    if updates:
        await collection.bulk_write(updates, ordered=False, session=session)


def _addition(field: str, delta: int, then: Sequence[Mapping[str, Any]]) -> Any:
    if not then:
        return {"$inc": {field: delta}}
    return [{"$set": {field: {"$add": [{"$ifNull": [f"${field}", 0]}, delta]}}}, *then]


async def set_numbers(
    collection: Collection, field: str, numbers: Mapping[ObjectId, int], session: Session, where: Where = nowhere
) -> None:
    """Sets a field of many documents; one operation for each number that occurs. Safe to repeat."""
    ids_by_number: dict[int, list[ObjectId]] = defaultdict(list)
    for id_, number in numbers.items():
        ids_by_number[number].append(id_)
    for number, ids in ids_by_number.items():
        await collection.update_many({"_id": {"$in": ids}, **where(ids)}, {"$set": {field: number}}, session=session)
