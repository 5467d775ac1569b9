"""Images in all documents that show them: their upload, the post made of them, their owner's profile.

Each of these documents holds the keys of the image's files, so that showing the image reads nothing else. A move of the
files changes all of them in one transaction, and only if nobody else has moved the files.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import msgspec
from bson import ObjectId
from pymongo import UpdateOne

from datasources.accounts.cached_users import UserCache
from datasources.jobs.outbox import Stage, add_pending, mark_done
from datasources.jobs.queue import JobQueue
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Readable, Session
from datasources.mongo.queries import find_ids
from datasources.mongo.sharded_ids import ShardedIds
from datasources.mongo.transactions import in_transaction
from datasources.posts.cached_posts import PostCache
from datasources.posts.publishing import PublishingStore
from datasources.redis.invalidation import InvalidatingWrites
from datasources.s3.keys import MediaKey, is_in_area
from domain.image_formats import RenditionFormat
from domain.jobs import Fact, Job, Task
from domain.records.images import ImageRecord, RenditionRecord
from domain.visibility import Area


class Move(NamedTuple):
    """An image before and after a move; both are the same object if its files stay where they are."""

    before: ImageRecord
    after: ImageRecord


class _MovedMeanwhile(Exception):
    """Somebody else has moved the files: the transaction must be aborted."""


class ImageStore:
    """The collections `uploads`, `posts` and `users`, as far as they show images."""

    def __init__(
        self,
        database: Database,
        job_queue: JobQueue,
        publishing: PublishingStore,
        post_cache: PostCache,
        user_cache: UserCache,
        sharded_ids: ShardedIds,
        *,
        url_ttl: int,
    ) -> None:
        self._client = database.client
        self._uploads = database["uploads"]
        self._where = partial(sharded_ids.with_accounts, "owner_id")
        self._shown_in_posts: Readable = database["posts"]
        self._post_writes = InvalidatingWrites(database["posts"], post_cache.invalidate)
        self._user_writes = InvalidatingWrites(database["users"], user_cache.invalidate)
        self._job_queue = job_queue
        self._publishing = publishing
        self._url_ttl = timedelta(seconds=url_ttl)

    async def ids_of_owner(self, owner_id: ObjectId, after: ObjectId | None, limit: int) -> list[ObjectId]:
        """Up to `limit` uploads of an account that have an image, in the order of their ids, after `after`."""
        query: Document = {"owner_id": owner_id, "image": {"$exists": True}}
        if after is not None:
            query["_id"] = {"$gt": after}
        return await find_ids(self._uploads, query, sort=[("_id", 1)], limit=limit)

    async def publish(self, post_id: ObjectId, moves: Sequence[Move], now: datetime) -> bool:
        """Makes a processing post READY with these images, whose files are there, in one transaction with its uploads.

        Its count, notifications, fan-out and MOVE_FILES, which checks the area again, are pending then. False, and
        nothing changes, if files were moved since they were read. Safe to repeat.
        """

        async def work(session: Session) -> Document | None:
            published = await self._publishing.publish(post_id, [move.after for move in moves], now, session)
            if published is not None:
                await self._write(moves, now, session, [{"$set": {"post_id": post_id}}])
            return published

        try:
            published = await in_transaction(self._client, work)
        except _MovedMeanwhile:
            return False
        if published is not None:
            await self._job_queue.enqueue_pending(Fact.POST, [published])
        return True

    async def mark_moving(self, move: Move) -> bool:
        """Records that files are being copied, and where to, in case the move is never recorded.

        False if the files have been moved since they were read, or may lie in another post's folder.
        """
        place = MediaKey.parse(move.after.renditions[0].key)
        post_id = None if place is None else place.post_id
        query: Document = {**self._one(move.before.id), "image.version": move.before.version}
        changes: Document = {"is_moving": True}
        if post_id is not None:
            query["placed_for"], changes["placed_for"] = {"$in": [None, post_id]}, post_id
        return (await self._uploads.update_one(query, {"$set": changes})).matched_count == 1

    async def place_for(self, upload_id: ObjectId, post_id: ObjectId) -> bool:
        """Records that public files are stored in a post's folder. False if they may lie in another post's already."""
        query: Document = {**self._one(upload_id), "placed_for": {"$in": [None, post_id]}}
        return (await self._uploads.update_one(query, {"$set": {"placed_for": post_id}})).matched_count == 1

    async def add_formats(
        self, owner_id: ObjectId, image: ImageRecord, more: Sequence[RenditionRecord], *, is_all: bool
    ) -> bool:
        """Records further renditions, whose files are stored, wherever the image is shown; as `move`.

        With `is_all`, ADD_FORMATS is marked done and the upload's lease ends.
        """
        order = list(RenditionFormat)
        renditions = sorted(
            [*image.renditions, *more], key=lambda rendition: (rendition.width, order.index(rendition.format))
        )
        after = msgspec.structs.replace(image, version=image.version + 1, renditions=renditions)
        done: list[Stage] = [*mark_done(Task.ADD_FORMATS), {"$unset": "leased_until"}] if is_all else []
        return await self.move(owner_id, Move(image, after), done)

    async def move(self, owner_id: ObjectId, move: Move, then: Sequence[Stage] = ()) -> bool:
        """Records the new keys of an image's files, which are stored, wherever the image is shown; atomic.

        CLEAN_UP of the old files is pending then. `then` changes the upload further. False, and nothing changes, if
        somebody else has moved the files since they were read, or the upload is gone.
        """
        image_id, fields, now = move.after.id, _files(move.after), clock.now()

        async def work(session: Session) -> None:
            if not await self._write([move], now, session, then):
                raise _MovedMeanwhile
            query = {"author_id": owner_id, "upload_ids": image_id, "images.id": image_id}
            post = await self._shown_in_posts.find_one(query, {"_id": 1}, session=session)
            if post is not None:
                async with self._post_writes.invalidating([post["_id"]], session) as posts:
                    changes = {"$set": {f"images.$[image].{name}": value for name, value in fields.items()}}
                    await posts.update_one(query, changes, array_filters=[{"image.id": image_id}], session=session)
            async with self._user_writes.invalidating([owner_id], session) as users:
                changes = {"$set": {f"avatar.{name}": value for name, value in fields.items()}}
                await users.update_one({"_id": owner_id, "avatar.id": image_id}, changes, session=session)

        try:
            await in_transaction(self._client, work)
        except _MovedMeanwhile:
            await self.schedule_clean_up(image_id)  # the copies may be of no use
            return False
        await self._enqueue(image_id)
        return True

    async def schedule_clean_up(self, upload_id: ObjectId) -> None:
        """Makes CLEAN_UP of an upload pending, which deletes the files that its image does not use."""
        await self._uploads.update_one(self._one(upload_id), [add_pending([Task.CLEAN_UP], clock.now())])
        await self._enqueue(upload_id)

    async def _enqueue(self, upload_id: ObjectId) -> None:
        await self._job_queue.enqueue([Job(Task.CLEAN_UP, Fact.UPLOAD, str(upload_id))])

    async def _write(self, moves: Sequence[Move], now: datetime, session: Session, then: Sequence[Stage]) -> int:
        """Writes these images into their uploads; returns how many there were. Raises _MovedMeanwhile.

        The uploads are written, not only read, so that of two concurrent transactions one is aborted.
        """
        changes = [
            UpdateOne(
                {**self._one(before.id), "image.version": before.version}, [*self._changes(before, after, now), *then]
            )
            for before, after in moves
        ]
        result = await self._uploads.bulk_write(changes, session=session)
        ids = [move.after.id for move in moves]
        query = {"_id": {"$in": ids}, **self._where(ids)}
        if result.matched_count < await self._uploads.count_documents(query, session=session):
            raise _MovedMeanwhile
        return result.matched_count

    def _one(self, upload_id: ObjectId) -> Document:
        return {"_id": upload_id, **self._where([upload_id])}

    def _changes(self, before: ImageRecord, after: ImageRecord, now: datetime) -> list[Stage]:
        files = {f"image.{name}": {"$literal": value} for name, value in _files(after).items()}
        if after.version == before.version:
            return [{"$set": files}]
        if {each.key for each in before.renditions} <= {each.key for each in after.renditions}:  # none has moved
            return [{"$set": files}, {"$unset": "is_moving"}, add_pending([Task.CLEAN_UP], now)]
        # Signed addresses of private files stay good until they expire; public addresses end at once.
        clean_up_at = now + self._url_ttl if is_in_area(after, Area.PUBLIC) else now
        moved = {"$set": {**files, "clean_up_at": clean_up_at}}
        return [moved, {"$unset": "is_moving"}, add_pending([Task.CLEAN_UP], clean_up_at)]


def _files(image: ImageRecord) -> dict[str, Any]:
    return {"version": image.version, "renditions": [rendition.to_document() for rendition in image.renditions]}
