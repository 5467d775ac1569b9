"""Keeps PyMongo's connection pool alive when operations are cancelled (docs/adr/0009-cancelled-operations.md).

Who waits for a connection waits for a condition by `asyncio.wait_for`, which on Python 3.11 puts that wait into a
second task. Interrupted twice there (its deadline, then a cancellation; or two cancellations) an operation goes on
before the second task has ended: it releases a lock that it does not hold, and the second task takes the lock for
ever. From then on every operation of the process waits for it, without a deadline. Later Pythons have no second task,
but a deadline that is over already lets the loop turn with the lock held, and three cancellations lose a slot.

`asyncio.timeout` around the wait has neither: the wait ends before the operation goes on, and nobody awaits anything
while holding the lock.

Every message is sent through `asyncio.wait_for` as well. On Python 3.11 a cancellation that comes when the second task
has just ended is lost there: the operation goes on as if nobody had cancelled it, a loop that was told to end does not,
and a deadline that has passed is forgotten. So sending is done in the operation's own task too.

PyMongo 4.20 and 4.20.1 have the fault; pyproject.toml pins the minor version, because this
reaches into a private name.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import pymongo.asynchronous.pool
import pymongo.lock
from pymongo.network_layer import PyMongoProtocol

Result = TypeVar("Result")


class DriverChanged(RuntimeError):
    """This PyMongo does not wait for connections as the one we know; a process must not start on it unmended."""


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
    """Has all clients of this process wait for connections, and send, in the operation's own task.

    Call it before one is made.

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
