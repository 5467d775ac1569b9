"""The loaders of what the viewer did: their likes, saves, collections, interests and the hashtags that they follow.

And how a loader is made of a method that finds values by ids; `datasources/loaders.py` has all others.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property, partial
from typing import Any, TypeVar

from bson import ObjectId

from datasources.concurrency.loader import Loader
from datasources.mongo import clock
from datasources.posts.kept_likes import KeptLikes, new_marks
from datasources.sources import Sources
from datasources.telemetry.metrics import SIZES, Distribution
from domain.ids import raw_ids
from domain.interests import Interest
from domain.records.likes import LikeRecord
from domain.records.saves import CollectionRecord
from domain.suggestions import SuggestionsRecord

_BATCH_SIZES = Distribution("photogram_loader_keys", "Keys of one call of a dataloader.", "loader", bounds=SIZES)

Value = TypeVar("Value")


def found_by_ids(
    find: Callable[[Any, Sequence[ObjectId]], Awaitable[Sequence[Value]]],
) -> cached_property[Loader[ObjectId, Value]]:
    """A loader made, at its first use, of a method that finds values in the order of its ids."""
    name = find.__name__

    def count_and_find(loaders: Any, ids: Sequence[ObjectId]) -> Awaitable[Sequence[Value]]:
        _BATCH_SIZES.add(len(ids), name)
        return find(loaders, ids)

    return cached_property(lambda loaders: Loader(partial(count_and_find, loaders), raw_ids))


class ViewerLoaders:
    """Loaders of one viewer's own acts; of a stranger (None) there are none."""

    def __init__(self, sources: Sources, viewer_id: ObjectId | None, *, stored: bool) -> None:
        self._sources = sources
        self._viewer_id = viewer_id
        self._stored = stored
        self._like_mark: bytes | None = None  # of the viewer's likes, as it was when the operation first read posts

    @found_by_ids
    async def viewer_like_by_post(self, post_ids: Sequence[ObjectId]) -> Sequence[LikeRecord | None]:
        return await self._likes(self._sources.kept_post_likes, post_ids)

    @found_by_ids
    async def viewer_like_by_comment(self, comment_ids: Sequence[ObjectId]) -> Sequence[LikeRecord | None]:
        return await self._likes(self._sources.kept_comment_likes, comment_ids)

    @found_by_ids
    async def viewer_has_saved_post(self, post_ids: Sequence[ObjectId]) -> Sequence[bool]:
        viewer_id, saved = self._viewer_id, self._sources.saved.posts
        return [False] * len(post_ids) if viewer_id is None else await saved.by_posts(viewer_id, post_ids)

    @found_by_ids
    async def viewer_collections_by_post(self, post_ids: Sequence[ObjectId]) -> Sequence[Sequence[CollectionRecord]]:
        viewer_id, collections = self._viewer_id, self._sources.saved.collections
        return [()] * len(post_ids) if viewer_id is None else await collections.by_posts(viewer_id, post_ids)

    @found_by_ids
    async def interest_by_author(self, author_ids: Sequence[ObjectId]) -> Sequence[Interest | None]:
        interests = None if self._viewer_id is None else await self._sources.interests.find(self._viewer_id)
        by_author = {} if interests is None else {interest.author_id: interest for interest in interests.authors}
        return [by_author.get(author_id) for author_id in author_ids]

    @found_by_ids
    async def viewer_follows_topic(self, topic_ids: Sequence[ObjectId]) -> Sequence[bool]:
        viewer_id = self._viewer_id
        followed = set() if viewer_id is None else set(await self._sources.followed_hashtags.topic_ids(viewer_id))
        return [topic_id in followed for topic_id in topic_ids]

    @found_by_ids
    async def suggestions_of_viewer(self, viewer_ids: Sequence[ObjectId]) -> Sequence[SuggestionsRecord]:
        suggestions, now = self._sources.discovery.suggestions, clock.now()
        return [await suggestions.get_or_compute(viewer_id, now) for viewer_id in viewer_ids]

    async def _likes(self, likes: KeptLikes, target_ids: Sequence[ObjectId]) -> Sequence[LikeRecord | None]:
        viewer_id = self._viewer_id
        if viewer_id is None:
            return [None] * len(target_ids)
        if self._like_mark is None and not self._stored:
            (self._like_mark,) = await self._sources.caches.like_marks.read([viewer_id], new_marks)
        return await likes.by_targets(viewer_id, target_ids, self._like_mark)
