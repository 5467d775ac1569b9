"""A zip archive that is sent to storage while it is made: a part of it and one file at a time are in memory."""

from collections.abc import Iterable

from zipstream import ZIP_DEFLATED, ZIP_STORED, ZipStream

from datasources.s3.export_files import PART_BYTES, ExportFiles


class Archive:
    """The archive at a key, as an upload that was begun."""

    def __init__(self, files: ExportFiles, key: str, upload_id: str) -> None:
        self._files = files
        self._key = key
        self._upload_id = upload_id
        self._zip = ZipStream()
        self._waiting = bytearray()
        self._etags: list[str] = []
        self._sent_bytes = 0

    @property
    def byte_size(self) -> int:
        """How large it is so far."""
        return self._sent_bytes + len(self._waiting)

    async def add(self, name: str, data: bytes, *, compressed: bool) -> None:
        """Adds a file. Images are compressed already; words shrink to a fraction."""
        self._zip.add(data, name, compress_type=ZIP_DEFLATED if compressed else ZIP_STORED)
        await self._send(self._zip.all_files())

    async def close(self) -> None:
        """Adds the list of files, and makes the archive exist."""
        await self._send(self._zip.finalize())
        await self._put_part(len(self._waiting))
        await self._files.complete(self._key, self._upload_id, self._etags)

    async def _send(self, chunks: Iterable[bytes]) -> None:
        for chunk in chunks:
            self._waiting += chunk
            while len(self._waiting) >= PART_BYTES:
                await self._put_part(PART_BYTES)

    async def _put_part(self, size: int) -> None:
        part = bytes(self._waiting[:size])
        self._etags.append(await self._files.put_part(self._key, self._upload_id, len(self._etags) + 1, part))
        del self._waiting[:size]
        self._sent_bytes += len(part)
