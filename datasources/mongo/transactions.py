"""Transactions, and what is to be done when one is over."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

from pymongo import timeout
from pymongo.errors import DuplicateKeyError

from datasources.mongo.client import Client, Session

Result = TypeVar("Result")

SECONDS = 30.0
TRIES = 5  # a concurrent duplicate may insert the same key first; the next try finds its document

_afterwards: WeakKeyDictionary[Session, list[Callable[[], Awaitable[object]]]] = WeakKeyDictionary()


async def in_transaction(client: Client, work: Callable[[Session], Awaitable[Result]]) -> Result:
    """Runs `work` in one transaction, commits it and returns what `work` returned.

    `work` may run several times: on a write conflict, on a new primary, when a concurrent duplicate inserts a key
    first. So it must only write in the session; the rest is for `after_transaction`. Raises what `work` raises,
    and an outage after `SECONDS`.
    """
    async with client.start_session() as session:
        _afterwards[session] = []
        try:
            with timeout(SECONDS):
                for _ in range(TRIES - 1):
                    with contextlib.suppress(DuplicateKeyError):
                        return await session.with_transaction(work)
                return await session.with_transaction(work)
        finally:
            await asyncio.gather(*(call() for call in _afterwards.pop(session)))


def after_transaction(session: Session, call: Callable[[], Awaitable[object]]) -> None:
    """Has `in_transaction` await `call`, which must not raise, when the transaction has been committed or has failed.

    It is awaited before `in_transaction` returns, as many times as it was given.
    """
    _afterwards[session].append(call)
