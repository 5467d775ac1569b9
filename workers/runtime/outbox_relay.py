"""The sweeper: rings again for whatever has owed longer than its worker should need.

It makes the transport's losses harmless. Any number of sweepers may run: ringing twice is ringing once.
"""

import asyncio
from datetime import datetime, timedelta

import structlog

from datasources.jobs.outbox import MAX_PAUSE, mark_enqueued
from datasources.mongo import clock
from datasources.outages import is_outage
from datasources.sources import Sources
from domain.jobs import Fact, jobs_of

log = structlog.get_logger(__name__)

MAX_FACTS = 1_000
# An upload's bytes go past us, so they are looked for often; everything else waits longer and longer.
MAX_PAUSES: dict[Fact, timedelta] = {Fact.UPLOAD: timedelta(seconds=3)}


async def relay_due(sources: Sources, now: datetime) -> int:
    """Rings for up to `MOST` due facts of each kind, and sets when they are due next; returns how many there were.

    Feeds whose daily tending is due begin to owe it.

    Raises RedisError, and puts nothing off, while nobody could hear: what is due is rung for once Redis is back.
    """
    await sources.redis.ping()
    await sources.feed_states.enqueue_due(now, MAX_FACTS)
    swept = await asyncio.gather(*(_relay(sources, fact, now) for fact in Fact), return_exceptions=True)
    for outcome in swept:
        if isinstance(outcome, BaseException):
            raise outcome
    return sum(outcome for outcome in swept if isinstance(outcome, int))


async def _relay(sources: Sources, fact: Fact, now: datetime) -> int:
    """Rings first: a transaction that a killed worker left open can hold the write up for as long as it lives."""
    collection = sources.database[f"{fact.value}s"]
    due = await collection.find({"due_at": {"$lte": now}}, sort=[("due_at", 1)], limit=MAX_FACTS).to_list()
    if due:
        await sources.job_queue.enqueue(job for document in due for job in jobs_of(fact, document))
        query = {"_id": {"$in": [document["_id"] for document in due]}, "due_at": {"$lte": now}}
        await collection.update_many(query, mark_enqueued(now, MAX_PAUSES.get(fact, MAX_PAUSE)))
    return len(due)


async def keep_relaying(sources: Sources, stopping: asyncio.Event, interval: float) -> None:
    """Sweeps every `interval` seconds until told to stop; an outage is waited out."""
    while not stopping.is_set():
        try:
            found = await relay_due(sources, clock.now())
            if found:
                log.info("relay.enqueued", facts=found)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("relay.outage", error=type(error).__name__)
        try:
            async with asyncio.timeout(interval):
                await stopping.wait()
        except TimeoutError:
            continue
