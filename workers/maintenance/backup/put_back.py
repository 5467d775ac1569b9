"""`restore`: a backup goes into an empty database and its storage; images first, so no post lacks its picture."""

import mimetypes
from collections.abc import Sequence
from itertools import islice
from typing import Any

import msgspec
from bson.raw_bson import RawBSONDocument
from pymongo import timeout
from pymongo.errors import BulkWriteError

from datasources.concurrency.tasks import run_all
from datasources.mongo.client import DUPLICATE_KEY
from datasources.sources import Sources
from workers.maintenance.backup.folder import INCOMING, MEDIA, RAW, BackupError, BackupFolder, Manifest
from workers.maintenance.walk import SECONDS, Watch, unwatched

WRITTEN_AT_ONCE = 1_000  # documents
STORED_AT_ONCE = 16  # objects
SESSIONS = "sessions"
RESTORING = "restoring"  # a collection that is there while a restore is not finished
UNKNOWN_TYPE = "application/octet-stream"
MEDIA_TYPES = {".webp": "image/webp", ".avif": "image/avif", ".heic": "image/heic", ".heif": "image/heif"}


class Restored(msgspec.Struct, kw_only=True):
    """What `restore` has done: documents of each collection, and objects."""

    collections: dict[str, int] = {}
    objects: int = 0
    seconds: float = 0.0
    incomplete: str | None = None


async def put_back(
    sources: Sources,
    folder: BackupFolder,
    *,
    keep_sessions: bool = False,
    watch: Watch = unwatched,
    done: Restored | None = None,
) -> Restored:
    """Restores a backup into prepared servers. If it was stopped half way, it can be repeated with the same backup.

    Without `keep_sessions` everybody has to sign in again. Raises BackupError for a database that holds anything else,
    and for a damaged backup.
    """
    done, manifest = Restored() if done is None else done, folder.manifest()
    await _begin(sources, manifest)
    for area in (MEDIA, INCOMING):
        await _store_objects(sources, folder, area, watch, done)
    for number, (name, expected) in enumerate(manifest.collections.items()):
        watch("documents", number, len(manifest.collections))
        if name != SESSIONS or keep_sessions:
            done.collections[name] = await _write_collection(sources, folder, manifest.documents, name)
            if done.collections[name] != expected:
                raise BackupError(f"the backup has {done.collections[name]} documents of {name} instead of {expected}")
    await sources.database.drop_collection(RESTORING)
    return done


async def _begin(sources: Sources, manifest: Manifest) -> None:
    """Marks the database as being restored. Raises BackupError unless it is empty, or was marked with this backup."""
    database = sources.database
    begun = await database[RESTORING].find_one({"_id": manifest.documents})
    if begun is None:
        for name in sorted(await database.list_collection_names()):
            if not name.startswith("system.") and await database[name].find_one({}, {"_id": 1}) is not None:
                raise BackupError(f"the database {database.name} is not empty ({name}); a backup needs an empty one")
        await database[RESTORING].insert_one({"_id": manifest.documents})


async def _store_objects(sources: Sources, folder: BackupFolder, area: str, watch: Watch, done: Restored) -> None:
    put = sources.blobs.put_media if area == MEDIA else sources.blobs.put_incoming
    objects = folder.objects(area)

    async def store(item: tuple[str, Any]) -> None:
        key, path = item
        await put(key, path.read_bytes(), _media_type(path.suffix))

    while batch := list(islice(objects, WRITTEN_AT_ONCE)):
        await run_all(STORED_AT_ONCE, store, batch)
        done.objects += len(batch)
        watch(area, done.objects, done.objects)


def _media_type(suffix: str) -> str:
    return MEDIA_TYPES.get(suffix) or mimetypes.types_map.get(suffix, UNKNOWN_TYPE)


async def _write_collection(sources: Sources, folder: BackupFolder, documents: str, name: str) -> int:
    """Writes all documents of a collection; those that are there already are left alone. Returns how many there are."""
    read, count = folder.read_documents(documents, name), 0
    while batch := list(islice(read, WRITTEN_AT_ONCE)):
        await _insert(sources, name, batch)
        count += len(batch)
    return count


async def _insert(sources: Sources, name: str, documents: Sequence[RawBSONDocument]) -> None:
    try:
        with timeout(SECONDS):
            await sources.database[name].with_options(RAW).insert_many(documents, ordered=False)
    except BulkWriteError as error:
        failed = [each for each in error.details["writeErrors"] if each["code"] != DUPLICATE_KEY]
        if failed:
            raise BackupError(f"a document of {name} cannot be written: {failed[0]['errmsg']}") from error
