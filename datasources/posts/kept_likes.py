"""A viewer's likes, kept in the process that read them until the viewer likes or unlikes anything.

A mark in Redis stands for all that a viewer likes at present. Every write of a like removes it before it answers, and
the next reader puts a new one there. Likes that were read after a mark was seen are good as long as it is there.
"""

import time
from collections.abc import Sequence
from secrets import token_bytes

from bson import ObjectId

from datasources.posts.likes import LikeStore
from datasources.redis.cache_servers import CacheServers
from datasources.redis.read_through import Cache, id_names
from domain.ids import raw_ids
from domain.records.likes import LikeRecord

MARK_SECONDS = 30.0
KEPT_MAX = 50_000  # answers of one store, of some 150 bytes each

LikeMarks = Cache[ObjectId, bytes]


def like_marks(servers: CacheServers) -> LikeMarks:
    """The mark of each viewer's likes."""
    return Cache(servers, "likes", bytes, MARK_SECONDS, id_names)


async def new_marks(viewer_ids: Sequence[ObjectId]) -> list[bytes]:
    """Marks that were never used before."""
    return [token_bytes(12) for _ in viewer_ids]


class KeptLikes:
    """The likes of one store by viewer and target, about `KEPT_MAX` of them, none for longer than `MARK_SECONDS`.

    There are two halves. When the newer one is full, the older one is discarded.
    """

    def __init__(self, likes: LikeStore) -> None:
        self._likes = likes
        self._newer: dict[bytes, _Kept] = {}
        self._older: dict[bytes, _Kept] = {}
        self._size = 0  # of the newer half

    async def by_targets(
        self, user_id: ObjectId, target_ids: Sequence[ObjectId], mark: bytes | None
    ) -> list[LikeRecord | None]:
        """As `LikeStore.by_targets`; what it read since the viewer's `mark` is not read again.

        `mark` was read from Redis for this operation; with None nothing is kept. They are as new as the mark.
        """
        if mark is None:
            return await self._likes.by_targets(user_id, target_ids)
        kept, names = self._kept(mark), list(raw_ids(target_ids))
        missing = [target_id for name, target_id in zip(names, target_ids, strict=True) if name not in kept]
        if missing:
            found = await self._likes.by_targets(user_id, missing)
            self._size += len(found)
            kept.update(zip(raw_ids(missing), found, strict=True))
        return [kept[name] for name in names]

    def _kept(self, mark: bytes) -> "_Kept":
        if self._size > KEPT_MAX // 2:
            self._older, self._newer, self._size = self._newer, {}, 0
        kept = self._newer[mark] if mark in self._newer else self._older.get(mark)
        if kept is None or kept.until < time.monotonic():
            kept = _Kept(time.monotonic() + MARK_SECONDS)
        if self._newer.get(mark) is not kept:
            self._newer[mark] = kept
            self._size += 1 + len(kept)
        return kept


class _Kept(dict[bytes, LikeRecord | None]):
    """One viewer's likes by target, and until when they may be used."""

    __slots__ = ("until",)

    def __init__(self, until: float) -> None:
        super().__init__()
        self.until = until
