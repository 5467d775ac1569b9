"""Finding documents by the beginnings of their keys (`domain/search_keys.py`), the most popular ones first.

What can be found has a part `search`: `n0` to `n5`, its keys, and `popularity`, how much it is followed or used, about.
Only documents that have it are in the indexes, one for each key, and so are found.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datasources.mongo.client import Document, Readable
from domain.paging import Match
from domain.search_keys import KEYS_MAX, POPULARITY_MAX

SEARCH = "search"
POPULARITY = f"{SEARCH}.popularity"
KEYS = tuple(f"{SEARCH}.n{number}" for number in range(KEYS_MAX))
LISTED = {"$gte": 0}  # of a popularity
_LAST = "\U0010ffff"  # sorts after every letter
_DOUBLED = [2**times for times in range(POPULARITY_MAX)]


def popularity_of(counter: str) -> Document:
    """An expression for the popularity that a counter of the document says."""
    count = {"$ifNull": [f"${counter}", 0]}
    return {"$size": {"$filter": {"input": _DOUBLED, "cond": {"$gte": [count, "$$this"]}}}}


def listing_if(condition: Document, counter: str) -> Document:
    """The end of an update pipeline: the document is found if this is so, by its popularity as it is now."""
    return {"$set": {POPULARITY: {"$cond": [condition, popularity_of(counter), "$$REMOVE"]}}}


def key_fields(keys: Sequence[str]) -> Document:
    """The keys as fields of the part `search`."""
    return {f"n{number}": key for number, key in enumerate(keys)}


def beginning(key: str) -> Document:
    """A condition for keys that begin with this one."""
    return {"$gte": key, "$lt": key + _LAST}


async def find_by_key(
    collection: Readable,
    fields: Sequence[str],
    key: str,
    limit: int,
    after: Match | None,
    group: int,
    where: Mapping[str, Any] | None = None,
) -> list[Match]:
    """Up to `limit` positions after one, in order, of documents with keys that begin with this one; matches of a group.

    A document stands at each of its keys among `fields`. `where` has values of the fields that the indexes begin with.
    One operation, which reads entries of indexes and no documents: at most `limit` of each index, and a few for each
    popularity.
    """
    branches = [_branch(field, where or {}, span, limit) for field in fields for span in _spans(field, key, after)]
    others = ({"$unionWith": {"coll": collection.name, "pipeline": each}} for each in branches[1:])
    rows = await (await collection.aggregate([*branches[0], *others])).to_list()
    found = [Match(group, row["popularity"], row["text"], row["_id"]) for row in rows]
    return sorted(found, key=lambda match: match.order)[:limit]


def _branch(field: str, where: Mapping[str, Any], span: Mapping[str, Any], limit: int) -> list[Document]:
    """Stages that read positions in order from the index of one field, and nothing else."""
    order = {**dict.fromkeys(where, 1), POPULARITY: -1, field: 1, "_id": 1}
    shown = {"_id": 1, "popularity": f"${POPULARITY}", "text": f"${field}"}
    return [{"$match": {**where, **span}}, {"$sort": order}, {"$limit": limit}, {"$project": shown}]


def _spans(field: str, key: str, after: Match | None) -> Iterator[Document]:
    """Parts of an index that hold the keys beginning with `key` after a position; each is walked in its order."""
    if after is None:
        yield {POPULARITY: LISTED, field: beginning(key)}
        return
    yield {POPULARITY: after.popularity, field: after.text, "_id": {"$gt": after.id}}
    yield {POPULARITY: after.popularity, field: {"$gt": after.text, "$lt": key + _LAST}}
    yield {POPULARITY: {**LISTED, "$lt": after.popularity}, field: beginning(key)}
