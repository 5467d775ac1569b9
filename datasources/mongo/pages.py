"""Pages of lists by keyset: each find begins where the last page ended, on an index."""

from typing import Any

from datasources.mongo.client import Document, Readable
from domain.paging import PageRequest, Ranked


async def find_page(
    collection: Readable,
    query: Document,
    request: PageRequest,
    field: str = "_id",
    *,
    oldest_first: bool = False,
    **options: Any,
) -> list[Document]:
    """Up to `limit + 1` documents of a page, in walking order, of a list that runs from the largest `field` down.

    With `oldest_first` the list runs from the smallest up.
    """
    past, short_of = ("$gt", "$lt") if oldest_first else ("$lt", "$gt")
    bounds: Document = {}
    if request.after is not None:
        bounds[past] = request.after
    if request.before is not None:
        bounds[short_of] = request.before
    if bounds:
        query = {**query, field: bounds}
    order = 1 if request.backward is not oldest_first else -1
    return await collection.find(query, sort=[(field, order)], limit=request.limit + 1, **options).to_list()


async def find_ranked_page(
    collection: Readable, query: Document, request: PageRequest, score: str, field: str = "_id", **options: Any
) -> list[Document]:
    """As `find_page`, of a list that runs from the largest `score` down, and from the largest `field` of equal scores.

    It takes at most three finds, one for each span of the index on (`query`'s fields, `score`, `field`) that the page
    lies in: as one `$or`, MongoDB 6 would read and sort all of them.
    """
    order = 1 if request.backward else -1
    spans, rows, wanted = ranked_spans(request, score, field), list[Document](), request.limit + 1
    for span in reversed(spans) if request.backward else spans:
        # Equal scores are in the order of their ids; a sort by the score too would make MongoDB read them all.
        sort = [(field, order)] if field in span else [(score, order), (field, order)]
        cursor = collection.find({**query, **span}, sort=sort, limit=wanted - len(rows), **options)
        rows += await cursor.to_list()
        if len(rows) == wanted:
            break
    return rows


def ranked_spans(request: PageRequest, score: str, field: str = "_id") -> list[Document]:
    """Queries for what lies strictly between a request's bounds, largest first: equal scores at an end are a span."""
    after, before = request.after, request.before
    if isinstance(after, Ranked) and isinstance(before, Ranked) and after.score <= before.score:
        is_same_score = after.score == before.score
        return [{score: after.score, field: {"$lt": after.id, "$gt": before.id}}] if is_same_score else []
    above: list[Document] = []
    below: list[Document] = []
    between: Document = {}
    if isinstance(after, Ranked):
        above = [{score: after.score, field: {"$lt": after.id}}]
        between["$lt"] = after.score
    if isinstance(before, Ranked):
        below = [{score: before.score, field: {"$gt": before.id}}]
        between["$gt"] = before.score
    return [*above, {score: between} if between else {}, *below]
