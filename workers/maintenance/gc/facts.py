"""Facts, entries and interests that refer to what is gone."""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from datasources.mongo.client import Document
from datasources.mongo.queries import find_by_ids
from datasources.sources import Sources
from workers.maintenance.gc.run import GcRun, deleted_among


async def remove_orphaned_facts(run: GcRun) -> None:
    """Removes likes, saves, comments, fan-outs and feed entries of what is gone, and deleted authors."""
    await _remove_facts(run, "fan_outs", "post_id", "posts")  # chunks that failed; others go when they are done
    await _remove_facts(run, "post_likes", "target_id", "posts")
    await _remove_saves(run)
    await _remove_facts(run, "comments", "post_id", "posts")
    await _remove_facts(run, "comment_likes", "target_id", "comments")
    await _remove_entries(run)
    await _remove_from_interests(run)


async def _remove_facts(run: GcRun, collection: str, field: str, targets: str) -> None:
    async for ids in run.walk.ids(collection, collection):
        rows = await find_by_ids(run.sources.database[collection], run.old(ids), projection={field: 1})
        missing = await _missing(run.sources, targets, [row[field] for row in rows.values()])
        orphans = [row_id for row_id, row in rows.items() if row[field] in missing]
        if run.count_removal(collection, len(orphans)):
            if collection == "comments":  # they are cached
                await run.sources.comments.delete_documents(orphans)
            else:
                await run.sources.database[collection].delete_many({"_id": {"$in": orphans}})


async def _remove_saves(run: GcRun) -> None:
    """Removes saves of posts that are gone, from collections and counters too."""
    async for ids in run.walk.ids("saves", "saves"):
        rows = await find_by_ids(run.sources.database["saves"], run.old(ids))
        missing = await _missing(run.sources, "posts", [row["post_id"] for row in rows.values()])
        orphans = [row for row in rows.values() if row["post_id"] in missing]
        if run.count_removal("saves", len(orphans)):
            for row in orphans:
                await run.sources.saved.posts.unsave(row["saver_id"], row["post_id"])


async def _remove_entries(run: GcRun) -> None:
    """Removes entries of posts that are gone, and has the feeds cleared that are not live any more."""
    collection = run.sources.database["feed_entries"]
    async for ids in run.walk.ids("feed_entries", "feed_entries"):
        owners = {key["o"] for key in ids}
        given_up = owners.difference(await run.sources.feed_states.live_among(list(owners)))
        if run.count_removal("feeds_given_up", len(given_up)):
            await run.sources.feed_states.enqueue_clearing(list(given_up), run.now)
        old = [key for key in ids if key["p"].generation_time <= run.before]
        missing = await _missing(run.sources, "posts", [key["p"] for key in old])
        orphans: list[Document] = [key for key in old if key["p"] in missing]
        if run.count_removal("feed_entries", len(orphans)):
            await collection.delete_many({"_id": {"$in": orphans}})


async def _remove_from_interests(run: GcRun) -> None:
    """Removes deleted accounts from interests that were not computed since."""
    collection = run.sources.database["interests"]
    async for ids in run.walk.ids("interests", "interests"):
        rows = await find_by_ids(collection, ids, projection={"authors.author_id": 1})
        authors = {row_id: {author["author_id"] for author in row.get("authors", ())} for row_id, row in rows.items()}
        deleted = set(await deleted_among(run.sources, list(set[ObjectId]().union(*authors.values()))))
        naming = [row_id for row_id, author_ids in authors.items() if author_ids & deleted]
        if run.count_removal("interests", len(naming)):
            change = {"$pull": {"authors": {"author_id": {"$in": list(deleted)}}}}
            await collection.update_many({"_id": {"$in": naming}}, change)


async def _missing(sources: Sources, collection: str, ids: Sequence[ObjectId]) -> set[Any]:
    """Those that are not there. They never will be: no id is used twice."""
    rows = await find_by_ids(sources.database[collection], list(set(ids)), projection={"_id": 1})
    return set(ids) - set(rows)
