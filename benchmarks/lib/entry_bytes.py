"""How many bytes a feed entry takes on disk, and how many it would in a collection clustered by its key."""

from random import Random
from typing import Any

from bson import ObjectId

from benchmarks.lib.report import Table
from datasources.sources import Sources

OWNERS, POSTS = 1_000, 100


async def measure_entry_bytes(sources: Sources) -> Table:
    """Writes entries to both kinds of collection, post by post as a fan-out does, and measures them."""
    database = sources.database
    await database.create_collection("clustered_entries", clusteredIndex={"key": {"_id": 1}, "unique": True})
    owners = [ObjectId() for _ in range(OWNERS)]
    Random(1).shuffle(owners)  # who began to follow first did not register first
    for _ in range(POSTS):
        post_id, author = ObjectId(), ObjectId()
        rows: list[dict[str, Any]] = [{"_id": {"o": owner, "p": post_id}, "a": author} for owner in owners]
        for name in ("stored_entries", "clustered_entries"):
            await database[name].insert_many(rows, ordered=False)
    await sources.client.admin.command("fsync")
    table = Table(
        f"Bytes of a feed entry ({OWNERS * POSTS:,} of them, {POSTS} each)",
        ["collection", "data", "stored, compressed", "index", "altogether"],
    )
    for name, collection in (("as it is", "stored_entries"), ("clustered by _id", "clustered_entries")):
        stats = await database.command("collStats", collection)
        sizes = (stats["size"], stats["storageSize"], stats["totalIndexSize"], stats["totalSize"])
        table.rows.append([name, *(f"{size / stats['count']:.0f}" for size in sizes)])
    return table
