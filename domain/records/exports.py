"""Exports: everything that an account has, in one archive."""

from datetime import datetime
from enum import StrEnum

from domain.jobs import Task
from domain.records.record import Stored


class ExportStatus(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    READY = "READY"
    FAILED = "FAILED"


class ExportRecord(Stored, frozen=True, kw_only=True):
    """The one export of an account, whose id it has. `key` is the archive's place in the bucket of exports.

    `upload_id` is S3's name of the upload that is being made of it; `done` of `total` steps are made. It is deleted
    with the archive at `kept_until`.
    """

    requested_at: datetime
    key: str
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
