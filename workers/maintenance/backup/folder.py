"""The folder of a backup: what lies where in it.

`manifest.json` names the folder of the documents, one BSON file for each collection, as `mongorestore` reads them too.
It is replaced last, in one step: until then the earlier backup is whole. `media` and `incoming` have the objects of the
two buckets, under their keys.

A backup holds hashes of passwords, secrets of webhooks and private images, so only its owner can read it, whatever the
umask is.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

UNFINISHED = "unfinished"  # the file that is being written
FORM = 1  # of the folder; a later version that changes it raises the number
MANIFEST, MEDIA, INCOMING, DOCUMENTS = "manifest.json", "media", "incoming", "documents-"
RAW: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
_SIZE_BYTES = 4
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_PLAIN_NAME = re.compile(r"(?!system\.)[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}", re.ASCII)


class Manifest(msgspec.Struct, kw_only=True):
    """What a backup has. `lacking` are the keys that ready posts name and that storage does not have."""

    form: int = FORM
    made_at: datetime
    documents: str
    collections: dict[str, int]
    lacking: list[str] = []


class BackupError(RuntimeError):
    """A backup cannot be made or restored; the message, one line, says why."""


class BackupFolder:
    """Reads and writes the files of a backup."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Makes the folder, and keeps others from writing it during the block. Raises BackupError if another does.

        A folder that is there keeps its mode: it may be anybody's. Objects of earlier versions lie in folders that are
        closed here.
        """
        for each in (self.path / MEDIA, self.path / INCOMING):
            _make_folder(each)
            each.chmod(_FOLDER_MODE)
        with open(self.path / "lock", "w", opener=_open_private) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BackupError(f"another backup into {self.path} is running") from None
            yield

    def manifest(self) -> Manifest:
        """What the backup has. Raises BackupError if there is none, of another form, or with names that are paths."""
        try:
            manifest = msgspec.json.decode((self.path / MANIFEST).read_bytes(), type=Manifest)
        except FileNotFoundError:
            raise BackupError(f"there is no finished backup in {self.path}") from None
        except msgspec.MsgspecError as error:
            raise BackupError(f"{self.path / MANIFEST} cannot be read: {error}") from None
        if manifest.form != FORM:
            raise BackupError(f"the backup in {self.path} has form {manifest.form}; this version reads {FORM}")
        for collection in manifest.collections:
            self._documents(manifest.documents, collection)
        return manifest

    def finish(self, manifest: Manifest) -> None:
        """Makes the new documents the backup's, once all is on the disk, and deletes those of earlier ones."""
        os.sync()
        self._replace(self.path / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        os.sync()
        for old in self.path.glob(f"{DOCUMENTS}*"):
            if old.name != manifest.documents:
                shutil.rmtree(old)

    def write_documents(self, folder: str, collection: str) -> BinaryIO:
        """A new file for the documents of a collection. Raises BackupError for a name that is a path."""
        path = self._documents(folder, collection)
        _make_folder(path.parent)
        return _create(path)

    def read_documents(self, folder: str, collection: str) -> Iterator[RawBSONDocument]:
        """The documents of a collection, one after the other. Raises BackupError for a file that is cut off."""
        path = self._documents(folder, collection)
        with path.open("rb") as file:
            while head := file.read(_SIZE_BYTES):
                size = int.from_bytes(head, "little")
                document = head + file.read(size - _SIZE_BYTES)
                if size <= _SIZE_BYTES or len(document) != size:
                    raise BackupError(f"{path} is cut off")
                yield RawBSONDocument(document, RAW)

    def has(self, area: str, key: str, size: int | None = None) -> bool:
        """Whether an object is there, of this size."""
        try:
            found = self._object(area, key).stat().st_size
        except FileNotFoundError:
            return False
        return size is None or size == found

    def store(self, area: str, key: str, data: bytes) -> None:
        """Writes an object, as a whole or not at all."""
        path = self._object(area, key)
        _make_folder(path.parent)
        self._replace(path, data)

    def mark_used(self, area: str, key: str) -> None:
        """Says that an object belongs to the backup that is being made."""
        os.utime(self._object(area, key))

    def is_used(self, area: str, key: str, since: float) -> bool:
        """Whether an object was marked or stored since a file's time."""
        return self._object(area, key).stat().st_mtime >= since

    def objects(self, area: str) -> Iterator[tuple[str, Path]]:
        """The keys and files of all objects."""
        root = self.path / area
        for folder, _, names in os.walk(root):
            for name in names:
                path = Path(folder) / name
                yield path.relative_to(root).as_posix(), path

    def remove_unused(self, areas: Iterable[str], before: float) -> int:
        """Deletes objects that were not marked or stored since `before`, a file's time; returns how many."""
        unused = [
            path for area in areas for key, path in self.objects(area) if not self.is_used(area, key, since=before)
        ]
        for path in unused:
            path.unlink()
        return len(unused)

    def _documents(self, folder: str, collection: str) -> Path:
        """Raises BackupError unless both are plain names; a manifest and a database can have any."""
        for name in (folder, collection):
            if not _PLAIN_NAME.fullmatch(name):
                raise BackupError(f"{name!r} cannot be the name of documents in a backup")
        return self.path / folder / f"{collection}.bson"

    def _object(self, area: str, key: str) -> Path:
        """Raises BackupError for a key that is not a path below the folder."""
        if any(part in ("", ".", "..") for part in key.split("/")) or "\0" in key:
            raise BackupError(f"an object of {area} has the key {key!r}, which cannot be the name of a file")
        return self.path / area / key

    def _replace(self, path: Path, data: bytes) -> None:
        """Writes beside the objects first, so that what a killed process leaves half written is none of them."""
        new = self.path / UNFINISHED
        with _create(new) as file:
            file.write(data)
        new.replace(path)


def _make_folder(path: Path) -> None:
    if not path.is_dir():
        _make_folder(path.parent)
        path.mkdir(_FOLDER_MODE, exist_ok=True)


def _create(path: Path) -> BinaryIO:
    """Replaces a file that is there: its mode, and what it links to, would be another's."""
    path.unlink(missing_ok=True)
    return open(path, "xb", opener=_open_private)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, _FILE_MODE)
