"""The addresses of files, loaded many at once."""

import asyncio
from collections.abc import Sequence
from typing import Any

from datasources.concurrency.loader import Answer, Loader
from datasources.s3.storage import Blobs


class UrlLoader(Loader[str, str]):
    """Where to fetch renditions, by their keys in storage. Only the addresses of private ones take a call."""

    def __init__(self, blobs: Blobs) -> None:
        super().__init__(blobs.signed_urls)
        self._public_url = blobs.public_url

    def batch(self, keys: Sequence[str]) -> "list[str | Exception] | asyncio.Future[list[str | Exception]]":
        urls: list[str | Exception] = []
        for key in keys:
            url = self._public_url(key)
            if url is None:
                return super().batch(keys)
            urls.append(url)
        return urls

    def _wait(self, keys: tuple[str, ...], answer: Answer) -> "asyncio.Future[Any]":
        known = [(key, url) for key in keys if (url := self._public_url(key)) is not None]
        self.prime([key for key, _ in known], [url for _, url in known])
        return super()._wait(keys, answer)
