"""Removing copies of public files from the CDN before storage: Amazon CloudFront, or nginx of one's own."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import ClientSession, ClientTimeout
from botocore.exceptions import ClientError

from config import Settings
from datasources.concurrency.tasks import run_all
from datasources.s3.errors import error_code
from datasources.s3.keys import MediaKey
from domain.visibility import Area

if TYPE_CHECKING:
    from types_aiobotocore_cloudfront import CloudFrontClient

MAX_WILDCARDS = 15  # CloudFront's limit of those in progress
MAX_FOLDERS = 3  # of one account: for more, everything of the account is dropped by one path
MAX_CONCURRENT = 16  # requests to nginx
FIRST_PAUSE, MAX_PAUSE = 1.0, 10.0  # seconds between two looks at an invalidation
_TOO_MANY = "TooManyInvalidationsInProgress"
_GONE = {403, 404}


class CdnBusyError(Exception):
    """CloudFront has as many invalidations in progress as it takes: trying again later helps."""


class CdnRefusedError(Exception):
    """An edge did not do what it was asked; its configuration does not fit."""


class Cdn:
    """The edges named by the settings; without any, nothing is done."""

    def __init__(self, settings: Settings, cloudfront: "CloudFrontClient | None", http: ClientSession) -> None:
        self._distribution_id = settings.cloudfront_distribution_id or ""
        self._path = urlsplit(settings.media_url).path
        self._edges = [url.rstrip("/") for url in settings.cdn_purge_urls]
        self._cloudfront = cloudfront
        self._http = http

    async def purge(self, keys: Collection[str], reference: str) -> None:
        """Returns once no edge has copies of these files, which are deleted from the media bucket. Safe to repeat.

        An nginx asks storage again and keeps the answer that the file is gone. CloudFront takes equal calls with one
        `reference` for one. Raises CdnBusyError, CdnRefusedError, and errors of
        botocore and aiohttp, of which `is_s3_outage` tells whether waiting helps.
        """
        if self._cloudfront is not None:
            paths = [f"{self._path}/{path}" for path in paths_of(keys)]
            for start in range(0, len(paths), MAX_WILDCARDS):
                await self._invalidate(self._cloudfront, paths[start : start + MAX_WILDCARDS], f"{reference}-{start}")
        await run_all(MAX_CONCURRENT, self._ask_again, [f"{edge}/{key}" for edge in self._edges for key in keys])

    async def _ask_again(self, url: str) -> None:
        """Has an nginx ask storage for a deleted file."""
        async with self._http.get(url, headers={"X-Purge": "1"}) as answer:
            if answer.status >= 500:
                raise ConnectionError(f"{url} answers {answer.status}")
            if answer.status not in _GONE:
                raise CdnRefusedError(f"{url} answers {answer.status} for a file that is deleted")

    async def _invalidate(self, client: "CloudFrontClient", paths: Sequence[str], reference: str) -> None:
        """Returns when an invalidation is completed."""
        try:
            answer = await client.create_invalidation(
                DistributionId=self._distribution_id,
                InvalidationBatch={
                    "Paths": {"Quantity": len(paths), "Items": list(paths)},
                    "CallerReference": reference,
                },
            )
        except ClientError as error:
            if error_code(error) == _TOO_MANY:
                raise CdnBusyError from error
            raise
        invalidation, pause = answer["Invalidation"], FIRST_PAUSE
        while invalidation["Status"].upper() != "COMPLETED":
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE)
            found = await client.get_invalidation(DistributionId=self._distribution_id, Id=invalidation["Id"])
            invalidation = found["Invalidation"]


def paths_of(keys: Collection[str]) -> list[str]:
    """The fewest paths with a wildcard at their end that have all of these files, and only files of their accounts."""
    folders = defaultdict[str, set[str]](set)
    for key in keys:
        parts = MediaKey.parse(key)
        if parts is not None and parts.area is Area.PUBLIC:
            first, *rest = parts.folder.split("/")
            folders[first].add("/".join([first, *rest[:1]]))
    return sorted(chain.from_iterable(_paths(account, inner) for account, inner in folders.items()))


def _paths(account: str, folders: Collection[str]) -> Iterator[str]:
    for folder in [account] if len(folders) > MAX_FOLDERS else folders:
        yield f"{Area.PUBLIC.value}/{folder}/*"


@asynccontextmanager
async def open_cdn(settings: Settings) -> AsyncIterator[Cdn]:
    """The CDN of the settings, with connections of its own; they are made on first use."""
    async with AsyncExitStack() as stack:
        cloudfront = None
        if settings.cloudfront_distribution_id:
            session = get_session()
            if credentials := settings.aws_credentials:
                session.set_credentials(*credentials)
            config = AioConfig(
                connect_timeout=settings.aws_timeout,
                read_timeout=settings.aws_timeout,
                retries={"total_max_attempts": 2, "mode": "standard"},
            )
            cloudfront = await stack.enter_async_context(
                session.create_client(
                    "cloudfront", region_name="us-east-1", endpoint_url=settings.aws_endpoint, config=config
                )
            )
        timeout = ClientTimeout(total=settings.s3_timeout)
        http = await stack.enter_async_context(ClientSession(timeout=timeout))
        yield Cdn(settings, cloudfront, http)
