"""The posts in collections: each has a position of its own, the largest first, so moving one writes only that one."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from bson import ObjectId
from pymongo import UpdateOne

from datasources.mongo.client import Database, Document, Session
from datasources.mongo.indexes import POSITIONS
from datasources.mongo.lenient_reads import readable
from datasources.mongo.pages import find_page
from datasources.mongo.queries import find_ids
from datasources.mongo.sharded_ids import new_id
from domain.errors import NotFound, Refusal, UserErrorCode
from domain.limits import COLLECTION_POSTS_MAX, COLLECTIONS_OF_POST_MAX
from domain.paging import Page, PageRequest, cut_page
from domain.records.saves import SavedPost

GAP = 2**32  # between neighbours: so many halvings before a collection is numbered anew
FIRST = 2**40


class Placing(msgspec.Struct, frozen=True):
    """Where a post of a collection is to be: directly after another one, or first."""

    after: ObjectId | None


class PostChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of one post of a collection: `values` are set, and with `placing` it is moved."""

    post_id: ObjectId
    values: Mapping[str, Any]
    placing: Placing | None = None


class CollectionPostStore:
    """The collection `collection_posts`. `post_count` of `collections` changes in the same transactions.

    A unique index gives each position of a collection once: of two transactions that choose the same, one runs again.
    """

    def __init__(self, database: Database) -> None:
        self._posts = database["collection_posts"]
        self._collections = database["collections"]

    async def put(
        self,
        owner_id: ObjectId,
        post_id: ObjectId,
        collection_ids: Sequence[ObjectId],
        now: datetime,
        session: Session,
    ) -> bool:
        """Puts a post first into those of these collections in which it is not yet, and takes it out of all others.

        Whether that changes anything. Raises Refusal (TOO_MANY_SAVES), NotFound.
        """
        query = {"owner_id": owner_id, "post_id": post_id}
        rows = await self._posts.find(query, {"collection_id": 1}, session=session).to_list()
        there, wanted = {row["collection_id"] for row in rows}, dict.fromkeys(collection_ids)
        await self._remove_from(owner_id, [post_id], sorted(there.difference(wanted)), session)
        added = [collection_id for collection_id in wanted if collection_id not in there]
        for collection_id in added:
            await self._add(owner_id, post_id, collection_id, now, session)
        return bool(added or there.difference(wanted))

    async def remove(self, owner_id: ObjectId, post_ids: Sequence[ObjectId], session: Session) -> None:
        """Takes posts out of all collections of an account."""
        query = {"owner_id": owner_id, "post_id": {"$in": list(post_ids)}}
        rows = await self._posts.find(query, {"collection_id": 1}, session=session).to_list()
        await self._remove_from(owner_id, post_ids, sorted({row["collection_id"] for row in rows}), session)

    async def change(
        self, owner_id: ObjectId, collection_id: ObjectId, changes: Sequence[PostChange], session: Session
    ) -> None:
        """Makes these changes in their order. Raises NotFound for a post that is not in the collection."""
        for change in changes:
            item = await self._item(owner_id, collection_id, change.post_id, "postId", session)
            values = dict(change.values)
            if change.placing is not None:
                position = await self._position(item, change.placing, session)
                if position is not None:
                    values["position"] = position
            if values:
                await self._posts.update_one(_key(item), {"$set": values}, session=session)

    async def of_collection(self, owner_id: ObjectId, collection_id: ObjectId, request: PageRequest) -> Page[SavedPost]:
        """The posts of a collection in its order.

        A cursor is the id of an item, so that it outlasts new numbers and tells nothing of the items between. A page
        goes on from where the item is now; for one that was removed, from what was put in before it.
        """
        request = request.expects(ObjectId)
        query: Document = {"owner_id": owner_id, "collection_id": collection_id}
        bounds = {
            name: await self._position_now(query, key)
            for name, key in (("after", request.after), ("before", request.before))
            if isinstance(key, ObjectId)
        }
        placed = msgspec.structs.replace(request, **bounds)
        rows = await find_page(self._posts, query, placed, "position", hint=POSITIONS)
        return cut_page(request, [(row["_id"], to_saved(row)) for row in rows])

    async def notes(self, owner_id: ObjectId, collection_id: ObjectId) -> list[str]:
        """All notes in a collection, in its order."""
        query = {"owner_id": owner_id, "collection_id": collection_id, "note": {"$gt": ""}}
        rows = self._posts.find(query, {"note": 1}, sort=[("position", -1)], hint=POSITIONS)
        return [row["note"] for row in await rows.to_list()]

    async def collections_of(
        self, owner_id: ObjectId, post_ids: Sequence[ObjectId]
    ) -> Mapping[ObjectId, Sequence[ObjectId]]:
        """In which collections of an account these posts are, by post, latest put in first; one operation."""
        query = {"owner_id": owner_id, "post_id": {"$in": list(post_ids)}}
        found: dict[ObjectId, list[ObjectId]] = {}
        fields, limit = {"post_id": 1, "collection_id": 1}, len(post_ids) * COLLECTIONS_OF_POST_MAX
        for row in await self._posts.find(query, fields, batch_size=limit + 1).sort("_id", -1).to_list():
            found.setdefault(row["post_id"], []).append(row["collection_id"])
        return found

    async def has(self, owner_id: ObjectId, collection_id: ObjectId, post_id: ObjectId, session: Session) -> bool:
        """Whether a post is in a collection."""
        query = {"owner_id": owner_id, "post_id": post_id, "collection_id": collection_id}
        return await self._posts.find_one(query, {"_id": 1}, session=session) is not None

    async def delete_of_collection(self, owner_id: ObjectId, collection_id: ObjectId, session: Session) -> None:
        """Deletes what was in a collection; the posts stay saved."""
        query = {"owner_id": owner_id, "collection_id": collection_id}
        await self._posts.delete_many(query, session=session)

    async def erase(self, owner_id: ObjectId, limit: int) -> bool:
        """Deletes up to `limit` posts of a deleted account's collections; whether there were any. Safe to repeat."""
        ids = await find_ids(self._posts, {"owner_id": owner_id}, limit=limit)
        await self._posts.delete_many({"_id": {"$in": ids}, "owner_id": owner_id})
        return bool(ids)

    async def _add(
        self, owner_id: ObjectId, post_id: ObjectId, collection_id: ObjectId, now: datetime, session: Session
    ) -> None:
        one = {"_id": collection_id, "owner_id": owner_id, "deleted": False}
        collection = await self._collections.find_one_and_update(
            one, {"$inc": {"post_count": 1}}, return_document=True, session=session
        )
        if collection is None:
            raise NotFound("collection", field=["collectionIds"])
        if collection["post_count"] > COLLECTION_POSTS_MAX:
            message = f"A collection has {COLLECTION_POSTS_MAX:,} posts at most."
            raise Refusal(UserErrorCode.TOO_MANY_SAVES, message, field=["collectionIds"])
        document = {
            "_id": new_id(owner_id),
            "owner_id": owner_id,
            "collection_id": collection_id,
            "post_id": post_id,
            "position": await self._top(owner_id, collection_id, session),
            "saved_at": now,
        }
        await self._posts.insert_one(document, session=session)

    async def _remove_from(
        self, owner_id: ObjectId, post_ids: Sequence[ObjectId], collection_ids: Sequence[ObjectId], session: Session
    ) -> None:
        for collection_id in collection_ids:
            query = {"owner_id": owner_id, "post_id": {"$in": list(post_ids)}, "collection_id": collection_id}
            number = (await self._posts.delete_many(query, session=session)).deleted_count
            is_cover = {"$in": ["$cover_post_id", list(post_ids)]}
            values = {
                "post_count": {"$subtract": ["$post_count", number]},
                "cover_post_id": {"$cond": [is_cover, "$$REMOVE", "$cover_post_id"]},
            }
            one = {"_id": collection_id, "owner_id": owner_id}
            await self._collections.update_one(one, [{"$set": values}], session=session)

    async def _item(
        self, owner_id: ObjectId, collection_id: ObjectId, post_id: ObjectId, field: str, session: Session
    ) -> Document:
        query = {"owner_id": owner_id, "post_id": post_id, "collection_id": collection_id}
        item = await self._posts.find_one(query, session=session)
        if item is None:
            raise NotFound("post in this collection", field=["posts", field])
        return item

    async def _top(self, owner_id: ObjectId, collection_id: ObjectId, session: Session) -> int:
        """A position before all others of a collection."""
        highest = await self._next_below(owner_id, collection_id, None, session)
        return FIRST if highest is None else highest["position"] + GAP

    async def _position(self, item: Document, placing: Placing, session: Session) -> int | None:
        """Where an item goes; None if it is there already."""
        owner_id, collection_id = item["owner_id"], item["collection_id"]
        if placing.after is None:
            first = await self._next_below(owner_id, collection_id, None, session)
            is_there = first is not None and first["_id"] == item["_id"]
            return None if is_there else await self._top(owner_id, collection_id, session)
        anchor = await self._item(owner_id, collection_id, placing.after, "afterPostId", session)
        if anchor["_id"] == item["_id"]:
            message = "A post does not stand after itself."
            raise Refusal(UserErrorCode.INVALID_INPUT, message, field=["posts", "afterPostId"])
        below = await self._next_below(owner_id, collection_id, anchor["position"], session)
        if below is not None and below["_id"] == item["_id"]:
            return None
        lower = 0 if below is None else below["position"]
        if anchor["position"] - lower > 1:
            return int((anchor["position"] + lower) // 2)
        await self._number_anew(owner_id, collection_id, session)
        return await self._position(item, placing, session)

    async def _position_now(self, in_collection: Document, item_id: ObjectId) -> int:
        """The position of an item; of one that is not there, just before the newest that is older than it."""
        older = {**in_collection, "_id": {"$lte": item_id}}  # the index of positions bounds what is read
        item = await self._posts.find_one(older, {"position": 1}, sort=[("_id", -1)], hint=POSITIONS)
        if item is None:
            return 0
        return int(item["position"]) + (0 if item["_id"] == item_id else 1)

    async def _next_below(
        self, owner_id: ObjectId, collection_id: ObjectId, position: int | None, session: Session
    ) -> Document | None:
        """The item that follows this position; with None the first one."""
        query: Document = {"owner_id": owner_id, "collection_id": collection_id}
        if position is not None:
            query["position"] = {"$lt": position}
        return await self._posts.find_one(
            query, {"position": 1}, sort=[("position", -1)], hint=POSITIONS, session=session
        )

    async def _number_anew(self, owner_id: ObjectId, collection_id: ObjectId, session: Session) -> None:
        """Spreads the items of a collection over new positions above all present ones, in their order."""
        query: Document = {"owner_id": owner_id, "collection_id": collection_id}
        rows = await self._posts.find(
            query, {"position": 1}, sort=[("position", 1)], hint=POSITIONS, session=session
        ).to_list()
        start = rows[-1]["position"]
        updates = [
            UpdateOne({"_id": row["_id"], "owner_id": owner_id}, {"$set": {"position": start + GAP * number}})
            for number, row in enumerate(rows, start=1)
        ]
        await self._posts.bulk_write(updates, ordered=False, session=session)


def to_saved(row: Document) -> SavedPost:
    """What is saved, of a document of a save or of a post in a collection; as much of it as can be read."""
    saved_at = row["_id"].generation_time
    return readable(SavedPost, row) or SavedPost(post_id=row["post_id"], saved_at=saved_at)


def _key(item: Document) -> Document:
    return {"_id": item["_id"], "owner_id": item["owner_id"]}
