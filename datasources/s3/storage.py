"""Image files on S3: uploads that come in, and renditions, public and private."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import chain
from typing import IO, TYPE_CHECKING, NamedTuple

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from config import Settings
from datasources.mongo import clock
from datasources.s3.buckets import ensure_bucket, expire_after, open_to_browsers, open_to_readers, report_new_objects
from datasources.s3.connections import PatientSession
from datasources.s3.errors import ABSENT, BlobsNotDeleted, error_code
from datasources.s3.export_files import ExportFiles
from datasources.s3.keys import is_public, original_key, prefixes_of
from datasources.s3.signed_downloads import Signer, signer_of
from domain.records.uploads import UploadRecord
from domain.visibility import Area

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CopySourceTypeDef, ObjectIdentifierTypeDef

# A CDN asks after an hour whether the object is still there, so that it drops what was made private. It may answer with
# what it has for a minute more, while it asks. It may not when storage is away (stale-if-error): to nginx "there is no
# such object" is an error too.
IMMUTABLE = "public, max-age=31536000, s-maxage=3600, stale-while-revalidate=60, immutable"
LONGEST_AT_EDGES = 3600 + 60  # seconds
FOR_ONE_VIEWER = "private, max-age=300"
_ATTEMPTS = 3
_CONNECTIONS = 32
_DELETE_BATCH = 1000  # S3's limit
_LIST_PAGE = 1000  # S3's limit
_CALL_TIMEOUTS = 6  # a call with its retries and its body may take so many times `s3_timeout`
_PING_TIMEOUT = 2.0
_MEDIA_BYTES_MAX = 256 * 1024 * 1024  # no rendition is as large


class StoredBlob(NamedTuple):
    """An object as a listing shows it; `size` in bytes."""

    key: str
    size: int
    last_modified: datetime


@asynccontextmanager
async def open_blobs(settings: Settings) -> AsyncIterator["Blobs"]:
    """One client with its pool of connections for this process; it connects on first use."""
    config = AioConfig(
        signature_version="s3v4",
        region_name=settings.s3_region,
        connect_timeout=settings.s3_timeout,
        read_timeout=settings.s3_timeout,
        max_pool_connections=_CONNECTIONS,
        http_session_cls=PatientSession,
        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        s3={"addressing_style": "path" if settings.s3_endpoint_url else "virtual"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session, public_url = get_session(), settings.s3_public_endpoint_url or settings.s3_endpoint_url
    if settings.s3_access_key:
        session.set_credentials(settings.s3_access_key, settings.s3_secret_key.get_secret_value())
    async with (
        session.create_client("s3", endpoint_url=settings.s3_endpoint_url, config=config) as client,
        session.create_client("s3", endpoint_url=public_url, config=config) as signer,
    ):
        yield Blobs(client, signer, settings, signer_of(settings, await session.get_credentials()))


class Blobs:
    """Two buckets: `incoming`, private, where clients put uploads; `media`, for renditions, with two areas.

    Every method may raise an error of botocore; `is_s3_outage` tells whether waiting helps.
    """

    def __init__(self, client: "S3Client", signer: "S3Client", settings: Settings, media_signer: Signer) -> None:
        self._client = client
        self._signer = signer  # signs addresses for clients; it sends nothing
        self._media_signer = media_signer
        self.exports = ExportFiles(client, signer, settings)
        self._settings = settings
        self._public_base = settings.media_url
        self._incoming = settings.incoming_bucket
        self._media = settings.media_bucket
        self._time_limit = settings.s3_timeout * _CALL_TIMEOUTS

    async def presign_put(
        self, key: str, *, byte_size: int, media_type: str, sha256_base64: str, expires_in: int
    ) -> tuple[str, dict[str, str]]:
        """The address for one PUT of exactly these bytes, good for `expires_in` seconds, and the headers it must carry.

        S3 refuses another length, type or checksum, a missing header, and a second PUT. Nothing is sent to S3 here.
        A client whose HTTP library sets Content-Length, as browsers do, need not set it.
        """
        url = await self._signer.generate_presigned_url(
            "put_object",
            Params={
                "Bucket": self._incoming,
                "Key": key,
                "ContentLength": byte_size,
                "ContentType": media_type,
                "ChecksumSHA256": sha256_base64,
                "IfNoneMatch": "*",
            },
            ExpiresIn=expires_in,
        )
        return url, {
            "Content-Length": str(byte_size),
            "Content-Type": media_type,
            "If-None-Match": "*",
            "x-amz-checksum-sha256": sha256_base64,
        }

    async def put_incoming(self, key: str, body: bytes | IO[bytes], media_type: str) -> None:
        """Stores the file of an upload; the object exists as a whole or not at all. Safe to repeat."""
        async with asyncio.timeout(self._time_limit):
            await self._client.put_object(Bucket=self._incoming, Key=key, Body=body, ContentType=media_type)

    async def read_incoming(self, key: str, limit_bytes: int) -> bytes | None:
        """The bytes of an upload, None if it is not there; of one over `limit_bytes`, the first limit + 1."""
        return await self._read(self._incoming, key, limit_bytes)

    async def read_media(self, key: str) -> bytes | None:
        """The bytes of a rendition or of a kept original; None if it is not there."""
        return await self._read(self._media, key, _MEDIA_BYTES_MAX)

    async def put_media(self, key: str, data: bytes, media_type: str) -> None:
        """Stores a rendition. Safe to repeat: a key from `media_key` always has the same bytes."""
        async with asyncio.timeout(self._time_limit):
            await self._client.put_object(
                Bucket=self._media,
                Key=key,
                Body=data,
                ContentType=media_type,
                CacheControl=_cache_control(key),
                ContentDisposition="inline",
                ChecksumSHA256=base64.b64encode(hashlib.sha256(data).digest()).decode(),
            )

    async def copy_media(self, key: str, to: str, media_type: str) -> bool:
        """Copies a rendition within the bucket, by S3 itself; False if there is none. Safe to repeat."""
        return await self._copy({"Bucket": self._media, "Key": key}, to, media_type)

    async def keep_original(self, upload: UploadRecord) -> bool:
        """Copies what a client sent to where nobody may fetch it; False if it is not there. Safe to repeat."""
        source: CopySourceTypeDef = {"Bucket": self._incoming, "Key": upload.key}
        return await self._copy(source, original_key(upload), upload.format.media_type)

    async def delete_incoming(self, keys: Iterable[str]) -> None:
        """Deletes uploads; one that is not there is no error. Safe to repeat. Raises BlobsNotDeleted."""
        await self._delete(self._incoming, keys)

    async def delete_media(self, keys: Iterable[str]) -> None:
        """Deletes renditions; one that is not there is no error. Safe to repeat. Raises BlobsNotDeleted."""
        await self._delete(self._media, keys)

    def list_incoming(self, prefix: str = "") -> AsyncIterator[StoredBlob]:
        """Every upload whose key starts with `prefix`, in the order of keys."""
        return self._list(self._incoming, prefix)

    def list_media(self, prefix: str = "") -> AsyncIterator[StoredBlob]:
        """Every rendition whose key starts with `prefix`, in the order of keys."""
        return self._list(self._media, prefix)

    async def media_of(self, upload: UploadRecord) -> list[str]:
        """The keys of all of an upload's files, in every area."""

        async def keys(prefix: str) -> list[str]:
            return [blob.key async for blob in self.list_media(prefix)]

        return list(chain.from_iterable(await asyncio.gather(*map(keys, prefixes_of(upload)))))

    def public_url(self, key: str) -> str | None:
        """Where anybody can fetch a rendition; None for one that is not public."""
        return f"{self._public_base}/{key}" if is_public(key) else None

    async def signed_urls(self, keys: Sequence[str]) -> list[str]:
        """Addresses of renditions, good for `signed_url_ttl` seconds at most, in the order of `keys`."""
        return await self._media_signer.sign(keys, clock.now())

    async def ensure_buckets(self) -> None:
        """Makes the buckets that are missing and sets their rules. Safe to repeat and to run side by side.

        Uploads expire after a day. A server of one's own lets everybody read the public area. On Amazon S3 opening a
        bucket to the world is left to its owner, who rather puts CloudFront before it. The origins that may use what
        they can reach are set everywhere: that opens nothing.
        """
        await self.exports.ensure_bucket()
        async with asyncio.timeout(self._time_limit):
            region = None if self._settings.s3_endpoint_url else self._settings.s3_region
            await ensure_bucket(self._client, self._incoming, region)
            await ensure_bucket(self._client, self._media, region)
            await expire_after(self._client, self._incoming, days=1)
            if origins := self._settings.storage_origins:
                await open_to_browsers(self._client, self._incoming, origins, ["PUT"])
                await open_to_browsers(self._client, self._media, origins, ["GET", "HEAD"])
            if self._settings.s3_endpoint_url:
                await open_to_readers(self._client, self._media, f"{Area.PUBLIC.value}/")

    async def report_incoming(self, queue: str) -> None:
        """Has S3 send an event about each upload to a queue of SQS, if it can. Safe to repeat."""
        async with asyncio.timeout(self._time_limit):
            await report_new_objects(self._client, self._incoming, queue)

    async def ping(self) -> None:
        """Raises, within two seconds, if S3 does not answer or the media bucket is not there."""
        async with asyncio.timeout(_PING_TIMEOUT):
            await self._client.head_bucket(Bucket=self._media)

    async def _read(self, bucket: str, key: str, limit_bytes: int) -> bytes | None:
        async with asyncio.timeout(self._time_limit):
            try:
                answer = await self._client.get_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if error_code(error) in ABSENT:
                    return None
                raise
            data = bytearray()
            async with answer["Body"] as body:
                while len(data) <= limit_bytes and (chunk := await body.read(limit_bytes + 1 - len(data))):
                    data += chunk
            return bytes(data)

    async def _copy(self, source: "CopySourceTypeDef", to: str, media_type: str) -> bool:
        async with asyncio.timeout(self._time_limit):
            try:
                await self._client.copy_object(
                    Bucket=self._media,
                    Key=to,
                    CopySource=source,
                    MetadataDirective="REPLACE",
                    ContentType=media_type,
                    CacheControl=_cache_control(to),
                    ContentDisposition="inline",
                )
            except ClientError as error:
                if error_code(error) in ABSENT:
                    return False
                raise
            return True

    async def _delete(self, bucket: str, keys: Iterable[str]) -> None:
        objects: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in dict.fromkeys(keys)]
        for start in range(0, len(objects), _DELETE_BATCH):
            async with asyncio.timeout(self._time_limit):
                answer = await self._client.delete_objects(
                    Bucket=bucket, Delete={"Objects": objects[start : start + _DELETE_BATCH], "Quiet": True}
                )
            if failed := [error for error in answer.get("Errors", []) if error.get("Code") not in ABSENT]:
                raise BlobsNotDeleted(f"{len(failed)} objects in {bucket}, the first: {failed[0]}")

    async def _list(self, bucket: str, prefix: str) -> AsyncIterator[StoredBlob]:
        after = ""
        while True:
            async with asyncio.timeout(self._time_limit):
                page = await self._client.list_objects_v2(
                    Bucket=bucket, Prefix=prefix, StartAfter=after, MaxKeys=_LIST_PAGE
                )
            for item in page.get("Contents", []):
                after = item["Key"]
                yield StoredBlob(after, item["Size"], item["LastModified"])
            if not page.get("IsTruncated"):
                return


def _cache_control(key: str) -> str:
    return IMMUTABLE if is_public(key) else FOR_ONE_VIEWER
