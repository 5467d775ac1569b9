"""In which posts somebody is tagged: a list for each person, kept by the worker that notifies them of it.

An entry's `_id` is the pair itself ({u: tagged person, p: post}), so one index serves uniqueness, order and paging, and
it lies with the person. A post stores in `listed_tags` in whose lists it is. Who reads an entry still asks the post.
"""

from collections.abc import Collection

from bson import ObjectId
from bson.max_key import MaxKey
from bson.min_key import MinKey
from pymongo import DeleteOne, ReplaceOne

from datasources.mongo.client import Database, Document, Session
from datasources.mongo.queries import find_ids, within
from domain.paging import Page, PageRequest, cut_page


class TaggedPostStore:
    """The collection `tagged_posts`."""

    def __init__(self, database: Database) -> None:
        self._entries = database["tagged_posts"]

    async def set_of_post(
        self, post_id: ObjectId, tagged: Collection[ObjectId], before: Collection[ObjectId], session: Session
    ) -> None:
        """Puts a post into the lists of these people, and takes it out of those of the others who had it before."""
        entries: list[Document] = [{"_id": {"u": user_id, "p": post_id}} for user_id in sorted(tagged)]
        gone: list[Document] = [{"_id": {"u": user_id, "p": post_id}} for user_id in sorted(set(before) - set(tagged))]
        puts = [ReplaceOne(entry, entry, upsert=True) for entry in entries]
        writes: list[ReplaceOne[Document] | DeleteOne] = [*puts, *(DeleteOne(entry) for entry in gone)]
        if writes:
            await self._entries.bulk_write(writes, session=session)

    async def of_user(self, user_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """The posts in which somebody is, or was just now, tagged, newest first."""
        request = request.expects(ObjectId)
        low = {"u": user_id, "p": MinKey() if request.before is None else request.before}
        high = {"u": user_id, "p": MaxKey() if request.after is None else request.after}
        order = [("_id", 1 if request.backward else -1)]
        ids = await find_ids(self._entries, {"_id": {"$gt": low, "$lt": high}}, sort=order, limit=request.limit + 1)
        return cut_page(request, [(id_["p"], id_["p"]) for id_ in ids])

    async def delete(self, user_id: ObjectId, post_id: ObjectId) -> None:
        """Takes a post out of somebody's list. Safe to repeat."""
        await self._entries.delete_one({"_id": {"u": user_id, "p": post_id}})

    async def erase(self, user_id: ObjectId, limit: int) -> bool:
        """Deletes up to `limit` entries of a deleted account; whether there were any. Safe to repeat."""
        ids = await find_ids(self._entries, {"_id": within(user_id, "u", "p")}, limit=limit)
        await self._entries.delete_many({"_id": {"$in": ids}})
        return bool(ids)
