"""Posts are listed under their topics while strangers may see them."""

from collections.abc import Collection, Sequence

import structlog
from bson import ObjectId

from datasources.outages import is_outage
from domain.jobs import JOBS, Fact, Job, Task
from workers.runtime.handler import RetryLater, Tools

CHUNK = JOBS[Task.LIST, Fact.POST].batch  # posts of an account in one transaction
CHUNKS = 20  # of one call
log = structlog.get_logger(__name__)


async def list_posts(tools: Tools, *keys: str) -> None:
    """Lists posts under their topics, or takes them off. Safe to run twice: it goes by what is so now."""
    await tools.sources.listings.list_posts([ObjectId(key) for key in keys])


async def list_posts_of_user(tools: Tools, key: str) -> Collection[str]:
    """Lists every post of an account that strangers may see from now on, or takes off those that they may not any more.

    An account with very many posts takes several calls; one goes on where another has stopped or was killed. Safe to
    run twice. Raises RetryLater if the account changes meanwhile; then it begins anew.
    """
    sources, author_id = tools.sources, ObjectId(key)
    (author,) = await sources.users.by_ids([author_id])
    if author is None or not await sources.listings.is_pending(author_id):
        return ()
    after = await sources.listings.relisted_to(author)
    for _ in range(CHUNKS):
        chunk = await sources.listings.make_pending(author_id, after, CHUNK)
        await _list_chunk(tools, chunk)
        after = chunk[-1] if chunk else None
        await sources.listings.note_relisted(author, after)
        if after is None:
            if not await sources.users.mark_done(author, Task.LIST):
                raise RetryLater
            return ()
    return [key]


async def _list_chunk(tools: Tools, post_ids: Sequence[ObjectId]) -> None:
    """Lists these posts; if one of them cannot be, each gets a job of its own, so that it delays no other."""
    if not post_ids:
        return
    try:
        await tools.sources.listings.list_posts(post_ids)
    except Exception as error:
        if is_outage(error):
            raise
        log.exception("listing.post_by_post", first=str(post_ids[0]))
        await tools.sources.job_queue.enqueue(Job(Task.LIST, Fact.POST, str(post_id)) for post_id in post_ids)
