"""The outbox relay enqueues again what has been pending for long (`docs/design/jobs.md`). Any number may run."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from datasources.jobs.outbox import MAX_PAUSE, mark_enqueued
from datasources.jobs.queue import error_name
from datasources.mongo import clock
from datasources.outages import is_outage
from datasources.sources import Sources
from domain.jobs import Fact

log = structlog.get_logger(__name__)

MAX_FACTS = 1_000
# The bytes of an upload do not pass the API, so uploads are checked often; everything else waits longer each time.
MAX_PAUSES: dict[Fact, timedelta] = {Fact.UPLOAD: timedelta(seconds=3)}


async def relay_due(sources: Sources, now: datetime) -> int:
    """Enqueues the jobs of up to `MAX_FACTS` due facts of each kind, oldest first, and sets when they are due next.

    Returns how many facts were due. Safe to repeat and side by side. First it makes pending what begins at a time: the
    daily REFRESH_FEED of feeds, CLEAN_UP of exports, END_DECISION of decisions. Raises an outage while the job queue is
    away, and postpones nothing.
    """
    await sources.job_queue.ping()
    await sources.feed_states.enqueue_due(now, MAX_FACTS)
    await sources.account.exports.enqueue_expired(now, MAX_FACTS)
    await sources.moderation.decisions.enqueue_due(now, MAX_FACTS)
    outcomes = await asyncio.gather(*(_relay(sources, fact, now) for fact in Fact), return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return sum(outcome for outcome in outcomes if isinstance(outcome, int))


async def _relay(sources: Sources, fact: Fact, now: datetime) -> int:
    """Enqueues before it writes: a transaction that a killed worker left open may hold up the write for a minute."""
    collection = sources.database[fact.collection]
    due = await collection.find({"due_at": {"$lte": now}}, sort=[("due_at", 1)], limit=MAX_FACTS).to_list()
    if due:
        await sources.job_queue.enqueue_pending(fact, due)
        query = {"_id": {"$in": [document["_id"] for document in due]}, "due_at": {"$lte": now}}
        await collection.update_many(query, mark_enqueued(now, MAX_PAUSES.get(fact, MAX_PAUSE)))
    return len(due)


async def keep_relaying(sources: Sources, stopping: asyncio.Event, interval: float) -> None:
    """Calls `relay_due` every `interval` seconds until `stopping` is set; an outage is waited out."""
    while not stopping.is_set():
        try:
            due = await relay_due(sources, clock.now())
            if due:
                log.info("relay.enqueued", facts=due)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("relay.outage", error=error_name(error))
        with suppress(TimeoutError):
            async with asyncio.timeout(interval):
                await stopping.wait()
