"""Uploads that nothing uses, in two steps, and documents of uploads that failed long ago."""

from collections.abc import Sequence
from datetime import timedelta

from bson import ObjectId

from datasources.concurrency.tasks import run_all
from datasources.media.quota_slots import NO_SLOTS
from datasources.mongo import clock
from datasources.mongo.client import Document
from datasources.sources import Sources
from domain.limits import UNUSED_UPLOAD_KEPT
from domain.records.uploads import UploadRecord, UploadStatus
from workers.maintenance.gc.run import GcRun, deleted_among

TERMINAL_KEPT = timedelta(days=40)  # an upload's slot counts for its calendar month, which ends within 31 days
MARKED = timedelta(minutes=1)  # longer than a request that used an upload while it was marked
CONCURRENCY = 16

READY, EXPIRED = UploadStatus.READY.value, UploadStatus.EXPIRED.value
TERMINAL = [UploadStatus.REJECTED.value, EXPIRED]
FIELDS = {"owner_id": 1, "status": 1, "used_as_avatar": 1, "image.renditions.key": 1}


async def mark_unused(run: GcRun) -> None:
    """Marks ready uploads that no post and no avatar uses: EXPIRED, but still with their image.

    From then on no post and no avatar can be made of them.
    """
    uploads = run.sources.database["uploads"]
    async for ids in run.walk.ids("unused uploads", "uploads"):
        query: Document = {
            "_id": {"$in": ids},
            "status": READY,
            "created_at": {"$lt": run.older_than(UNUSED_UPLOAD_KEPT)},
        }
        ready = await uploads.find(query, FIELDS).to_list()
        used = await used_among(run.sources, ready)
        unused = [upload for upload in ready if upload["_id"] not in used]
        avatars = [upload["_id"] for upload in unused if upload.get("used_as_avatar")]
        others = [upload["_id"] for upload in unused if not upload.get("used_as_avatar")]
        for kind, upload_ids in (("replaced_avatars", avatars), ("unused_uploads", others)):
            if run.count_removal(kind, len(upload_ids)):
                change = {"$set": {"status": EXPIRED, "unused_since": run.now}}
                await uploads.update_many({"_id": {"$in": upload_ids}, "status": READY}, change)


async def remove_marked(run: GcRun) -> None:
    """Removes the files of uploads marked a minute ago and gives their quota back; unmarks those that are used."""
    uploads = run.sources.database["uploads"]
    patience = clock.now() - min(MARKED, run.min_age)
    async for ids in run.walk.ids("marked uploads", "uploads"):
        query = {"_id": {"$in": ids}, "status": EXPIRED, "unused_since": {"$lte": patience}}
        marked = await uploads.find(query, FIELDS).to_list()
        used = await used_among(run.sources, marked)
        unused = [upload["_id"] for upload in marked if upload["_id"] not in used]
        if run.count_removal("uploads_used_after_all", len(used)):
            unmark = {"$set": {"status": READY}, "$unset": {"unused_since": ""}}
            await uploads.update_many({"_id": {"$in": list(used)}, "status": EXPIRED}, unmark)
        if unused:
            await _remove_files(run, unused)
            if run.count_removal("marked_uploads", len(unused)):
                rest = {"image": "", "unused_since": "", **NO_SLOTS}
                await uploads.update_many({"_id": {"$in": unused}, "status": EXPIRED}, {"$unset": rest})


async def remove_old(run: GcRun) -> None:
    """Removes the documents of failed uploads, once neither quota nor a client can ask for them."""
    uploads = run.sources.database["uploads"]
    before = run.older_than(TERMINAL_KEPT)
    ended: Document = {"status": {"$in": TERMINAL}, "image": {"$exists": False}, "outbox": {"$exists": False}}
    async for ids in run.walk.ids("old uploads", "uploads"):
        query = {"_id": {"$in": ids}, "created_at": {"$lt": before}, **ended}
        number = await uploads.count_documents(query)
        if run.count_removal("old_uploads", number):
            await uploads.delete_many(query)


async def used_among(sources: Sources, uploads: Sequence[Document]) -> set[ObjectId]:
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


async def _remove_files(run: GcRun, upload_ids: Sequence[ObjectId]) -> None:
    sources = run.sources

    async def remove(upload: UploadRecord | None) -> None:
        keys = [] if upload is None else await sources.blobs.media_of(upload)
        if run.count_removal("media_files", len(keys)):
            await sources.purges.delete_media(keys)

    await run_all(CONCURRENCY, remove, await sources.uploads.by_ids(upload_ids))
