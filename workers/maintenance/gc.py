"""`gc`: clears away what nobody needs: files without an upload, uploads without a use, facts about what is gone.

Nothing younger than a minimum age is touched, so that what is being made is left alone. All of it is safe to repeat,
to stop half way, and beside workers and clients.
"""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Document
from datasources.mongo.queries import find_by_ids
from datasources.sources import Sources
from workers.maintenance import gc_uploads
from workers.maintenance.gc_run import GcRun, deleted_among
from workers.maintenance.walk import Walk, Watch, unwatched

MIN_AGE = timedelta(hours=1)


class EmptyDatabaseError(RuntimeError):
    """There are no users: most likely this is the wrong database, and every file would look like an orphan."""


class Collected(msgspec.Struct, kw_only=True):
    """How many things of each kind went, or would go in a dry run; `incomplete` says why it ended early."""

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
    gone: Collected | None = None,
) -> Collected:
    """Clears away what is older than `min_age` and needed by nothing; notes it in `gone`. Raises EmptyDatabaseError.

    Uploads that nothing uses go in two steps: they are marked, so that nothing new can be made of them, and their files
    go a minute later, by the next run, unless something was made of them in between.
    """
    began, now = time.monotonic(), clock.now()
    if await sources.database["users"].estimated_document_count() == 0:
        raise EmptyDatabaseError(
            f"there are no users in {sources.settings.mongo_database}: is this the right database?"
        )
    gone = Collected(dry_run=dry_run) if gone is None else gone
    run = GcRun(Walk(sources=sources, watch=watch), now, min_age, gone.removed, dry_run=dry_run)
    try:
        await _collect(run)
    finally:
        gone.seconds = round(time.monotonic() - began, 3)
    return gone


async def _collect(run: GcRun) -> None:
    await gc_uploads.mark_unused_uploads(run)
    await gc_uploads.remove_marked_uploads(run)
    await gc_uploads.remove_orphaned_files(run)
    await gc_uploads.remove_late_sources(run)
    await gc_uploads.expire_old_uploads(run)
    await _remove_facts(run, "fan_outs", "post_id", "posts")
    await _remove_facts(run, "post_likes", "target_id", "posts")
    await _remove_comments(run)
    await _remove_facts(run, "comment_likes", "target_id", "comments")
    await _remove_entries(run)
    await _remove_interests_in_deleted(run)


async def _remove_facts(run: GcRun, facts: str, field: str, targets: str) -> None:
    """Those whose target is gone; of a gone post's fan-out only chunks that failed are left."""
    collection = run.sources.database[facts]
    async for ids in run.walk.ids(facts, facts):
        found = await find_by_ids(collection, run.old(ids), projection={field: 1})
        gone = await _missing(run.sources, targets, [fact[field] for fact in found.values()])
        orphans = [fact["_id"] for fact in found.values() if fact[field] in gone]
        if orphans and run.counts(facts, len(orphans)):
            await collection.delete_many({"_id": {"$in": orphans}})


async def _remove_comments(run: GcRun) -> None:
    collection = run.sources.database["comments"]
    async for ids in run.walk.ids("comments", "comments"):
        comments = await find_by_ids(collection, run.old(ids), projection={"post_id": 1})
        gone = await _missing(run.sources, "posts", [comment["post_id"] for comment in comments.values()])
        orphans = [comment["_id"] for comment in comments.values() if comment["post_id"] in gone]
        if orphans and run.counts("comments", len(orphans)):
            await run.sources.comments.delete_documents(orphans)


async def _remove_entries(run: GcRun) -> None:
    collection = run.sources.database["feed_entries"]
    async for ids in run.walk.ids("feed_entries", "feed_entries"):
        owners = {key["o"] for key in ids}
        given_up = owners.difference(await run.sources.feed_states.live_among(list(owners)))
        if given_up and run.counts("feeds_given_up", len(given_up)):
            await run.sources.feed_states.enqueue_clearing(list(given_up), run.now)
        old = [key for key in ids if key["p"].generation_time <= run.before]
        gone = await _missing(run.sources, "posts", [key["p"] for key in old])
        orphans: list[Document] = [key for key in old if key["p"] in gone]
        if orphans and run.counts("feed_entries", len(orphans)):
            await collection.delete_many({"_id": {"$in": orphans}})


async def _remove_interests_in_deleted(run: GcRun) -> None:
    """Takes deleted accounts out of interests that were not computed since."""
    collection = run.sources.database["interests"]
    async for ids in run.walk.ids("interests", "interests"):
        rows = await find_by_ids(collection, ids, projection={"authors.author_id": 1})
        authors = {row_id: {author["author_id"] for author in row.get("authors", ())} for row_id, row in rows.items()}
        deleted = set(await deleted_among(run.sources, list(set[ObjectId]().union(*authors.values()))))
        naming = [row_id for row_id, author_ids in authors.items() if author_ids & deleted]
        if naming and run.counts("interests", len(naming)):
            change = {"$pull": {"authors": {"author_id": {"$in": list(deleted)}}}}
            await collection.update_many({"_id": {"$in": naming}}, change)


async def _missing(sources: Sources, collection: str, ids: Sequence[ObjectId]) -> set[Any]:
    """Those that are not there; an id is never used again, so they never will be."""
    there = await find_by_ids(sources.database[collection], list(set(ids)), projection={"_id": 1})
    return set(ids) - set(there)
