"""Files in storage that no upload needs."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from bson import ObjectId

from datasources.mongo.client import Document
from datasources.mongo.queries import find_by_ids
from datasources.s3.keys import MediaKey
from datasources.s3.storage import StoredBlob
from datasources.sources import Sources
from domain.limits import UPLOAD_LATENESS
from domain.visibility import Area
from workers.maintenance.gc.run import GcRun
from workers.maintenance.gc.uploads import FIELDS, READY, TERMINAL, used_among

INCOMING_KEPT = timedelta(days=1)
LONGEST_PUT = timedelta(hours=1)  # which storage may wait for
BATCH = 500


async def remove_orphaned_media(run: GcRun) -> None:
    """Removes files of uploads that are gone or failed, and files that their upload's image does not name.

    An object whose key does not have our form is left alone.
    """
    done = 0
    async for blobs in _batches(run.sources.blobs.list_media()):
        old = [blob.key for blob in blobs if blob.last_modified <= run.before]
        orphans = await _orphans(run.sources, old)
        if run.count_removal("media_files", len(orphans)):
            await run.sources.purges.delete_media(orphans)
        done += len(blobs)
        run.walk.watch("files", done, done)


async def remove_late_incoming(run: GcRun) -> None:
    """Removes files that clients sent more than a day ago, or for uploads that have ended: nothing is made of them."""
    before = run.older_than(INCOMING_KEPT)
    async for blobs in _batches(run.sources.blobs.list_incoming()):
        old = {blob.key for blob in blobs if blob.last_modified <= before}
        recent = [blob.key for blob in blobs if blob.key not in old and blob.last_modified <= run.before]
        late = [*old, *await _of_ended_uploads(run, recent, before)]
        if run.count_removal("incoming_files", len(late)):
            await run.sources.blobs.delete_incoming(late)


async def _of_ended_uploads(run: GcRun, keys: Sequence[str], since: datetime) -> list[str]:
    """The keys whose upload has its result, nothing pending, and an expired address; all were sent after `since`."""
    if not keys:
        return []
    longest = timedelta(seconds=run.sources.settings.upload_ttl) + LONGEST_PUT
    query: Document = {
        "_id": {"$gte": ObjectId.from_datetime(since - longest)},  # there is no index by key
        "key": {"$in": list(keys)},
        "status": {"$in": [READY, *TERMINAL]},
        "outbox": {"$exists": False},
        "expires_at": {"$lt": run.now - UPLOAD_LATENESS},
    }
    return [row["key"] async for row in run.sources.database["uploads"].find(query, {"key": 1})]


async def _orphans(sources: Sources, keys: Sequence[str]) -> list[str]:
    ours = [parts for key in keys if (parts := MediaKey.parse(key)) is not None]
    ids = list({parts.upload_id for parts in ours})
    uploads = await find_by_ids(sources.database["uploads"], ids, projection=FIELDS)
    failed = [upload for upload in uploads.values() if upload["status"] in TERMINAL and "image" not in upload]
    ended = {upload["_id"] for upload in failed} - await used_among(sources, failed)
    return [str(parts) for parts in ours if _is_orphan(parts, uploads.get(parts.upload_id), ended)]


def _is_orphan(key: MediaKey, upload: Document | None, ended: set[ObjectId]) -> bool:
    if upload is None or upload["_id"] in ended:
        return True
    renditions = {rendition["key"] for rendition in upload.get("image", {}).get("renditions", ())}
    return upload["status"] == READY and key.area is not Area.ORIGINALS and str(key) not in renditions


async def _batches(blobs: AsyncIterator[StoredBlob]) -> AsyncIterator[list[StoredBlob]]:
    batch: list[StoredBlob] = []
    async for blob in blobs:
        batch.append(blob)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
