"""Exports: everything that an account has, in archives."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.jobs import Task
from domain.records.record import Record, Stored


class ExportStatus(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    READY = "READY"
    FAILED = "FAILED"


class ExportPosition(Record, frozen=True, kw_only=True):
    """After which file of an export the next archive begins: of which table, how many it has so far, the last row."""

    table: str
    number: int = 0
    after: Any = None  # the value of the last row by which the table is sorted


class ArchiveRecord(Record, frozen=True, kw_only=True):
    """A whole archive, of so many files."""

    key: str
    byte_size: int
    files: int = 0


class ExportRecord(Stored, frozen=True, kw_only=True):
    """The one export of an account, whose id it has. `key` begins the keys of its archives in the bucket of exports.

    `archives` are whole, and the next one goes on at `position`. `upload_id` is S3's name of the upload that is being
    made of it, or was the last; `done` of `total` steps are made. It is deleted with the archives at `kept_until`.
    """

    requested_at: datetime
    key: str
    archives: list[ArchiveRecord] = []
    position: ExportPosition | None = None
    upload_id: str | None = None
    done: int = 0
    total: int = 0
    byte_size: int | None = None
    kept_until: datetime | None = None
    dead_lettered: list[str] = []

    @property
    def available_until(self) -> datetime | None:
        """Until when the archive can be fetched; None if it cannot."""
        return self.kept_until if self.byte_size is not None else None

    @property
    def available_archives(self) -> Sequence[ArchiveRecord]:
        """The archives of a READY export, in order; none of another. Older versions make a single one, at `key`."""
        if self.byte_size is None:
            return ()
        if sum(archive.byte_size for archive in self.archives) == self.byte_size:
            return self.archives
        return [ArchiveRecord(key=self.key, byte_size=self.byte_size)]

    @property
    def status(self) -> ExportStatus:
        if self.byte_size is not None:
            return ExportStatus.READY
        if Task.BUILD_EXPORT in self.dead_lettered:
            return ExportStatus.FAILED
        return ExportStatus.PENDING if self.upload_id is None else ExportStatus.RUNNING

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        if self.byte_size is not None:
            return 1.0
        return min(self.done / self.total, 0.99) if self.total else 0.0
