"""Which posts somebody has saved. Nobody else learns of it."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from bson import ObjectId

from datasources.mongo.client import Database, Document, Session
from datasources.mongo.indexes import SAVES_OF_SAVER
from datasources.mongo.pages import find_page
from datasources.mongo.queries import BY_ID, among, find_ids
from datasources.mongo.sharded_ids import ShardedIds, new_id
from datasources.mongo.transactions import in_transaction
from datasources.saves.collection_posts import CollectionPostStore, to_saved
from datasources.saves.savers import SaverStore
from domain.paging import Page, PageRequest, cut_page
from domain.records.saves import SavedPost


class SaveStore:
    """The collection `saves`: one document for each pair of saver and post.

    A post that is in a collection of somebody's is always saved by them. Nothing follows from a save, so it has no
    outbox: save, collections and counters change in one transaction.
    """

    def __init__(
        self, database: Database, savers: SaverStore, collection_posts: CollectionPostStore, sharded_ids: ShardedIds
    ) -> None:
        self._client = database.client
        self._saves = database["saves"]
        self._posts = database["posts"]
        self._savers = savers
        self._collection_posts = collection_posts
        self._sharded_ids = sharded_ids

    async def save(
        self, saver_id: ObjectId, post_id: ObjectId, now: datetime, collection_ids: Sequence[ObjectId] | None = None
    ) -> None:
        """Makes an account save a post, in exactly these collections of its own; with None they stay as they are.

        Atomic and safe to repeat. A deletion of the post meanwhile wins: either this sees it, or the removal of what
        belongs to the post sees the save. Raises Refusal (TOO_MANY_SAVES), NotFound for a collection.
        """
        pair = {"saver_id": saver_id, "post_id": post_id}
        if collection_ids is None and await self._saves.find_one(pair, {"_id": 1}) is not None:
            return

        async def apply(session: Session) -> bool:
            # A write, also of a save that stands: an `unsave` beside this conflicts with it.
            is_new = (await self._saves.update_one(pair, {"$inc": {"changes": 1}}, session=session)).matched_count == 0
            if is_new:
                await self._savers.add_save(saver_id, session)
                await self._saves.insert_one({"_id": new_id(saver_id), **pair, "saved_at": now}, session=session)
            if collection_ids is None:
                return is_new
            return await self._collection_posts.put(saver_id, post_id, collection_ids, now, session) or is_new

        if await in_transaction(self._client, apply) and await self._is_gone(post_id):
            await self.unsave(saver_id, post_id)

    async def unsave(self, saver_id: ObjectId, post_id: ObjectId) -> None:
        """Makes an account not save a post, and takes it out of all its collections. Atomic and safe to repeat."""
        pair = {"saver_id": saver_id, "post_id": post_id}
        if await self._saves.find_one(pair, {"_id": 1}) is None:
            return

        async def apply(session: Session) -> None:
            if (await self._saves.delete_one(pair, session=session)).deleted_count:
                await self._savers.remove_saves(saver_id, 1, session)
                await self._collection_posts.remove(saver_id, [post_id], session)

        await in_transaction(self._client, apply)

    async def remove_of_post(self, post_id: ObjectId, limit: int) -> bool:
        """Removes up to `limit` saves of a deleted post, as `unsave` does; whether there were any. Safe to repeat."""

        async def apply(session: Session) -> bool:
            query = {"post_id": post_id}
            rows = await self._saves.find(query, {"saver_id": 1}, limit=limit, session=session).to_list()
            if not rows:
                return False
            await self._saves.delete_many(among(rows, "saver_id"), session=session, hint=BY_ID)
            for saver_id, number in sorted(Counter(row["saver_id"] for row in rows).items()):
                await self._savers.remove_saves(saver_id, number, session)
                await self._collection_posts.remove(saver_id, [post_id], session)
            return True

        return await in_transaction(self._client, apply)

    async def of_saver(self, saver_id: ObjectId, request: PageRequest) -> Page[SavedPost]:
        """What an account has saved, latest first."""
        query = {"saver_id": saver_id}
        rows = await find_page(self._saves, query, request.expects(ObjectId), hint=SAVES_OF_SAVER)
        return cut_page(request, [(row["_id"], to_saved(row)) for row in rows])

    async def by_posts(self, saver_id: ObjectId, post_ids: Sequence[ObjectId]) -> list[bool]:
        """Whether an account has saved each of these posts, in their order; one operation."""
        query = {"saver_id": saver_id, "post_id": {"$in": list(post_ids)}}
        rows = await self._saves.find(query, {"_id": 0, "post_id": 1}, batch_size=len(post_ids) + 1).to_list()
        saved = {row["post_id"] for row in rows}
        return [post_id in saved for post_id in post_ids]

    async def erase(self, saver_id: ObjectId, limit: int) -> bool:
        """Deletes up to `limit` saves of a deleted account; whether there were any. Safe to repeat."""
        ids = await find_ids(self._saves, {"saver_id": saver_id}, limit=limit)
        await self._saves.delete_many({"_id": {"$in": ids}, "saver_id": saver_id})
        return bool(ids)

    async def _is_gone(self, post_id: ObjectId) -> bool:
        query: Document = {"_id": post_id, **self._sharded_ids.with_accounts("author_id", [post_id])}
        post = await self._posts.find_one(query, {"deleted": 1})
        return post is None or bool(post.get("deleted"))
