"""Files that clients send through the API itself become uploads like any other (`docs/design/media.md`)."""

import asyncio
import base64
import hashlib
import io
from collections.abc import AsyncIterable
from datetime import timedelta

import structlog
from bson import ObjectId

from datasources.jobs.idempotency import Idempotency, key_reused
from datasources.media.source_formats import format_taken
from datasources.media.uploads import UploadStore
from datasources.mongo import clock
from datasources.s3.storage import Blobs
from domain.errors import Refusal, UserErrorCode
from domain.image_formats import SIGNATURE_BYTES
from domain.limits import MAX_IMAGE_BYTES
from domain.records.uploads import UploadRecord

TRY_AGAIN_MS = 2_000
DELETE_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Intake:
    """Takes `max_concurrent` files at a time; each may take `max_time`."""

    def __init__(self, uploads: UploadStore, blobs: Blobs, *, max_concurrent: int, max_time: timedelta) -> None:
        self._uploads = uploads
        self._blobs = blobs
        self._slots = asyncio.Semaphore(max_concurrent)
        self._max_time = max_time

    async def take(
        self, owner_id: ObjectId, file: AsyncIterable[bytes], idempotency: Idempotency | None = None
    ) -> UploadRecord:
        """Reserves quota, stores the file, and enqueues its ingestion; a replayed key gives the first upload.

        If the file, the sender or S3 fails, nothing is kept and the quota is given back. Raises
        Refusal (BUSY, UNSUPPORTED_FORMAT, IMAGE_TOO_LARGE, IN_PROGRESS, UPLOAD_EXPIRED, and as `announce`), what
        reading the file raises, and errors of botocore.
        """
        if self._slots.locked():
            message = "Too many files are being sent at once; try again, or use createUpload."
            raise Refusal(UserErrorCode.BUSY, message, retry_after_ms=TRY_AGAIN_MS)
        async with self._slots:
            counted = _Counted(file)
            head = await counted.head(SIGNATURE_BYTES)
            image_format = format_taken(head, field=["file"])
            upload = await self._uploads.begin_intake(owner_id, image_format, clock.now(), self._max_time, idempotency)
            if upload.sha256:  # an earlier call's
                return await _replayed(upload, counted)
            return await self._store(upload, head, counted)

    async def _store(self, upload: UploadRecord, head: bytes, rest: "_Counted") -> UploadRecord:
        file = io.BytesIO()
        try:
            file.write(head)
            async for chunk in rest:
                file.write(chunk)
            file.seek(0)
            # First, because a worker may see the bytes once S3 has them.
            received = await self._uploads.finish_intake(upload, rest.size, rest.sha256)
            await self._blobs.put_incoming(upload.key, file, upload.format.media_type)
        except BaseException:
            await self._undo(upload)
            raise
        await self._uploads.check_now([upload.id])
        return received

    async def _undo(self, upload: UploadRecord) -> None:
        """Gives back key and quota, and deletes the file, which S3 may have anyway. Best effort: the rest expires."""
        results = await asyncio.gather(self._uploads.undo_intake(upload), self._delete(upload), return_exceptions=True)
        for error in results:
            if error is not None:
                log.warning("intake.not_given_back", upload=str(upload.id), error=type(error).__name__)

    async def _delete(self, upload: UploadRecord) -> None:
        async with asyncio.timeout(DELETE_SECONDS):
            await self._blobs.delete_incoming([upload.key])


class _Counted:
    """A file as it comes, measured. Raises Refusal (IMAGE_TOO_LARGE) at the first byte too many."""

    def __init__(self, file: AsyncIterable[bytes]) -> None:
        self._file = aiter(file)
        self._digest = hashlib.sha256()
        self.size = 0

    def __aiter__(self) -> "_Counted":
        return self

    async def __anext__(self) -> bytes:
        chunk = await anext(self._file)
        self.size += len(chunk)
        if self.size > MAX_IMAGE_BYTES:
            message = f"An image has at most {MAX_IMAGE_BYTES // 1024**2} MiB."
            raise Refusal(UserErrorCode.IMAGE_TOO_LARGE, message, field=["file"])
        self._digest.update(chunk)
        return chunk

    async def head(self, size: int) -> bytes:
        """At least the first `size` bytes, or all of a smaller file."""
        head = b""
        async for chunk in self:
            head += chunk
            if len(head) >= size:
                break
        return head

    @property
    def sha256(self) -> str:
        """Of what has come, in base64."""
        return base64.b64encode(self._digest.digest()).decode()


async def _replayed(upload: UploadRecord, file: _Counted) -> UploadRecord:
    """An earlier call's upload. Raises Refusal (IDEMPOTENCY_KEY_REUSED) unless it was of the same file."""
    async for _ in file:
        pass
    if file.sha256 != upload.sha256:
        raise key_reused()
    return upload
