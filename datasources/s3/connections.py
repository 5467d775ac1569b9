"""Connections to S3 with a bound on the wait for a free one."""

from typing import Any

from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import ClientTimeout


class PatientSession(AIOHTTPSession):
    """As aiobotocore's, but a call that finds every connection taken waits `connect_timeout` at most, not for ever."""

    def __init__(self, *, timeout: Any = None, **options: Any) -> None:
        super().__init__(timeout=timeout, **options)
        connect, read = timeout if isinstance(timeout, list | tuple) else (timeout, timeout)
        self._timeout = ClientTimeout(connect=connect, sock_connect=connect, sock_read=read)
