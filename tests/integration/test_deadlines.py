"""An operation that waits for others has one time limit: it waits once for a MongoDB that does not answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count

import pytest
from bson import ObjectId

from config import Settings
from datasources.outages import is_outage
from domain.records.comments import CommentRecord
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, now, opened
from tests.support.toxic_proxy import Proxy, Toxic, proxied

LIMIT = 1.0
_numbers = count()

Ask = Callable[[World, UserRecord, PostRecord], Awaitable[object]]


@pytest.fixture
async def proxy(settings: Settings) -> AsyncIterator[Proxy]:
    async with proxied(settings.mongo_url) as standing:
        yield standing


@pytest.fixture
async def world(settings: Settings, proxy: Proxy) -> AsyncIterator[World]:
    """A world whose MongoDB may fall silent, without caches that would answer in its place."""
    url = proxy.url.replace("replicaSet=photogram", "directConnection=true")
    short = settings.model_copy(update={"mongo_url": url, "mongo_timeout": LIMIT, "caching": False})
    async with opened(short) as world:
        yield world


async def comment(world: World, author: UserRecord, post: PostRecord) -> CommentRecord:
    return await world.comment(post, author, f"comment {next(_numbers)}")


async def like(world: World, user: UserRecord, post: PostRecord) -> None:
    await world.sources.post_likes.like(post.id, user.id, now())


async def read(world: World, user: UserRecord, post: PostRecord) -> list[PostRecord | None]:
    return await world.sources.posts.by_ids([post.id])


async def read_back(world: World, user: UserRecord, post: PostRecord) -> PostRecord | None:
    return await world.sources.read_your_writes.post(post.id, user.id)


async def relation(world: World, user: UserRecord, post: PostRecord) -> object:
    return await world.sources.relations.by_pairs([(user.id, ObjectId())])


@pytest.mark.parametrize("ask", [comment, like, read, read_back, relation])
async def test_an_operation_waits_once_for_a_database_that_does_not_answer(
    world: World, proxy: Proxy, ask: Ask
) -> None:
    user = await world.user()
    post = await world.post(user)
    await ask(world, user, post)  # connections and caches are warm

    async def end() -> tuple[float, BaseException]:
        began = time.monotonic()
        with pytest.raises(Exception, match=r".*") as caught:
            await ask(world, user, post)
        return time.monotonic() - began, caught.value

    proxy.become(Toxic.BLACK_HOLE)
    asking = []
    for _ in range(4):
        asking.append(asyncio.create_task(end()))
        await asyncio.sleep(LIMIT / 5)
    for seconds, error in await asyncio.gather(*asking):
        assert is_outage(error), repr(error)
        assert seconds < 1.5 * LIMIT
