"""Shifting: when an author's posts are pulled from now on, or pushed again, their follows are made to say so."""

from bson import ObjectId

from datasources.mongo import clock
from workers.runtime.handler import Tools

CHUNK = 1_000  # follows written at once


async def switch_push_pull(tools: Tools, key: str) -> None:
    """Makes every follow of an author say what the author's mode is, a chunk at a time.

    Safe to run twice, beside itself and to stop half way: what says so already is left as it is, and the author's posts
    are pushed until this is paid. If the author changes meanwhile, it begins anew. A follow that comes after the author
    has changed is filled according to that; one that was there before is found here.
    """
    push_pull, author_id = tools.sources.push_pull, ObjectId(key)
    while (mode := await push_pull.pending(author_id)) is not None:
        after: ObjectId | None = None
        while await push_pull.postpone(mode, clock.now()):
            chunk = await push_pull.follows_to_switch(mode, after, CHUNK)
            if not chunk:
                await push_pull.finish(mode)
                break
            await push_pull.switch(mode, chunk, clock.now())
            after = chunk[-1]
