"""Posts as they are listed under hashtags."""

from collections.abc import Awaitable, Callable
from typing import Any

from bson import ObjectId

from domain.paging import Page, PageRequest
from domain.topics import hashtag_id
from tests.support.factories import World, items_of


def new_name() -> str:
    return f"tag{ObjectId()}"


async def listed(world: World, name: str) -> list[ObjectId]:
    """The posts listed under a hashtag, newest first, by pages of two."""
    return await walk(world.sources.listings.entries.latest, name, 2)


async def walk(
    fetch: Callable[[ObjectId, PageRequest], Awaitable[Page[ObjectId]]], name: str, size: int, *, backward: bool = False
) -> list[ObjectId]:
    """A whole list, page by page."""
    seen: list[ObjectId] = []
    request = PageRequest(limit=size, backward=backward)
    while True:
        page = await fetch(hashtag_id(name), request)
        seen = items_of(page) + seen if backward else seen + items_of(page)
        if not (page.has_previous if backward else page.has_next):
            return seen
        bounds: dict[str, Any] = {"before": page.start} if backward else {"after": page.end}
        request = PageRequest(limit=size, backward=backward, **bounds)


async def count(world: World, name: str) -> int:
    (hashtag,) = await world.sources.listings.topics.hashtags([name])
    return hashtag.post_count


async def stored(world: World, name: str) -> dict[str, Any] | None:
    return await world.sources.database["topics"].find_one({"_id": hashtag_id(name)})
