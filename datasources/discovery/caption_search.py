"""Finding posts by the words of their captions, newest first. What the viewer may see, the caller decides.

A page reads a bounded number of entries, however common its words. A search asks every shard: posts lie by their
authors, and so does this collection.
"""

import asyncio
from collections.abc import Sequence

from bson import ObjectId

from datasources.mongo.client import Database, Document, Readable
from datasources.mongo.indexes import OPEN_CAPTIONS, OWN_CAPTIONS
from domain.paging import Page, PageRequest, cut_page

SCANNED = 500  # entries of the rarest word that one step compares with the others
COUNTED = 1_000  # entries of a word; those with more are equally common
WORDS_COUNTED = 8  # the longest ones

Word = Sequence[str]  # terms, of which a caption must have one


class CaptionSearch:
    """Reads of `caption_terms`, which `datasources/posts/caption_terms.py` writes."""

    def __init__(self, database: Database) -> None:
        self._entries: Readable = database["caption_terms"]

    async def found(
        self, words: Sequence[Word], viewer_id: ObjectId | None, request: PageRequest
    ) -> Page[ObjectId | None]:
        """Posts with all of these words: those that everybody finds, and all of the viewer's own; forward only.

        The words are in the order of `rarest_first`. The last item may be None, with the key up to which was read:
        there may be more beyond it.
        """
        reads = [self._read({"is_open": True}, OPEN_CAPTIONS, words, request)]
        if viewer_id is not None:
            reads.append(self._read({"author_id": viewer_id, "is_open": False}, OWN_CAPTIONS, words, request))
        parts = await asyncio.gather(*reads)
        ends = [end for _, end in parts if end is not None]
        # Beyond the first of the ends there may be posts of that part that were not read.
        reached = max(ends, default=None)
        found = {post_id for ids, _ in parts for post_id in ids if reached is None or post_id >= reached}
        items: list[tuple[ObjectId, ObjectId | None]] = [(each, each) for each in sorted(found, reverse=True)]
        if reached is not None and reached not in found:
            items.append((reached, None))
        return cut_page(request, items, stopped_at=reached if len(items) <= request.limit else None)

    async def rarest_first(self, words: Sequence[Word]) -> Sequence[Word]:
        """These words with the rarest one first: a count for each of up to `WORDS_COUNTED`, none for one word."""
        if len(words) == 1:
            return words
        longest = sorted(words, key=lambda word: len(word[0]), reverse=True)
        counts = await asyncio.gather(*(self._count(word) for word in longest[:WORDS_COUNTED]))
        rarest = counts.index(min(counts))
        return [longest[rarest], *longest[:rarest], *longest[rarest + 1 :]]

    async def _count(self, word: Word) -> int:
        query = {"is_open": True, "terms": {"$in": list(word)}}
        return await self._entries.count_documents(query, limit=COUNTED, hint=OPEN_CAPTIONS)

    async def _read(
        self, where: Document, index: list[tuple[str, int]], words: Sequence[Word], request: PageRequest
    ) -> tuple[list[ObjectId], ObjectId | None]:
        """Posts with all of these words, newest first, and where reading ended; None for the end of the list.

        One walk of the index: of a page for one word, of `SCANNED` entries of the first one for several.
        """
        first, *others = words
        limit = SCANNED if others else request.limit + 1
        beyond = {} if request.after is None else {"_id": {"$lt": request.after}}
        has_others = [
            {"$gt": [{"$size": {"$setIntersection": ["$terms", {"$literal": list(word)}]}}, 0]} for word in others
        ]
        pipeline: list[Document] = [
            {"$match": {**where, "terms": {"$in": list(first)}, **beyond}},
            {"$sort": {"_id": -1}},
            {"$limit": limit},
            {"$project": {"_id": 1, **({"is_found": {"$and": has_others}} if others else {})}},
        ]
        rows = await (await self._entries.aggregate(pipeline, hint=dict(index))).to_list()
        found = [row["_id"] for row in rows if row.get("is_found", True)]
        return found, rows[-1]["_id"] if len(rows) == limit else None
