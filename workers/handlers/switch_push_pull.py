"""Shifting: when an author's posts are pulled from now on, or pushed again, their follows are made to say so."""

from bson import ObjectId

from datasources.mongo import clock
from workers.runtime.handler import Tools

CHUNK = 1_000  # follows written at once


async def shift(tools: Tools, key: str) -> None:
    """Makes every follow of an author say what the author's mode is, a chunk at a time.

    Safe to run twice, beside itself and to stop half way: what says so already is left as it is, and the author's posts
    are pushed until this is paid. If the author changes meanwhile, it begins anew. A follow that comes after the author
    has changed is filled according to that; one that was there before is found here.
    """
    shifts, author_id = tools.sources.shifts, ObjectId(key)
    while (mode := await shifts.owing(author_id)) is not None:
        after: ObjectId | None = None
        while await shifts.hold(mode, clock.now()):
            chunk = await shifts.to_shift(mode, after, CHUNK)
            if not chunk:
                await shifts.pay(mode)
                break
            await shifts.shift(mode, chunk, clock.now())
            after = chunk[-1]
