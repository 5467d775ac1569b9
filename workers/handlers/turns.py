"""Settling many targets in turns: a bounded number of facts in each transaction, and none starves behind a hot one."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial

from bson import ObjectId

from datasources.mongo.client import Document, Session, in_transaction
from workers.runtime.handler import Tools

FACTS = 1_000  # settled in one transaction
TURNS = 10  # transactions of one call

Apply = Callable[[Sequence[ObjectId], Session], Awaitable[list[Document]]]


async def in_turns(tools: Tools, keys: Iterable[str], by: str, apply: Apply) -> Collection[str]:
    """Settles these targets, up to `FACTS` facts at a time, so that a hot one waits until the others had their turn.

    `settle` returns the facts it settled in the order of their targets. Returns the keys that may owe more.
    """
    ids, hot = sorted(map(ObjectId, keys)), list[ObjectId]()
    for _ in range(TURNS):
        facts = await in_transaction(tools.sources.client, partial(apply, ids))
        if len(facts) < FACTS:
            ids = []
        else:
            last = facts[-1][by]
            hot.append(last)
            ids = [target_id for target_id in ids if target_id > last]
        if not ids:
            ids, hot = hot, []
        if not ids:
            break
    return {str(target_id) for target_id in (*ids, *hot)}
