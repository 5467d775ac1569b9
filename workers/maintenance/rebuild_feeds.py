"""`repair --feeds`: rebuilds one home feed, or all of them."""

from collections.abc import Sequence
from functools import partial

import msgspec
from bson import ObjectId

from datasources.concurrency.tasks import run_all
from datasources.mongo import clock
from domain.jobs import Task
from workers.handlers.refresh_feed import refresh_feed
from workers.maintenance.walk import Walk
from workers.runtime.handler import Tools

CONCURRENCY = 8


class Rebuilt(msgspec.Struct, kw_only=True):
    """How many feeds were rebuilt, and how many of these have changed meanwhile and are left to the workers.

    The command line adds how long it took, and in `incomplete` why it ended early.
    """

    feeds: int = 0
    waiting: int = 0
    seconds: float = 0.0
    incomplete: str | None = None


async def rebuild_feeds(
    tools: Tools, walk: Walk, owner_id: ObjectId | None = None, done: Rebuilt | None = None
) -> Rebuilt:
    """Rebuilds one feed, or all that are stored, from posts and follows, and notes the progress in `done`.

    Meanwhile the feeds are read by pull. Safe to repeat, beside workers and clients, and to stop half way: what has
    begun is pending, and workers finish it.
    """
    done = Rebuilt() if done is None else done
    if owner_id is not None:
        await _rebuild(tools, [owner_id], done)
    else:
        async for owner_ids in walk.ids("feeds", "feeds"):
            await _rebuild(tools, owner_ids, done)
    return done


async def _rebuild(tools: Tools, owner_ids: Sequence[ObjectId], done: Rebuilt) -> None:
    done.feeds += await tools.sources.feed_states.reset(owner_ids, clock.now())
    await run_all(CONCURRENCY, partial(refresh_feed, tools), map(str, owner_ids))
    pending = {"_id": {"$in": list(owner_ids)}, "outbox": Task.REFRESH_FEED.value}
    done.waiting += await tools.sources.database["feeds"].count_documents(pending)
