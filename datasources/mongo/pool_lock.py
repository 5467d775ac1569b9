"""Keeps PyMongo's connection pool alive when operations are cancelled (docs/adr/0009-cancelled-operations.md).

PyMongo waits for a free connection, and sends, by `asyncio.wait_for`, which on Python 3.11 waits in a second task. Two
interruptions leave the pool's lock held for ever; on later Pythons three lose a slot of the pool. `asyncio.timeout`
around the wait has no such fault.

It receives by two tasks for each answer: one reads, one looks twice a second whether the driver has given up the
connection. That takes a fifth of an operation's processor time. Here both are done by the operation's own task.

PyMongo 4.20 and 4.20.1 have the fault. pyproject.toml pins the minor version, because private names are replaced here.
"""

import asyncio
import time
from collections.abc import Awaitable
from typing import Any, TypeVar

import pymongo.asynchronous.pool
import pymongo.lock
from pymongo import _csot
from pymongo.common import MAX_MESSAGE_SIZE
from pymongo.errors import ProtocolError, _OperationCancelled
from pymongo.message import _UNPACK_REPLY
from pymongo.network_layer import PyMongoProtocol

Result = TypeVar("Result")

LOOK_SECONDS = 0.5  # between two looks whether the driver has given up a connection; as often as the driver looks


class DriverChanged(RuntimeError):
    """This PyMongo waits or sends in another way than the one patched here; a process must not start on it."""


async def same_task_wait_for(awaitable: Awaitable[Result], timeout: float | None) -> Result:  # noqa: ASYNC109  as wait_for
    """`asyncio.wait_for` without a second task. Raises TimeoutError."""
    async with asyncio.timeout(timeout):
        return await awaitable


async def same_task_sendall(conn: PyMongoProtocol, buf: bytes) -> None:
    """`async_sendall` without a second task. Raises TimeoutError."""
    try:
        await same_task_wait_for(conn.write(buf), conn.gettimeout)
    except TimeoutError as error:
        raise TimeoutError("timed out") from error


async def same_task_receive(conn: Any, request_id: int | None, max_message_size: int = MAX_MESSAGE_SIZE) -> Any:
    """`async_receive_message` without tasks of its own.

    Raises TimeoutError, and `_OperationCancelled` if the driver gives up the connection meanwhile.
    """
    seconds = conn.conn.gettimeout
    if _csot.get_timeout():
        seconds = max(_csot.get_deadline() - time.monotonic(), 0.0)
    try:
        async with asyncio.timeout(seconds) as limit:
            watch = _Watch(conn.cancel_context, limit)
            try:
                data, op_code = await conn.conn.get_conn.read(request_id, max_message_size)
            finally:
                watch.stop()
    except TimeoutError as error:
        if conn.cancel_context.cancelled:
            raise _OperationCancelled("operation cancelled") from error
        raise TimeoutError("timed out") from error
    if op_code not in _UNPACK_REPLY:
        raise ProtocolError(f"Got opcode {op_code!r} but expected {_UNPACK_REPLY.keys()!r}")
    return _UNPACK_REPLY[op_code](data)


class _Watch:
    """Ends a wait when the driver has given up the connection."""

    __slots__ = ("_context", "_limit", "_loop", "_timer")

    def __init__(self, context: Any, limit: asyncio.Timeout) -> None:
        self._context = context
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(0.0 if context.cancelled else LOOK_SECONDS, self._look)

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        if not self._context.cancelled:
            self._timer = self._loop.call_later(LOOK_SECONDS, self._look)
        elif not self._limit.expired():
            self._limit.reschedule(self._loop.time())


def patch_pool_lock() -> None:
    """Has all clients that are made from now on wait for connections, send and receive in the operation's own task.

    Safe to repeat. Raises DriverChanged.
    """
    wait = getattr(pymongo.lock, "_async_cond_wait", None)
    if not hasattr(pymongo.lock, "wait_for") or wait is None or "wait_for" not in wait.__code__.co_names:
        raise DriverChanged(f"PyMongo {pymongo.version} waits for connections in another way: see {__name__}")
    send = pymongo.asynchronous.pool.AsyncConnection.send_message
    if "async_sendall" not in send.__code__.co_names:
        raise DriverChanged(f"PyMongo {pymongo.version} sends in another way: see {__name__}")
    receive = pymongo.asynchronous.pool.AsyncConnection.receive_message
    if "async_receive_message" not in receive.__code__.co_names:
        raise DriverChanged(f"PyMongo {pymongo.version} receives in another way: see {__name__}")
    pymongo.lock.wait_for = same_task_wait_for
    pymongo.asynchronous.pool.async_sendall = same_task_sendall  # type: ignore[attr-defined]
    pymongo.asynchronous.pool.async_receive_message = same_task_receive  # type: ignore[attr-defined]
