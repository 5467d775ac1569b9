"""Filling the caches with everything, and comparing what they hold with what is stored."""

import asyncio
import contextlib
import re
from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from datasources.loaders import Loaders
from datasources.redis.cache_server import CacheDown
from tests.support.factories import World
from tests.support.waiting import eventually

KEY = re.compile(r"cache:(post|comment|user|relation):\{?([0-9a-f]{24})\}?(?::([0-9a-f]{24}))?$")


async def warm_caches(world: World) -> None:
    """Loads every account, relation, post and comment for everybody, so that whatever changes now was cached before."""
    user_ids, post_ids, comment_ids = [
        [row["_id"] async for row in world.sources.database[name].find({}, {"_id": 1})]
        for name in ("users", "posts", "comments")
    ]
    for viewer_id in user_ids:
        loaders = Loaders(world.sources, viewer_id)
        await asyncio.gather(
            loaders.user_by_id.load_many(user_ids),
            loaders.post_by_id.load_many(post_ids),
            loaders.comment_by_id.load_many(comment_ids),
            loaders.relation_by_user.load_many(user_ids),
        )


async def stale_values(world: World) -> dict[Any, tuple[Any, Any]]:
    """Cached values that differ from what is stored: by key, the cached and the stored value."""
    sources, caches = world.sources, world.sources.caches
    post_ids, comment_ids, user_ids, pairs = await _keys(world)
    cached: Mapping[Any, Any] = {
        **await caches.posts.cached(post_ids),
        **await caches.comments.cached(comment_ids),
        **await caches.users.cached(user_ids),
        **await caches.relations.cached(pairs),
    }
    stored: Mapping[Any, Any] = {
        **dict(zip(post_ids, await sources.posts.by_ids(post_ids), strict=True)),
        **dict(zip(comment_ids, await sources.comments.by_ids(comment_ids), strict=True)),
        **dict(zip(user_ids, await sources.users.by_ids(user_ids), strict=True)),
        **dict(zip(pairs, await sources.relations.by_pairs(pairs), strict=True)),
    }
    return {key: (value, stored[key]) for key, value in cached.items() if value != stored[key]}


async def assert_nothing_stale(world: World) -> None:
    """Fails if a cached value stays stale for longer than a worker needs from its commit to the invalidation."""

    async def is_fresh() -> bool:
        with contextlib.suppress(CacheDown):  # a busy machine: the next try decides
            return not await stale_values(world)
        return False

    try:
        await eventually(is_fresh, seconds=5)  # less than any cached value needs to expire
    except AssertionError as error:
        raise AssertionError("a cached value is stale") from error


async def _keys(
    world: World,
) -> tuple[list[ObjectId], list[ObjectId], list[ObjectId], list[tuple[ObjectId, ObjectId]]]:
    """Of what there are cached values: posts, comments, users, and pairs of a viewer and another user."""
    ids: dict[str, list[Any]] = {"post": [], "comment": [], "user": [], "relation": []}
    for key in await world.redis_keys("cache:*"):
        parsed = KEY.search(key.decode())
        if parsed is not None:
            kind, first, second = parsed.groups()
            ids[kind].append(ObjectId(first) if second is None else (ObjectId(first), ObjectId(second)))
    return ids["post"], ids["comment"], ids["user"], ids["relation"]
