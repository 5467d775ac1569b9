"""The newest part of a home feed as it is cached: what its first pages need of it, but for what is always pulled.

Why a window never lacks a post that owes no fan-out: whom to pull is read before the entries, so an author who is
filled in meanwhile is in one of the two; a post's fan-out is owed until the windows of those it was pushed to are
forgotten, and so is an author's shift from push to pull; following, and what becomes of a feed as a whole, forget the
owner's. What a window has too much is taken out by the rules that follow.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile

import msgspec
from bson import ObjectId

from datasources.redis.cache_server import CacheServer
from datasources.redis.read_through import Cache
from domain.paging import PageRequest

FIRST_PAGES_ENTRIES = 200
FIRST_PAGES_SECONDS = 60.0


class FirstPages(msgspec.Struct, frozen=True):
    """The posts of all entries above a post, newest first, and the authors whose posts are to be pulled.

    It is whole if there are no entries below. `as_of` is when it was read.
    """

    as_of: datetime
    above: ObjectId
    is_whole: bool
    post_ids: list[ObjectId]
    pulled: list[ObjectId]

    def within(self, request: PageRequest) -> list[ObjectId]:
        """Up to `limit + 1` posts of a forward request, of those that it holds."""
        after, before = request.after, request.before
        older = [one for one in self.post_ids if after is None or (isinstance(after, ObjectId) and one < after)]
        newer = takewhile(lambda one: before is None or (isinstance(before, ObjectId) and one > before), older)
        return list(newer)[: request.limit + 1]


FirstPagesCache = Cache[ObjectId, FirstPages | None]


def first_pages_cache(server: CacheServer) -> FirstPagesCache:
    """First pages by the feed's owner."""
    return Cache(server, "first_pages", FirstPages | None, FIRST_PAGES_SECONDS)


def first_pages_of(
    as_of: datetime, floor: ObjectId, newest: Sequence[ObjectId], pulled: Sequence[ObjectId]
) -> FirstPages:
    """The window of a feed with this floor, of the newest entries above it: all, or `WINDOW + 1` of them."""
    is_whole = len(newest) <= FIRST_PAGES_ENTRIES
    return FirstPages(
        as_of,
        floor if is_whole else newest[FIRST_PAGES_ENTRIES],
        is_whole,
        list(newest[:FIRST_PAGES_ENTRIES]),
        list(pulled),
    )
