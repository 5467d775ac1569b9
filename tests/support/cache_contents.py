"""Looking into the caches: filling them with everything, and comparing what they hold with what is stored."""

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

KEY = re.compile(r"cache:(post|user|relation):\{?([0-9a-f]{24})\}?(?::([0-9a-f]{24}))?$")


async def warm_caches(world: World) -> None:
    """Has everybody look at everybody and at every post, so that whatever changes now was cached before."""
    user_ids, post_ids = [
        [row["_id"] async for row in world.sources.database[name].find({}, {"_id": 1})] for name in ("users", "posts")
    ]
    for viewer_id in user_ids:
        mine = Loaders(world.sources, viewer_id)
        await asyncio.gather(
            mine.user_by_id.load_many(user_ids),
            mine.post_by_id.load_many(post_ids),
            mine.relation_by_user.load_many(user_ids),
        )


async def stale_values(world: World) -> dict[Any, tuple[Any, Any]]:
    """What the caches hold that is not what is stored: by key, the one and the other."""
    sources, caches = world.sources, world.sources.caches
    post_ids, user_ids, pairs = await _keys(world)
    kept: Mapping[Any, Any] = {
        **await caches.posts.cached(post_ids),
        **await caches.users.cached(user_ids),
        **await caches.relations.cached(pairs),
    }
    stored: Mapping[Any, Any] = {
        **dict(zip(post_ids, await sources.posts.by_ids(post_ids), strict=True)),
        **dict(zip(user_ids, await sources.users.by_ids(user_ids), strict=True)),
        **dict(zip(pairs, await sources.relations.by_pairs(pairs), strict=True)),
    }
    return {key: (value, stored[key]) for key, value in kept.items() if value != stored[key]}


async def assert_nothing_stale(world: World) -> None:
    """Fails if the caches hold what is not stored, for longer than a worker needs from its commit to its forgetting."""

    async def is_true() -> bool:
        with contextlib.suppress(CacheDown):  # a busy machine: then it is looked at once more
            return not await stale_values(world)
        return False

    try:
        await eventually(is_true, seconds=5)  # less than anything that is kept needs to expire
    except AssertionError as error:
        raise AssertionError("something is cached that is not stored so") from error


async def _keys(world: World) -> tuple[list[ObjectId], list[ObjectId], list[tuple[ObjectId, ObjectId]]]:
    found: dict[str, list[Any]] = {"post": [], "user": [], "relation": []}
    async for key in world.sources.redis.scan_iter(match=f"{world.sources.settings.key_prefix}cache:*", count=1000):
        parsed = KEY.search(key.decode())
        if parsed is not None:
            kind, one, other = parsed.groups()
            found[kind].append(ObjectId(one) if other is None else (ObjectId(one), ObjectId(other)))
    return found["post"], found["user"], found["relation"]
