"""An author's follows are switched between push and pull, when the author crosses the limit of followers."""

from bson import ObjectId

from datasources.mongo import clock
from workers.runtime.handler import Tools

CHUNK = 1_000  # follows switched in one step


async def switch_push_pull(tools: Tools, key: str) -> None:
    """Gives every follow of an author the author's mode, a chunk at a time.

    Safe to run twice, beside itself, and to stop half way: follows that have the mode stay, and the author's posts are
    pushed until the task is done. If the author's mode changes meanwhile, it begins anew. A follow made after the
    author changed mode gets that mode by its backfill; one made before is found here.
    """
    push_pull, author_id = tools.sources.push_pull, ObjectId(key)
    while (mode := await push_pull.pending(author_id)) is not None:
        above: ObjectId | None = None
        while await push_pull.postpone(mode, clock.now()):
            chunk = await push_pull.followers_to_switch(mode, above, CHUNK)
            if not chunk:
                await push_pull.finish(mode)
                break
            await push_pull.switch(mode, chunk, clock.now())
            above = chunk[-1]
