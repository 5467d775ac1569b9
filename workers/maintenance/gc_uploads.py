"""What `gc` clears away of uploads and their files."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta

from bson import ObjectId

from datasources.media.quota_slots import NO_SLOTS
from datasources.mongo import clock
from datasources.mongo.client import Document
from datasources.mongo.queries import find_by_ids
from datasources.s3.keys import MediaKey
from datasources.s3.storage import StoredBlob
from datasources.sources import Sources
from domain.limits import UNUSED_UPLOAD_KEPT, UPLOAD_LATENESS
from domain.records.uploads import UploadStatus
from domain.visibility import Area
from workers.maintenance.gc_run import GcRun, deleted_among

SOURCES_KEPT = timedelta(days=1)
SLOWEST = timedelta(hours=1)  # PUT of a file that storage may wait for
TERMINAL_KEPT = timedelta(days=40)  # an upload's slot counts for its calendar month, which ends within 31 days
MARKED = timedelta(minutes=1)  # longer than any request that was using an upload while it was marked
FILES = 500
AT_ONCE = 16

READY, EXPIRED = UploadStatus.READY.value, UploadStatus.EXPIRED.value
TERMINAL = [UploadStatus.REJECTED.value, EXPIRED]
_FIELDS = {"owner_id": 1, "status": 1, "used_as_avatar": 1, "image.renditions.key": 1}


async def mark_unused_uploads(run: GcRun) -> None:
    """Marks ready uploads that are in no post and no avatar in use: EXPIRED, but with their image still.

    From then on neither a post nor an avatar can be made of them.
    """
    uploads = run.sources.database["uploads"]
    async for ids in run.walk.ids("unused uploads", "uploads"):
        query: Document = {
            "_id": {"$in": ids},
            "status": READY,
            "created_at": {"$lt": run.older_than(UNUSED_UPLOAD_KEPT)},
        }
        ready = await uploads.find(query, _FIELDS).to_list()
        used = await _used(run.sources, ready)
        unused = [upload for upload in ready if upload["_id"] not in used]
        avatars = sum(bool(upload.get("used_as_avatar")) for upload in unused)
        run.counts("replaced_avatars", avatars)
        if run.counts("unused_uploads", len(unused) - avatars) and unused:
            query = {"_id": {"$in": [upload["_id"] for upload in unused]}, "status": READY}
            await uploads.update_many(query, {"$set": {"status": EXPIRED, "unused_since": run.now}})


async def remove_marked_uploads(run: GcRun) -> None:
    """Removes the files of uploads marked a minute ago and gives their quota back; sets right those used after all."""
    uploads = run.sources.database["uploads"]
    patience = clock.now() - min(MARKED, run.min_age)
    async for ids in run.walk.ids("marked uploads", "uploads"):
        query = {"_id": {"$in": ids}, "status": EXPIRED, "unused_since": {"$lte": patience}}
        marked = await uploads.find(query, _FIELDS).to_list()
        used = await _used(run.sources, marked)
        unused = [upload["_id"] for upload in marked if upload["_id"] not in used]
        if used and run.counts("uploads_used_after_all", len(used)):
            back = {"$set": {"status": READY}, "$unset": {"unused_since": ""}}
            await uploads.update_many({"_id": {"$in": list(used)}, "status": EXPIRED}, back)
        if unused:
            await _remove_files(run, unused)
            if run.counts("marked_uploads", len(unused)):
                rest = {"image": "", "unused_since": "", **NO_SLOTS}
                await uploads.update_many({"_id": {"$in": unused}, "status": EXPIRED}, {"$unset": rest})


async def remove_orphaned_files(run: GcRun) -> None:
    """Removes files of uploads that are gone, came to nothing, or have become other files.

    An object whose key is not made as ours are is left alone.
    """
    done = 0
    async for blobs in _batches(run.sources.blobs.list_media()):
        old = [blob.key for blob in blobs if blob.last_modified <= run.before]
        orphans = await _orphans(run.sources, old)
        if orphans and run.counts("media_files", len(orphans)):
            await run.sources.blobs.delete_media(orphans)
        done += len(blobs)
        run.walk.watch("files", done, done)


async def remove_late_sources(run: GcRun) -> None:
    """Removes files that clients sent for uploads that are over, or more than a day ago: nothing is made of them."""
    before = run.older_than(SOURCES_KEPT)
    async for blobs in _batches(run.sources.blobs.list_incoming()):
        old = {blob.key for blob in blobs if blob.last_modified <= before}
        recent = [blob.key for blob in blobs if blob.key not in old and blob.last_modified <= run.before]
        late = [*old, *await _of_ended_uploads(run, recent, before)]
        if late and run.counts("incoming_files", len(late)):
            await run.sources.blobs.delete_incoming(late)


async def _of_ended_uploads(run: GcRun, keys: Sequence[str], since: datetime) -> list[str]:
    """Those of uploads that have their result, owe nothing and gave out an address that is over.

    All files were sent after `since`.
    """
    if not keys:
        return []
    longest = timedelta(seconds=run.sources.settings.upload_ttl) + SLOWEST
    query: Document = {
        "_id": {"$gte": ObjectId.from_datetime(since - longest)},  # nothing else says where in `uploads` a key is
        "key": {"$in": list(keys)},
        "status": {"$in": [READY, *TERMINAL]},
        "outbox": {"$exists": False},
        "expires_at": {"$lt": run.now - UPLOAD_LATENESS},
    }
    return [row["key"] async for row in run.sources.database["uploads"].find(query, {"key": 1})]


async def expire_old_uploads(run: GcRun) -> None:
    """Removes the documents of uploads that came to nothing, once neither quota nor a client can ask for them."""
    uploads = run.sources.database["uploads"]
    before = run.older_than(TERMINAL_KEPT)
    over: Document = {"status": {"$in": TERMINAL}, "image": {"$exists": False}, "outbox": {"$exists": False}}
    async for ids in run.walk.ids("old uploads", "uploads"):
        query = {"_id": {"$in": ids}, "created_at": {"$lt": before}, **over}
        number = await uploads.count_documents(query)
        if number and run.counts("old_uploads", number):
            await uploads.delete_many(query)


async def _used(sources: Sources, uploads: Sequence[Document]) -> set[ObjectId]:
    """The uploads among these that are in a post or are their owner's avatar, unless the owner's account is deleted."""
    if not uploads:
        return set()
    ids, owner_ids = [upload["_id"] for upload in uploads], {upload["owner_id"] for upload in uploads}
    owners = list(owner_ids.difference(await deleted_among(sources, list(owner_ids))))
    posts = sources.database["posts"].find(
        {"author_id": {"$in": owners}, "upload_ids": {"$in": ids}}, {"upload_ids": 1}
    )
    used = {upload_id async for post in posts for upload_id in post["upload_ids"]}
    users = sources.database["users"].find({"_id": {"$in": owners}, "avatar.id": {"$in": ids}}, {"avatar.id": 1})
    return (used | {user["avatar"]["id"] async for user in users}) & set(ids)


async def _orphans(sources: Sources, keys: Sequence[str]) -> list[str]:
    ours = [parts for key in keys if (parts := MediaKey.parse(key)) is not None]
    ids = list({parts.upload_id for parts in ours})
    uploads = await find_by_ids(sources.database["uploads"], ids, projection=_FIELDS)
    over = [upload for upload in uploads.values() if upload["status"] in TERMINAL and "image" not in upload]
    ended = {upload["_id"] for upload in over} - await _used(sources, over)
    return [str(parts) for parts in ours if _is_orphan(parts, uploads.get(parts.upload_id), ended)]


def _is_orphan(key: MediaKey, upload: Document | None, ended: set[ObjectId]) -> bool:
    if upload is None or upload["_id"] in ended:
        return True
    renditions = {rendition["key"] for rendition in upload.get("image", {}).get("renditions", ())}
    return upload["status"] == READY and key.area is not Area.ORIGINALS and str(key) not in renditions


async def _remove_files(run: GcRun, upload_ids: Iterable[ObjectId]) -> None:
    blobs, slots = run.sources.blobs, asyncio.Semaphore(AT_ONCE)

    async def remove(upload_id: ObjectId) -> None:
        async with slots:
            keys = await blobs.media_of(upload_id)
            if keys and run.counts("media_files", len(keys)):
                await blobs.delete_media(keys)

    await asyncio.gather(*map(remove, upload_ids))


async def _batches(blobs: AsyncIterator[StoredBlob]) -> AsyncIterator[list[StoredBlob]]:
    batch: list[StoredBlob] = []
    async for blob in blobs:
        batch.append(blob)
        if len(batch) == FILES:
            yield batch
            batch = []
    if batch:
        yield batch
