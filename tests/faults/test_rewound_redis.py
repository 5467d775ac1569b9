"""Redis returns with older data, as after a failover: what was hidden since then stays hidden."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from datasources.sources import open_sources
from domain.ids import to_global_id
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, now
from tests.support.own_servers import Servers
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("patient_caches")

NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"


@pytest.fixture
async def reading(own: World, servers: Servers) -> AsyncIterator[World]:
    """Another process over the same servers, which answers the reads."""
    async with open_sources(servers.settings) as sources:
        yield World(sources)


class Scene:
    """A stranger, and three posts that are going to be hidden from them."""

    def __init__(self, world: World, stranger: UserRecord, posts: list[PostRecord]) -> None:
        self._world = world
        self._stranger = stranger
        self._posts = posts
        self._ids = [to_global_id("Post", post.id) for post in posts]

    async def seen_by(self, reading: World) -> list[str]:
        result = await reading.execute(NODES, self._stranger, ids=self._ids)
        assert result.errors is None
        assert result.data is not None
        return [node["id"] for node in result.data["nodes"] if node is not None]

    async def warm(self, reading: World) -> None:
        """Reads until everything is cached."""

        async def is_cached() -> bool:
            before = reading.sources.caches.posts.misses, reading.sources.caches.users.misses
            assert await self.seen_by(reading) == self._ids
            return before == (reading.sources.caches.posts.misses, reading.sources.caches.users.misses)

        await eventually(is_cached)

    async def hide(self) -> None:
        """One author goes private, one blocks the stranger, and one deletes the post."""
        sources, (private, blocked, deleted) = self._world.sources, self._posts
        await sources.users.update_profile(private.author_id, {"is_private": True})
        await sources.blocks.block(blocked.author_id, self._stranger.id, now=now())
        await sources.posts.delete(deleted.id, deleted.author_id, now())


@pytest.fixture
async def scene(own: World) -> Scene:
    stranger, *authors = await own.users(4)
    return Scene(own, stranger, [await own.post(author) for author in authors])


async def rewind(servers: Servers, copy: Path) -> None:
    """Puts a copy of the stopped Redis's files back and starts it."""
    folder = servers.valkey.folder
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
    await servers.valkey.start()


@pytest.mark.parametrize("was_reachable", [True, False], ids=["before Redis was killed", "while Redis was away"])
async def test_nothing_hidden_is_shown_again_when_redis_returns_with_older_data(
    scene: Scene, reading: World, servers: Servers, tmp_path: Path, *, was_reachable: bool
) -> None:
    async with Redis.from_url(servers.valkey.url) as redis:
        await redis.config_set("appendfsync", "always")
    await scene.warm(reading)
    shutil.copytree(servers.valkey.folder, tmp_path / "copy")
    if was_reachable:
        await scene.hide()
        assert await scene.seen_by(reading) == []
    servers.valkey.kill()
    if not was_reachable:
        await scene.hide()
    await rewind(servers, tmp_path / "copy")

    posts = reading.sources.caches.posts
    hits = posts.hits

    async def is_cached_again() -> bool:
        assert await scene.seen_by(reading) == []
        return posts.hits > hits

    await eventually(is_cached_again)
