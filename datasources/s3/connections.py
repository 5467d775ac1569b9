"""Connections to S3: bounded in number, and in the time that one waits for one."""

from typing import Any

from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import ClientTimeout


class PatientSession(AIOHTTPSession):
    """As aiobotocore's, but who finds every connection taken waits `connect_timeout` in line, and not for ever."""

    def __init__(self, *, timeout: Any = None, **options: Any) -> None:
        super().__init__(timeout=timeout, **options)
        connect, read = timeout if isinstance(timeout, list | tuple) else (timeout, timeout)
        self._timeout = ClientTimeout(connect=connect, sock_connect=connect, sock_read=read)
