"""The entry of `gc`: every step, in order. Each is safe to repeat, to stop half way, and beside workers and clients."""

from datetime import timedelta

import msgspec
from redis.exceptions import RedisError

from datasources.events.redis_stream import trim_events
from datasources.mongo import clock
from datasources.sources import Sources
from workers.maintenance.gc import facts, files, uploads
from workers.maintenance.gc.run import GcRun
from workers.maintenance.walk import Walk, Watch, unwatched

MIN_AGE = timedelta(hours=1)


class EmptyDatabaseError(RuntimeError):
    """There are no users: most likely this is the wrong database, and every file would look like an orphan."""


class Collected(msgspec.Struct, kw_only=True):
    """How many things of each kind were removed, or would be; the command line adds `seconds` and `incomplete`."""

    dry_run: bool
    removed: dict[str, int] = {}
    seconds: float = 0.0
    incomplete: str | None = None


async def collect(
    sources: Sources,
    *,
    min_age: timedelta = MIN_AGE,
    dry_run: bool = False,
    watch: Watch = unwatched,
    collected: Collected | None = None,
) -> Collected:
    """Removes what is older than `min_age` and needed by nothing; notes it in `collected`. Raises EmptyDatabaseError.

    Only old events need Redis. They come last, so the rest is done without it; then it raises RedisError, unless events
    do not go to Redis. Uploads that nothing uses go in two steps. The first marks them, so that nothing new can be made
    of them. A later run, at least a minute after, removes their files, unless something was made of them in between. A
    dry run does not count events.
    """
    if await sources.database["users"].estimated_document_count() == 0:
        raise EmptyDatabaseError(
            f"there are no users in {sources.settings.mongo_database}: is this the right database?"
        )
    collected = Collected(dry_run=dry_run) if collected is None else collected
    run = GcRun(Walk(sources=sources, watch=watch), clock.now(), min_age, collected.removed, dry_run)
    await uploads.mark_unused(run)
    await uploads.remove_marked(run)
    await files.remove_orphaned_media(run)
    await files.remove_late_incoming(run)
    await uploads.remove_old(run)
    await facts.remove_orphaned_facts(run)
    if not dry_run:
        await _remove_old_events(run)
    return collected


async def _remove_old_events(run: GcRun) -> None:
    """Removes them also where events went to Redis once, if it answers."""
    try:
        run.count_removal("old events", await trim_events(run.sources.redis.queue, run.sources.settings))
    except RedisError:
        if "redis" in run.sources.settings.events:
            raise
