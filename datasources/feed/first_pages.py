"""The first pages of a home feed, cached: its newest entries and own posts, and whose posts are pulled.

Why cached first pages miss only posts whose fan-out is pending: the authors to pull are read before the entries, so an
author who is backfilled meanwhile is in one of the two. A post's fan-out, and an author's switch from push to pull, are
pending until the first pages concerned are invalidated. A follow, and a change of the feed's state, invalidate the
owner's. So does an own post that becomes ready, and again its fan-out. Extra posts are harmless: visibility rules
remove them.
"""

from datetime import datetime
from itertools import islice, takewhile

import msgspec
from bson import ObjectId

from datasources.redis.cache_servers import CacheServers
from datasources.redis.read_through import Cache, id_names
from domain.paging import PageRequest

FIRST_PAGES_ENTRIES = 200
FIRST_PAGES_SECONDS = 60.0


class FirstPages(msgspec.Struct, frozen=True):
    """The owner's posts and those of all entries above the post `above`, newest first, and the authors and topics to
    pull.

    `is_whole` if above the feed's floor there are no other entries and own posts. `as_of` is when this was read.
    """

    as_of: datetime
    above: ObjectId
    is_whole: bool
    post_ids: list[ObjectId]
    pulled: list[ObjectId]
    topics: list[ObjectId] = []

    def within(self, request: PageRequest) -> list[ObjectId]:
        """Up to `limit + 1` of these posts, for a forward request."""
        after, before = request.after, request.before
        older = (each for each in self.post_ids if after is None or (isinstance(after, ObjectId) and each < after))
        newer = takewhile(lambda each: before is None or (isinstance(before, ObjectId) and each > before), older)
        return list(islice(newer, request.limit + 1))


FirstPagesCache = Cache[ObjectId, FirstPages | None]


def first_pages_cache(servers: CacheServers) -> FirstPagesCache:
    """First pages by the feed's owner."""
    return Cache(servers, "first_pages", FirstPages | None, FIRST_PAGES_SECONDS, id_names)
