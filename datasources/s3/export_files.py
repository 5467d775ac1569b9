"""Archives of exports in a bucket of their own: written in parts, fetched by addresses that expire soon."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from config import Settings
from datasources.s3.buckets import ensure_bucket, expire_after
from datasources.s3.errors import ABSENT, error_code
from domain.limits import EXPORT_KEPT_DAYS

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

PART_BYTES = 8 * 1024 * 1024  # S3 takes ten thousand parts, of 5 MiB at least but for the last one
_CALL_TIMEOUTS = 6  # a call with its retries and its body may take so many times `s3_timeout`
_LISTED = 1_000  # S3's limit; an account has at most `EXPORT_FILES_MAX` archives, and a few that were being made


_LONGEST_DAYS = 8  # of making as many archives as an export may have, in twenty minutes each


class UploadGone(Exception):
    """An upload was ended by somebody else."""


class ExportFiles:
    """Every method may raise an error of botocore; `is_s3_outage` tells whether waiting helps."""

    def __init__(self, client: "S3Client", signer: "S3Client", settings: Settings) -> None:
        self._client = client
        self._signer = signer  # signs addresses for clients; it sends nothing
        self._bucket = settings.exports_bucket
        self._ttl = settings.signed_url_ttl
        self._region = None if settings.s3_endpoint_url else settings.s3_region
        self._time_limit = settings.s3_timeout * _CALL_TIMEOUTS

    async def begin(self, key: str) -> str:
        """Begins an object that is sent in parts, and returns S3's name of the upload. Nothing can be fetched yet."""
        async with asyncio.timeout(self._time_limit):
            begun = await self._client.create_multipart_upload(
                Bucket=self._bucket, Key=key, ContentType="application/zip", CacheControl="private, no-store"
            )
            return begun["UploadId"]

    async def put_part(self, key: str, upload_id: str, number: int, data: bytes) -> str:
        """Stores a part, from 1 on; returns what `complete` needs. Safe to repeat. Raises UploadGone."""
        async with self._uploading():
            stored = await self._client.upload_part(
                Bucket=self._bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=data
            )
            return stored["ETag"]

    async def complete(self, key: str, upload_id: str, etags: Sequence[str]) -> None:
        """Makes the object of its parts: from now on it exists as a whole. Raises UploadGone."""
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
        async with self._uploading():
            await self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},  # type: ignore[typeddict-item]
            )

    async def delete(self, prefix: str, *, but: str | None = None, keep: Collection[str] = ()) -> None:
        """Deletes every object and every unfinished upload whose key starts with `prefix`. Safe to repeat.

        But for the upload `but`, and the objects at the keys `keep`.
        """
        async with asyncio.timeout(self._time_limit):
            begun = await self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=prefix, MaxUploads=_LISTED)
            for upload in begun.get("Uploads", []):
                if upload["UploadId"] != but:
                    await self.abort(upload["Key"], upload["UploadId"])
            stored = await self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=_LISTED)
            for item in stored.get("Contents", []):
                if item["Key"] in keep:
                    continue
                await self._client.delete_object(Bucket=self._bucket, Key=item["Key"])

    async def keys(self, prefix: str) -> list[str]:
        """The keys of the objects whose key starts with `prefix`, a thousand at most."""
        async with asyncio.timeout(self._time_limit):
            page = await self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=_LISTED)
            return [item["Key"] for item in page.get("Contents", [])]

    async def signed_url(self, key: str, file_name: str) -> str:
        """An address that is good for `signed_url_ttl` seconds and saves the archive under this name."""
        return await self._signer.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": key,
                "ResponseContentDisposition": f'attachment; filename="{file_name}"',
            },
            ExpiresIn=self._ttl,
        )

    async def ensure_bucket(self) -> None:
        """Makes the bucket if it is missing. What is left there expires, parts and archives. Safe to repeat."""
        async with asyncio.timeout(self._time_limit):
            await ensure_bucket(self._client, self._bucket, self._region)
            await expire_after(self._client, self._bucket, days=EXPORT_KEPT_DAYS + _LONGEST_DAYS)

    async def abort(self, key: str, upload_id: str) -> None:
        """Ends an upload; its parts are gone. Safe to repeat."""
        with contextlib.suppress(UploadGone):
            async with self._uploading():
                await self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)

    @contextlib.asynccontextmanager
    async def _uploading(self) -> AsyncIterator[None]:
        """A call about an upload, with its time limit. Raises UploadGone."""
        try:
            async with asyncio.timeout(self._time_limit):
                yield
        except ClientError as error:
            if error_code(error) in ABSENT | {"NoSuchUpload"}:
                raise UploadGone from error
            raise
