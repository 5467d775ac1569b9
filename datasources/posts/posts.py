"""Posts: reading, editing and deleting them, and the counters and previews that the workers maintain."""

import asyncio
import heapq
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Any

import msgspec
from bson import ObjectId
from pymongo import UpdateOne

from datasources.jobs.idempotency import delete_keeping_keys
from datasources.jobs.outbox import ONLY_TELLING, Stage, add_pending, find_pending, mark_done, pending_fields
from datasources.jobs.queue import JobQueue
from datasources.mongo import clock
from datasources.mongo.batched_operations import BatchedReads
from datasources.mongo.client import Collection, Database, Document, Readable, Session
from datasources.mongo.counters import increment
from datasources.mongo.indexes import SHOWN_POSTS
from datasources.mongo.lenient_reads import readable
from datasources.mongo.pages import find_page
from datasources.mongo.queries import BY_ID, among, find_by_ids, find_ids
from datasources.mongo.sharded_ids import ShardedIds
from datasources.posts.cached_posts import PostCache
from datasources.posts.post_edits import approve_tags, edit, tagging, untag
from datasources.redis.invalidation import InvalidatingWrites
from domain.errors import NotFound
from domain.feed_ranking import Candidate
from domain.jobs import Fact, Task
from domain.paging import Page, PageRequest, cut_page
from domain.records.posts import PostRecord, PostStatus
from domain.topics import steps

MAX_MERGED_AUTHORS = 200  # MongoDB merges the posts of so many from one index; of more it would sort all posts
_SHOWN = {"deleted": False, "status": PostStatus.READY.value}
_OVER = {"deleted": True, "outbox": {"$exists": False}}
_EMPTIED: Document = {
    "caption": "",
    "location": None,
    "image_inputs": [],
    "upload_ids": "$$REMOVE",
    **{field: [] for field in ("hashtags", "mention_ids", "images", "preview_comment_ids", "listed_tags")},
}
_SCORED = ("author_id", "created_at", "hashtags", "like_count", "comment_count", "status", "deleted")


class PostStore(BatchedReads[PostRecord]):
    """The collection `posts`, in which `publishing.py` creates posts. Deleted posts are read too, and marked."""

    def __init__(self, database: Database, job_queue: JobQueue, cache: PostCache, sharded_ids: ShardedIds) -> None:
        super().__init__(database["posts"], PostRecord, partial(sharded_ids.with_accounts, "author_id"))
        self._posts: Readable = database["posts"]
        self._writes = InvalidatingWrites(database["posts"], cache.invalidate)
        self._job_queue = job_queue

    async def by_author(self, author_id: ObjectId, request: PageRequest, *, every_status: bool) -> Page[ObjectId]:
        """The ids of an author's posts, newest first; those not ready only with `every_status`."""
        query: Document = {"author_id": author_id, "deleted": False}
        if not every_status:
            query |= _SHOWN
        rows = await find_page(self._posts, query, request.expects(ObjectId), projection={"_id": 1})
        return cut_page(request, [(row["_id"], row["_id"]) for row in rows])

    async def candidates(self, ids: Sequence[ObjectId]) -> list[Candidate | None]:
        """What the scores of these posts depend on, in their order, None for one that is not shown; one operation."""
        posts = await find_by_ids(self._posts, ids, self._where, projection=_SCORED)
        shown = {post_id: post for post_id, post in posts.items() if is_shown(post)}
        return [readable(Candidate, shown.get(post_id)) for post_id in ids]

    async def shown_by_authors(self, author_ids: Sequence[ObjectId], request: PageRequest) -> list[Document]:
        """`_id` and `author_id` of ready posts of any number of authors, up to `limit + 1`, in the order of the page.

        At most two operations, each on its index alone. The first reads a page of up to `MAX_MERGED_AUTHORS` authors,
        taken at even distances. Posts of the others matter only up to the end of that page, so the second reads what
        they have before it: on average a page for each `MAX_MERGED_AUTHORS` authors.
        """
        sample = author_ids[:: max(1, -(-len(author_ids) // MAX_MERGED_AUTHORS))]
        rows = await self._shown_by(sample, request)
        others = set(author_ids).difference(sample)
        if not others:
            return rows
        if len(rows) > request.limit:
            end = {"after" if request.backward else "before": rows[-1]["_id"]}
            request = msgspec.structs.replace(request, **end)
        other_rows = await self._shown_by(list(others), request)
        merged = heapq.merge(rows, other_rows, key=itemgetter("_id"), reverse=not request.backward)
        return list(islice(merged, request.limit + 1))

    async def update(
        self, post_id: ObjectId, author_id: ObjectId, changes: dict[str, Any], now: datetime
    ) -> PostRecord:
        """Sets the given fields of an own post (None clears one) in one write; returns the post as it is now.

        `edited_at` is set only if caption or place changes; NOTIFY is pending if the mentions change. Atomic and safe
        to repeat. Raises NotFound as `delete` does.
        """
        query = {"_id": post_id, "author_id": author_id, "deleted": False}
        post = readable(PostRecord, await self._edit(query, edit(changes, now, self._job_queue.screening)))
        if post is None:
            raise NotFound("post", field=["postId"])
        return post

    async def untag(self, post_id: ObjectId, user_id: ObjectId, now: datetime) -> None:
        """Removes a person's tags from a post; NOTIFY, pending then, withdraws the notification. Atomic, repeatable."""
        await self._edit({**self._one(post_id), "deleted": False, **tagging(user_id)}, untag(user_id, now))

    async def approve_tags(self, post_id: ObjectId, user_id: ObjectId, now: datetime) -> None:
        """Makes a person's tags in a post visible to others. Atomic and safe to repeat."""
        await self._edit({**self._one(post_id), "deleted": False, **tagging(user_id)}, approve_tags(user_id, now))

    async def delete(self, post_id: ObjectId, author_id: ObjectId, now: datetime) -> None:
        """Hides an own post from everybody at once; the removal of what belongs to it is pending. Safe to repeat.

        Atomic. Raises NotFound for a post that does not exist or is somebody else's.
        """
        pending = [Task.COUNT, Task.NOTIFY, Task.FAN_OUT, Task.LIST, Task.CLEAN_UP, *self._job_queue.publishing]
        changes = {"$set": {"deleted": True, "deleted_at": now, **pending_fields(pending, now)}, "$inc": {"version": 1}}
        own: Document = {"_id": post_id, "author_id": author_id}
        document = await self._edit({**own, "deleted": False}, changes)
        if document is None and not await self._posts.count_documents(own, limit=1):
            raise NotFound("post", field=["postId"])

    async def delete_by_author(self, author_id: ObjectId, now: datetime, limit: int) -> bool:
        """Deletes up to `limit` posts of one author, as `delete` does; whether there were any. Safe to repeat."""
        ids = await find_ids(self._posts, {"author_id": author_id, "deleted": False}, limit=limit)
        await asyncio.gather(*(self.delete(post_id, author_id, now) for post_id in ids))
        return bool(ids)

    async def remove_mentions(self, user_id: ObjectId, limit: int) -> bool:
        """Removes mentions and tags of a user from up to `limit` posts of each; whether there were any. Repeatable."""
        pulls: dict[str, Document] = {field: {field: user_id} for field in ("mention_ids", "listed_tags")}
        for path in ("images", "image_inputs"):
            pulls[f"{path}.tagged_users.user_id"] = {f"{path}.$[].tagged_users": {"user_id": user_id}}
        return any([await self._pull({field: user_id}, values, limit) for field, values in pulls.items()])

    async def decrement_notified(self, ids: Sequence[ObjectId], session: Session) -> None:
        """Stores that one notification less tells of each of these posts."""
        await increment(self._writes.uncached, "notified", dict.fromkeys(ids, -1), session, self._where)

    async def delete_tombstones(self, author_id: ObjectId) -> None:
        """Deletes the tombstones that keep the keys of a deleted author. Safe to repeat."""
        tombstones = {"author_id": author_id, "idempotency_key": {"$exists": True}, **_OVER}
        ids = await find_ids(self._posts, tombstones)
        async with self._writes.invalidating(ids) as posts:
            await posts.delete_many({"_id": {"$in": ids}, **tombstones})

    async def pending_counts(self, author_ids: Sequence[ObjectId], session: Session, limit: int) -> list[Document]:
        """Posts that their authors' `post_count` does not reflect yet, in the order of the authors."""
        fields = {"author_id": 1, "deleted": 1, "status": 1, "counted": 1}
        return await find_pending(self._posts, "author_id", author_ids, Task.COUNT, fields, session, limit)

    async def set_counted(self, posts: Sequence[Document], session: Session) -> None:
        """Marks these posts as reflected in the counts."""
        shown = {"$and": [{"$eq": ["$status", PostStatus.READY.value]}, {"$not": "$deleted"}]}
        pipeline = [{"$set": {"counted": shown}}, *mark_done(Task.COUNT)]
        await self._writes.uncached.update_many(among(posts, "author_id"), pipeline, session=session, hint=BY_ID)

    async def add_likes(self, deltas: Mapping[ObjectId, int], session: Session) -> None:
        """Adds to posts' like counts, within the caller's transaction; LIST is pending where they move by that."""
        async with self._writes.invalidating(deltas, session) as posts:
            await self._add_engagement(posts, "like_count", deltas, session)

    async def add_comments(
        self, deltas: Mapping[ObjectId, int], previews: Mapping[ObjectId, list[ObjectId]], session: Session
    ) -> None:
        """Adds to posts' comment counts, as `add_likes` does, and sets previews, within the caller's transaction."""
        updates = [
            UpdateOne(self._one(post_id), {"$set": {"preview_comment_ids": previews[post_id]}})
            for post_id in sorted(previews)
        ]
        async with self._writes.invalidating({*deltas, *previews}, session) as posts:
            await self._add_engagement(posts, "comment_count", deltas, session)
            if updates:
                await posts.bulk_write(updates, ordered=False, session=session)

    async def correct_counts(self, post_id: ObjectId, changes: Document, session: Session) -> None:
        """Sets recounted counters or the preview, within the caller's transaction; not of a deleted post."""
        async with self._writes.invalidating([post_id], session) as posts:
            await posts.update_one({**self._one(post_id), "deleted": {"$ne": True}}, {"$set": changes}, session=session)

    async def set_notified(
        self, post: Document, notified: int, listed_tags: Sequence[ObjectId], session: Session
    ) -> None:
        """Stores how many notifications tell of a post, for `verify`, and in whose lists of tagged posts it is."""
        values = {"notified": notified, "listed_tags": list(listed_tags)}
        await self._writes.uncached.update_one(_key(post), {"$set": values}, session=session)

    async def mark_done(self, post: Document, task: Task, session: Session | None = None) -> bool:
        """Removes a task from a post's outbox; False, with no change, if the post has changed since it was read."""
        query = {**_key(post), "version": post["version"]}
        return (await self._writes.uncached.update_one(query, mark_done(task), session=session)).matched_count == 1

    async def mark_all_done(self, posts: Sequence[Document], task: Task) -> None:
        """As `mark_done`, for posts as they were read; one operation."""
        updates = [UpdateOne({**_key(post), "version": post["version"]}, mark_done(task)) for post in posts]
        if updates:
            await self._writes.uncached.bulk_write(updates, ordered=False)

    async def pending(self, task: Task, ids: Sequence[ObjectId]) -> list[Document]:
        """Those of these posts for which a task is pending, with their outboxes, for the workers; one operation."""
        return await self._posts.find({**self._each(ids), "outbox": task.value}).to_list()

    async def shown_among(self, author_ids: Mapping[ObjectId, ObjectId]) -> set[ObjectId]:
        """Those of these posts, given with their authors, that are ready and not deleted; one operation."""
        keys = among(
            [{"_id": post_id, "author_id": author_id} for post_id, author_id in author_ids.items()], "author_id"
        )
        return set(await find_ids(self._posts, {**keys, **_SHOWN}, hint=BY_ID))

    async def delete_document(self, post: Document) -> bool:
        """Deletes a deleted post's document if nothing but CLEAN_UP is pending; whether it did.

        While others have yet to be told, only its ids stay.
        """
        query = {**_key(post), "deleted": True, "outbox": [Task.CLEAN_UP.value]}
        async with self._writes.invalidating([post["_id"]]) as posts:
            if await delete_keeping_keys(posts, query, _EMPTIED):
                return True
            await posts.update_one({**_key(post), "deleted": True, **ONLY_TELLING}, [{"$set": _EMPTIED}])
            return False

    async def _shown_by(self, author_ids: Sequence[ObjectId], request: PageRequest) -> list[Document]:
        query: Document = {"author_id": {"$in": list(author_ids)}, **_SHOWN}
        return await find_page(self._posts, query, request, projection={"author_id": 1}, hint=SHOWN_POSTS)

    async def _add_engagement(
        self, posts: Collection, counter: str, deltas: Mapping[ObjectId, int], session: Session
    ) -> None:
        """Adds to counters; LIST is pending for the listed posts that have other `steps` among the best by that."""
        changed = [post_id for post_id, by in deltas.items() if by]
        if not changed:
            return
        await increment(posts, counter, deltas, session, self._where)
        query = {**self._each(changed), "listed": {"$exists": True}}
        fields = {"author_id": 1, "like_count": 1, "comment_count": 1}
        listed = await posts.find(query, fields, session=session, hint=BY_ID).to_list()
        before = [{**post, counter: post[counter] - deltas[post["_id"]]} for post in listed]
        moved = [post for post, earlier in zip(listed, before, strict=True) if _steps(post) != _steps(earlier)]
        if moved:
            pending = [add_pending([Task.LIST], clock.now())]
            await posts.update_many(among(moved, "author_id"), pending, session=session, hint=BY_ID)

    async def _edit(self, query: Document, changes: Document | list[Stage]) -> Document | None:
        async with self._writes.invalidating([query["_id"]]) as posts:
            document = await posts.find_one_and_update(query, changes, return_document=True)
        if document is not None:
            await self._job_queue.enqueue_pending(Fact.POST, [document])
        return document

    async def _pull(self, query: Document, values: Document, limit: int) -> bool:
        ids = await find_ids(self._posts, query, limit=limit)
        async with self._writes.invalidating(ids) as posts:
            await posts.update_many({"_id": {"$in": ids}, **query}, {"$pull": values})
        return bool(ids)


def _steps(post: Document) -> int:
    return steps(post.get("like_count", 0), post.get("comment_count", 0))


def _key(post: Document) -> Document:
    return {"_id": post["_id"], "author_id": post["author_id"]}


def is_shown(post: Document) -> bool:
    """Whether a post, as it was read, is ready and not deleted."""
    return all(post.get(field) == value for field, value in _SHOWN.items())
