"""`backup`: the database as it is at one moment, and every image that it names, beside a live system.

All collections are read from one snapshot, so what belongs together is together. Images are copied before, since that
takes longest, and what the snapshot names besides is copied after it. If one of those is gone by then, deleted or moved
in between, a new snapshot is taken. So no restored post lacks its picture.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice

import msgspec
from bson.raw_bson import RawBSONDocument

from datasources.concurrency.tasks import run_all
from datasources.mongo import clock
from datasources.mongo.client import Document
from datasources.s3.storage import StoredBlob
from datasources.sources import Sources
from domain.jobs import Task
from domain.limits import MAX_IMAGE_BYTES
from domain.records.posts import PostStatus
from domain.records.uploads import UploadStatus
from workers.maintenance.backup.documents import READ_AT_ONCE, write_documents
from workers.maintenance.backup.folder import DOCUMENTS, INCOMING, MEDIA, BackupFolder, Manifest
from workers.maintenance.walk import Watch, unwatched

COPIED_AT_ONCE = 16  # objects
ROUNDS = 3  # snapshots, if images are deleted or moved again and again


class BackedUp(msgspec.Struct, kw_only=True):
    """What `backup` has done: documents of each collection, objects, those copied and removed, and keys it lacks.

    `only_copies` are keys that the documents name and that only the backup has any more.
    """

    collections: dict[str, int] = {}
    objects: int = 0
    copied: int = 0
    removed: int = 0
    lacking: list[str] = []
    only_copies: list[str] = []
    seconds: float = 0.0
    incomplete: str | None = None


class _Backup:
    def __init__(self, sources: Sources, folder: BackupFolder, watch: Watch, done: BackedUp, began: float) -> None:
        self._sources, self._folder, self._watch, self._done = sources, folder, watch, done
        self._began = began  # a file's time
        blobs = sources.blobs
        self._reads: dict[str, Callable[[str], Awaitable[bytes | None]]] = {
            MEDIA: blobs.read_media,
            INCOMING: partial(blobs.read_incoming, limit_bytes=MAX_IMAGE_BYTES),
        }

    async def copy_listed(self) -> None:
        """Copies all objects of both buckets that are not there yet."""
        for area, listed in (
            (MEDIA, self._sources.blobs.list_media()),
            (INCOMING, self._sources.blobs.list_incoming()),
        ):
            batch: list[StoredBlob] = []
            async for blob in listed:
                batch.append(blob)
                if len(batch) == READ_AT_ONCE:
                    await self._copy_batch(area, batch)
                    batch = []
            await self._copy_batch(area, batch)

    async def _copy_batch(self, area: str, blobs: Sequence[StoredBlob]) -> None:
        async def copy(blob: StoredBlob) -> None:
            if self._folder.has(area, blob.key, blob.size):
                self._folder.mark_used(area, blob.key)
            else:
                await self._copy(area, blob.key)

        await run_all(COPIED_AT_ONCE, copy, blobs)
        self._done.objects += len(blobs)
        self._watch(area, self._done.objects, self._done.objects)

    async def _copy(self, area: str, key: str) -> bool:
        """Copies an object; False if it is not there."""
        data = await self._reads[area](key)
        if data is not None:
            self._folder.store(area, key, data)
            self._done.copied += 1
        return data is not None

    async def copy_named(self, name: str) -> list[str]:
        """Copies what the documents name and the backup has not; returns the keys that storage does not have.

        What the backup has already belongs to it, though storage has lost it.
        """
        lacking: list[str] = []

        async def copy(key: str) -> None:
            if not await self._copy(MEDIA, key):
                lacking.append(key)

        absent = (key for key in _named_keys(self._folder, name) if not self._is_kept(key))
        while keys := list(islice(absent, READ_AT_ONCE)):
            await run_all(COPIED_AT_ONCE, copy, dict.fromkeys(keys))
        return sorted(lacking)

    def _is_kept(self, key: str) -> bool:
        """Whether the folder has an object of media. It is marked; storage has listed it if it was marked before."""
        if not self._folder.has(MEDIA, key):
            return False
        if not self._folder.is_used(MEDIA, key, self._began):
            self._folder.mark_used(MEDIA, key)
            self._done.only_copies.append(key)
        return True


async def back_up(
    sources: Sources, folder: BackupFolder, watch: Watch = unwatched, done: BackedUp | None = None
) -> BackedUp:
    """Makes or renews the backup in a folder. Raises BackupError; then an earlier backup is still whole.

    Safe to repeat and to stop half way. `lacking` are files that ready posts and avatars name, and that storage has not
    had for several snapshots: they were lost before. Those that an earlier backup has are `only_copies` and are kept.
    """
    done = BackedUp() if done is None else done
    with folder.held():
        began = _file_time(folder)
        backup = _Backup(sources, folder, watch, done, began)
        await backup.copy_listed()
        for number in range(ROUNDS):
            made_at = clock.now()
            name = _name(made_at, number)
            done.collections = await write_documents(sources, folder, name, watch)
            done.lacking = await backup.copy_named(name)
            if not done.lacking:
                break
        folder.finish(Manifest(made_at=made_at, documents=name, collections=done.collections, lacking=done.lacking))
        done.removed = folder.remove_unused((MEDIA, INCOMING), began)
    return done


def _file_time(folder: BackupFolder) -> float:
    """Now, by the clock of the folder's file system."""
    probe = folder.path / "began"
    probe.touch()
    began = probe.stat().st_mtime
    probe.unlink()
    return began


def _name(made_at: datetime, number: int) -> str:
    return f"{DOCUMENTS}{made_at:%Y%m%dT%H%M%S%f}-{number}"


def _named_keys(folder: BackupFolder, name: str) -> Iterator[str]:
    """The keys of the files that must be there: of what is shown, and of images that wait for their posts."""
    for post in folder.read_documents(name, "posts"):
        if post.get("status") == PostStatus.READY.value and not post.get("deleted"):
            for image in post.get("images", ()):
                yield from _keys(image)
    for user in folder.read_documents(name, "users"):
        if user.get("avatar"):
            yield from _keys(user["avatar"])
    for upload in folder.read_documents(name, "uploads"):
        if upload.get("status") == UploadStatus.READY.value and Task.CLEAN_UP.value not in upload.get("outbox", ()):
            yield from _keys(upload.get("image") or {})


def _keys(image: Document | RawBSONDocument) -> Iterator[str]:
    for rendition in image.get("renditions", ()):
        yield rendition["key"]
