"""Keeps PyMongo's connection pool alive when operations are cancelled (docs/adr/0009-cancelled-operations.md).

PyMongo waits for a free connection, and sends, by `asyncio.wait_for`, which on Python 3.11 waits in a second task. Two
interruptions leave the pool's lock held for ever; on later Pythons three lose a slot of the pool. `asyncio.timeout`
around the wait has no such fault.

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
