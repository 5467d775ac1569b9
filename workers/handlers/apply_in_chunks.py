"""Applying the pending facts of many targets: a bounded number in each transaction, and a hot target comes last."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial

from bson import ObjectId

from datasources.mongo.client import Document, Session
from datasources.mongo.transactions import in_transaction
from workers.runtime.handler import Tools

MAX_FACTS = 1_000  # applied in one transaction
MAX_TRANSACTIONS = 10  # of one call

Apply = Callable[[Sequence[ObjectId], Session], Awaitable[list[Document]]]


async def apply_in_chunks(tools: Tools, keys: Iterable[str], key_field: str, apply: Apply) -> Collection[str]:
    """Applies what is pending for these targets, so that a hot target waits until the others had their turn.

    `apply` takes up to `MAX_FACTS` facts and returns them in the order of their targets (`key_field`). Returns the keys
    for which more may be pending.
    """
    remaining, hot = sorted(map(ObjectId, keys)), list[ObjectId]()
    for _ in range(MAX_TRANSACTIONS):
        facts = await in_transaction(tools.sources.client, partial(apply, remaining))
        if len(facts) < MAX_FACTS:
            remaining = []
        else:
            last = facts[-1][key_field]
            hot.append(last)
            remaining = [target_id for target_id in remaining if target_id > last]
        if not remaining:
            remaining, hot = hot, []
        if not remaining:
            break
    return {str(target_id) for target_id in (*remaining, *hot)}
