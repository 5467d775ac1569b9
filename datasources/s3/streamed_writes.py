"""One object of unknown size on its way into S3: gathered in parts, so that no more than a part is held in memory."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 5 * 1024 * 1024  # the least that S3 takes for a part that is not the last
_ABORT_SECONDS = 2.0


class Incoming:
    """An object that does not exist before `complete`: one PUT if it fits into a part, else a multipart upload.

    Each call to S3 takes at most `seconds`. Every method but `abort` may raise an error of botocore or TimeoutError.
    """

    def __init__(self, client: "S3Client", bucket: str, key: str, media_type: str, seconds: float) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._media_type = media_type
        self._seconds = seconds
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._parts: list[CompletedPartTypeDef] = []

    async def write(self, data: bytes) -> None:
        """Adds bytes; sends a part when there is one."""
        self._buffer += data
        while len(self._buffer) >= PART_BYTES:
            await self._send(PART_BYTES)

    async def complete(self) -> None:
        """Makes the object of all that was written."""
        if self._upload_id is None:
            async with asyncio.timeout(self._seconds):
                await self._client.put_object(
                    Bucket=self._bucket, Key=self._key, Body=bytes(self._buffer), ContentType=self._media_type
                )
            return
        if self._buffer:
            await self._send(len(self._buffer))
        async with asyncio.timeout(self._seconds):
            await self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=self._key, UploadId=self._upload_id, MultipartUpload={"Parts": self._parts}
            )

    async def abort(self) -> None:
        """Takes back whatever S3 has of it, also an object whose completion was not heard of; within two seconds.

        Raises as the others. What it leaves, the bucket's own rules clear away.
        """
        async with asyncio.timeout(_ABORT_SECONDS):
            if self._upload_id is not None:
                await self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._key, UploadId=self._upload_id)
            await self._client.delete_object(Bucket=self._bucket, Key=self._key)

    async def _send(self, size: int) -> None:
        async with asyncio.timeout(self._seconds):
            if self._upload_id is None:
                begun = await self._client.create_multipart_upload(
                    Bucket=self._bucket, Key=self._key, ContentType=self._media_type
                )
                self._upload_id = begun["UploadId"]
            number = len(self._parts) + 1
            sent = await self._client.upload_part(
                Bucket=self._bucket,
                Key=self._key,
                UploadId=self._upload_id,
                PartNumber=number,
                Body=bytes(self._buffer[:size]),
            )
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        del self._buffer[:size]
