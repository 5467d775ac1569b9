"""Keeps PyMongo's connection pool alive when operations are cancelled (docs/adr/0009-cancelled-operations.md).

PyMongo waits for a free connection by `asyncio.wait_for` on a condition. On Python 3.11 that waits in a second task. An
operation that is interrupted twice there (a deadline and a cancellation, or two cancellations) goes on before the
second task has ended. It releases a lock that it does not hold, and the second task holds the lock for ever: every
later operation of the process waits for it, without a deadline. Later Pythons have no second task, but with a deadline
that has passed the loop runs while the lock is held, and three cancellations lose a slot of the pool.

`asyncio.timeout` around the wait has neither fault: the wait ends before the operation goes on, and nothing is awaited
while the lock is held.

PyMongo also sends every message by `asyncio.wait_for`. On Python 3.11 a cancellation or a deadline that comes when the
second task has just ended is lost there. So messages are sent in the operation's own task too.

PyMongo 4.20 and 4.20.1 have the fault. pyproject.toml pins the minor version, because private names are replaced here.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import pymongo.asynchronous.pool
import pymongo.lock
from pymongo.network_layer import PyMongoProtocol

Result = TypeVar("Result")


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


def patch_pool_lock() -> None:
    """Has all clients that are made from now on wait for connections, and send, in the operation's own task.

    Safe to repeat. Raises DriverChanged.
    """
    wait = getattr(pymongo.lock, "_async_cond_wait", None)
    if not hasattr(pymongo.lock, "wait_for") or wait is None or "wait_for" not in wait.__code__.co_names:
        raise DriverChanged(f"PyMongo {pymongo.version} waits for connections in another way: see {__name__}")
    send = pymongo.asynchronous.pool.AsyncConnection.send_message
    if "async_sendall" not in send.__code__.co_names:
        raise DriverChanged(f"PyMongo {pymongo.version} sends in another way: see {__name__}")
    pymongo.lock.wait_for = same_task_wait_for
    pymongo.asynchronous.pool.async_sendall = same_task_sendall  # type: ignore[attr-defined]
