"""Clients of one Redis server each, with time limits and a bound on their connections."""

import asyncio
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError

from datasources.redis.addresses import Host, RedisAddress

CONNECTIONS = 50


class _Connection(AbstractConnection):
    """What is done otherwise than by redis-py."""

    _serializer = HiredisRespSerializer()
    is_closed = False  # of the client; for all its connections

    async def connect_check_health(self, *args: Any, **kwargs: Any) -> None:
        """Raises ConnectionError once the client is closed: a command that was under way then tries once more."""
        if self.is_closed:
            raise RedisConnectionError("the client is closed")
        await super().connect_check_health(*args, **kwargs)

    def pack_command(self, *args: Any) -> list[bytes]:
        """By hiredis, as redis-py's synchronous client does: ten times as fast for a thousand keys."""
        packed: list[bytes] = self._serializer.pack(*args)
        return packed

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Raises ConnectionError also where uvloop raises RuntimeError: the connection was lost just before.

        And CancelledError wherever the task is cancelled meanwhile: before Python 3.12 `asyncio.wait_for`, by which
        redis-py sends, loses a cancellation that comes when all has just been sent, or could not be.
        """
        before, failed = _cancellations(), None
        try:
            await super().send_packed_command(command, check_health)
        except (RedisError, RuntimeError) as error:
            failed = error
        if _cancellations() > before:
            await self.disconnect(nowait=True)  # nobody reads the answer
            raise asyncio.CancelledError from failed
        if isinstance(failed, RuntimeError):
            raise RedisConnectionError(str(failed)) from failed
        if failed is not None:
            raise failed

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        """Ends the connection when its server has become a replica: the next one may lead to the new master."""
        try:
            return await super().read_response(*args, **kwargs)
        except ReadOnlyError:
            await self.disconnect(nowait=True)
            raise


class _Pool(BlockingConnectionPool):
    """A pool that stays closed."""

    async def aclose(self) -> None:
        self.connection_class.is_closed = True  # type: ignore[attr-defined]
        await super().aclose()


class _SentinelConnection(_Connection):
    """A connection that asks the sentinels for the master whenever it connects."""

    def __init__(self, *, sentinel: Sentinel, service: str, **options: Any) -> None:
        super().__init__(**options)
        self._sentinel, self._service = sentinel, service

    async def connect(self) -> None:
        if not self.is_connected:
            before = _cancellations()
            try:
                self.host, self.port = await self._sentinel.discover_master(self._service)
            finally:
                if _cancellations() > before:  # lost as in sending
                    raise asyncio.CancelledError
        await super().connect()  # type: ignore[no-untyped-call]


def _cancellations() -> int:
    """How often the current task has been cancelled."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def open_client(url: str, *, seconds: float, wait: float, host: Host | None = None) -> Redis:
    """A client of the server at `url`, or of another `host` with the same options; it connects on first use.

    Commands take `seconds` at most. Beyond `CONNECTIONS` commands at once, others wait in line for `wait`, then raise
    ConnectionError.
    """
    return _open(url, _Connection, seconds=seconds, wait=wait, **_named(host))


def open_sentinel_client(address: RedisAddress, *, seconds: float, wait: float) -> tuple[Redis, Sentinel]:
    """As `open_client`, for the master of the moment of the service that sentinels watch; and what asks them."""
    limits = {"socket_timeout": wait, "socket_connect_timeout": wait, "retry": Retry(NoBackoff(), 0)}
    sentinel = Sentinel(address.hosts, sentinel_kwargs=limits)  # type: ignore[no-untyped-call]
    options = {"sentinel": sentinel, "service": address.service}
    return _open(address.one, _SentinelConnection, seconds=seconds, wait=wait, **options), sentinel


def _named(host: Host | None) -> dict[str, Any]:
    return {} if host is None else {"host": host[0], "port": host[1]}


def _open(url: str, connection_class: type, *, seconds: float, wait: float, **options: Any) -> Redis:
    pool = _Pool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=wait,
        socket_timeout=seconds,
        socket_connect_timeout=wait,
        health_check_interval=30,
        # A pooled connection does not notice a restart of Redis; one retry replaces it.
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )
    pool.connection_kwargs.update(options)
    pool.connection_class = type("PhotogramConnection", (connection_class, pool.connection_class), {})
    return Redis.from_pool(pool)
