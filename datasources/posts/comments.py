"""Comments on posts and replies to comments; `commenting.py` adds them."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from bson import ObjectId

from datasources.jobs.claimed_keys import ClaimedKeys
from datasources.jobs.idempotency import delete_keeping_keys
from datasources.jobs.outbox import ONLY_TELLING, Stage, change, find_pending, mark_done
from datasources.jobs.queue import JobQueue
from datasources.mongo.batched_operations import BatchedReads
from datasources.mongo.client import Database, Document, Readable, Session
from datasources.mongo.counters import increment, set_numbers
from datasources.mongo.indexes import BY_COMMENTER, TOP_COMMENTS
from datasources.mongo.pages import find_page, find_ranked_page
from datasources.mongo.queries import BY_ID, find_ids
from datasources.mongo.sharded_ids import ShardedIds
from datasources.posts.cached_comments import CommentCache
from datasources.redis.invalidation import InvalidatingWrites
from domain.jobs import Fact, Task
from domain.limits import PREVIEW_COMMENTS
from domain.paging import Page, PageRequest, Ranked, cut_page
from domain.records.comments import CommentOrder, CommentRecord

_TASKS = (Task.COUNT, Task.NOTIFY)
_COUNTS = {"$not": [{"$or": ["$deleted", "$hidden"]}]}
_OVER = {"deleted": True, "outbox": {"$exists": False}}
_EMPTIED: Document = {"text": "", "hashtags": [], "mention_ids": []}


class CommentStore(BatchedReads[CommentRecord]):
    """The collection `comments`, deleted ones too. `counted`: the counts of post and parent reflect the comment."""

    def __init__(self, database: Database, job_queue: JobQueue, cache: CommentCache, sharded_ids: ShardedIds) -> None:
        super().__init__(database["comments"], CommentRecord, sharded_ids.comments)
        self._comments: Readable = database["comments"]
        self._writes = InvalidatingWrites(database["comments"], cache.invalidate)
        self._keys = ClaimedKeys(database)
        self._posts: Readable = database["posts"]
        self._where_posts = partial(sharded_ids.with_accounts, "author_id")
        self._job_queue = job_queue
        self._tasks = (*_TASKS, *job_queue.publishing)

    async def of_post(
        self, post_id: ObjectId, request: PageRequest, order: CommentOrder = CommentOrder.NEWEST
    ) -> Page[ObjectId]:
        """The ids of a post's comments that are no replies; keyed by id, or `TOP` by likes and id.

        A comment whose likes change while pages are read in `TOP` order may come twice or not at all. Raises BadInput
        for a cursor of the other order.
        """
        query: Document = {**self._of_post(post_id), "parent_id": None, "deleted": False}
        if order is CommentOrder.NEWEST:
            return await self._page(query, request)
        request = request.expects(Ranked)
        rows = await find_ranked_page(
            self._comments, query, request, "like_count", projection={"like_count": 1}, hint=TOP_COMMENTS
        )
        return cut_page(request, [(Ranked(row["like_count"], row["_id"]), row["_id"]) for row in rows])

    async def replies(self, parent_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """The ids of a comment's replies, oldest first."""
        query = {"parent_id": parent_id, **self._where([parent_id]), "deleted": False}
        return await self._page(query, request, oldest_first=True)

    async def delete(self, comment_id: ObjectId, now: datetime, *, by: ObjectId | None = None) -> None:
        """Hides a comment at once; the removal of its likes, replies and so on is pending. Atomic, safe to repeat."""
        pipeline = change({"deleted": True, "deleted_by": by}, [*self._tasks, Task.CLEAN_UP], now, watched="deleted")
        await self._change(self._one(comment_id), pipeline)

    async def hide_screened(self, comment: Document, because: str, now: datetime) -> None:
        """Hides a comment and marks its screening done, in one write, unless it has changed since it was read."""
        query = {**self._one(comment["_id"]), "version": comment.get("version"), "deleted": False}
        await self._change(query, [*_hidden(because, self._tasks, now), *mark_done(Task.SCREEN)])

    async def delete_replies(self, parent_id: ObjectId, now: datetime) -> None:
        """Hides every reply to a deleted comment. Safe to repeat and to stop half way."""
        query = {"parent_id": parent_id, **self._where([parent_id]), "deleted": False}
        async for reply in self._comments.find(query, {"_id": 1}):
            await self.delete(reply["_id"], now)

    async def delete_by_author(self, author_id: ObjectId, now: datetime, limit: int) -> bool:
        """Deletes up to `limit` comments of one author, as `delete` does; whether there were any. Safe to repeat."""
        query, hint = {"author_id": author_id, "deleted": False}, BY_COMMENTER.document["name"]
        ids = await find_ids(self._comments, query, limit=limit, hint=hint)
        await asyncio.gather(*(self.delete(comment_id, now) for comment_id in ids))
        return bool(ids)

    async def remove_mentions(self, user_id: ObjectId, limit: int) -> bool:
        """Removes one user from the mentions of up to `limit` comments; whether there were any. Safe to repeat."""
        ids = await find_ids(self._comments, {"mention_ids": user_id}, limit=limit)
        async with self._writes.invalidating(ids) as comments:
            await comments.update_many({"_id": {"$in": ids}}, {"$pull": {"mention_ids": user_id}})
        return bool(ids)

    async def decrement_notified(self, ids: Sequence[ObjectId], session: Session) -> None:
        """Stores that one notification less tells of each of these comments."""
        await increment(self._writes.uncached, "notified", dict.fromkeys(ids, -1), session, self._where)

    async def delete_tombstones(self, author_id: ObjectId) -> None:
        """Deletes the tombstones and claims that keep the keys of a deleted author. Safe to repeat."""
        tombstones = {"author_id": author_id, "idempotency_key": {"$exists": True}, **_OVER}
        ids = await find_ids(self._comments, tombstones)
        async with self._writes.invalidating(ids) as comments:
            await comments.delete_many({"_id": {"$in": ids}, **tombstones})
        await self._keys.delete_of_author(author_id)

    async def pending_counts(self, post_ids: Sequence[ObjectId], session: Session, limit: int) -> list[Document]:
        """Comments that their posts' and parents' counts do not reflect yet, in the order of the posts."""
        names = ("post_id", "parent_id", "deleted", "hidden", "counted", "author_id", "idempotency_key")
        fields = dict.fromkeys(names, 1)
        return await find_pending(self._comments, "post_id", post_ids, Task.COUNT, fields, session, limit, self._where)

    async def set_counted(self, comments: Sequence[Document], session: Session) -> None:
        """Marks these comments as reflected in the counts; removes the deleted ones with nothing pending."""
        if not comments:
            return
        query = self._each([comment["_id"] for comment in comments])
        pipeline = [{"$set": {"counted": _COUNTS}}, *mark_done(Task.COUNT)]
        await self._writes.uncached.update_many(query, pipeline, session=session, hint=BY_ID)
        await self._remove_deleted(comments, session)

    async def add_to_counts(self, counter: str, deltas: Mapping[ObjectId, int], session: Session) -> None:
        """Adds to a counter of comments, within the caller's transaction."""
        async with self._writes.invalidating(deltas, session) as comments:
            await increment(comments, counter, deltas, session, self._where)

    async def correct_counts(self, comment_id: ObjectId, counts: Document, session: Session) -> None:
        """Sets recounted counters, within the caller's transaction; not of a deleted comment."""
        query = {**self._one(comment_id), "deleted": {"$ne": True}}
        async with self._writes.invalidating([comment_id], session) as comments:
            await comments.update_one(query, {"$set": counts}, session=session)

    async def preview_ids(self, post_ids: Sequence[ObjectId], session: Session) -> dict[ObjectId, list[ObjectId]]:
        """The latest few comments below each of these posts that are no replies; a missing post is left out."""
        if not post_ids:
            return {}
        latest: list[Document] = [
            {"$match": {**self._where(post_ids), "parent_id": None, "deleted": False, "hidden": {"$ne": True}}},
            {"$sort": {"_id": -1}},
            {"$limit": PREVIEW_COMMENTS},
            {"$project": {"_id": 1}},
        ]
        of_post = {"from": "comments", "localField": "_id", "foreignField": "post_id", "pipeline": latest}
        stages: list[Document] = [
            {"$match": {"_id": {"$in": list(post_ids)}, **self._where_posts(post_ids)}},
            {"$project": {"_id": 1}},
            {"$lookup": {**of_post, "as": "shown"}},
        ]
        rows = await (await self._posts.aggregate(stages, session=session)).to_list()
        return {row["_id"]: [comment["_id"] for comment in row["shown"]] for row in rows}

    async def pending(self, task: Task, ids: Sequence[ObjectId]) -> list[Document]:
        """Those of these comments for which a task is pending, with their outboxes, oldest first, for the workers."""
        query = {**self._each(ids), "outbox": task.value}
        return await self._comments.find(query, sort=[("_id", 1)]).to_list()

    async def set_notified(self, notified: Mapping[ObjectId, int], session: Session) -> None:
        """Stores how many notifications tell of each of these comments, for `verify`."""
        await set_numbers(self._writes.uncached, "notified", notified, session, self._where)

    async def mark_done(self, comments: Sequence[Document], task: Task, session: Session | None = None) -> None:
        """Removes a task from the outboxes of comments unchanged since read, and deleted ones with nothing pending."""
        same = [{**self._one(comment["_id"]), "version": comment.get("version")} for comment in comments]
        if same:
            await self._writes.uncached.update_many({"$or": same}, mark_done(task), session=session)
            await self._remove_deleted(comments, session)

    async def ids_of_post(self, post_id: ObjectId, limit: int) -> list[ObjectId]:
        """Up to `limit` comments of a post, deleted ones and replies too, in no order."""
        return await find_ids(self._comments, self._of_post(post_id), limit=limit)

    async def delete_documents(self, ids: Sequence[ObjectId]) -> None:
        """Deletes comments of a deleted post, also tombstones and those with pending tasks. Safe to repeat."""
        keyed = {**self._each(ids), "idempotency_key": {"$exists": True}}
        await self._keys.expire(await self._comments.find(keyed, {"author_id": 1, "idempotency_key": 1}).to_list())
        async with self._writes.invalidating(ids) as comments:
            await comments.delete_many(self._each(ids))

    def _of_post(self, post_id: ObjectId) -> Document:
        return {"post_id": post_id, **self._where([post_id])}

    async def _page(self, query: Document, request: PageRequest, *, oldest_first: bool = False) -> Page[ObjectId]:
        request = request.expects(ObjectId)
        rows = await find_page(self._comments, query, request, oldest_first=oldest_first, projection={"_id": 1})
        return cut_page(request, [(row["_id"], row["_id"]) for row in rows])

    async def _remove_deleted(self, comments: Sequence[Document], session: Session | None) -> None:
        """Removes those of these comments that were read as deleted and have nothing pending any more.

        One that was deleted since then has tasks of its own, the last of which removes it.
        """
        deleted = [comment["_id"] for comment in comments if comment["deleted"]]
        if deleted:
            await self._keys.expire([comment for comment in comments if comment["deleted"]], session)
            async with self._writes.invalidating(deleted, session) as collection:
                await delete_keeping_keys(collection, {**self._each(deleted), **_OVER}, _EMPTIED, session)
                if self._job_queue.publishing:  # while others have yet to be told, only ids stay
                    told_later = {**self._each(deleted), "deleted": True, **ONLY_TELLING}
                    emptied = [{"$set": _EMPTIED}]
                    await collection.update_many(told_later, emptied, session=session, hint=BY_ID)

    async def _change(self, query: Document, pipeline: list[Stage]) -> bool:
        async with self._writes.invalidating([query["_id"]]) as comments:
            document = await comments.find_one_and_update(query, pipeline, return_document=True)
        if document is not None:
            await self._job_queue.enqueue_pending(Fact.COMMENT, [document])
        return document is not None


def _hidden(because: str, tasks: Sequence[Task], now: datetime) -> list[Stage]:
    return change({"hidden": True, "hidden_because": {"$literal": because}}, tasks, now, watched="hidden")


def is_comment_shown(comment: Document) -> bool:
    """Whether a comment, as it was read, counts: it is neither deleted nor hidden."""
    return not comment["deleted"] and not comment.get("hidden")
