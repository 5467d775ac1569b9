"""Posts are listed under their topics while strangers may see them."""

from bson import ObjectId

from domain.jobs import Task
from workers.runtime.handler import RetryLater, Tools

CHUNK = 200  # posts of an account in one step


async def list_posts(tools: Tools, *keys: str) -> None:
    """Lists posts under their topics, or takes them off. Safe to run twice: it goes by what is so now."""
    await tools.sources.listings.list_posts([ObjectId(key) for key in keys])


async def list_posts_of_user(tools: Tools, key: str) -> None:
    """Makes the listing of every post of an account pending that strangers may see from now on, or not any more.

    Safe to run twice and to stop half way. Raises RetryLater if the account changes meanwhile; then it begins anew.
    """
    sources, author_id, after = tools.sources, ObjectId(key), None
    (author,) = await sources.users.by_ids([author_id])
    if author is None or not await sources.listings.is_pending(author_id):
        return
    while chunk := await sources.listings.relist(author_id, after, CHUNK):
        after = chunk[-1]
    if not await sources.users.mark_done(author, Task.LIST):
        raise RetryLater
