"""Home feeds read from cached first pages lack nothing: no new post, no new followee, no older post."""

from collections.abc import Sequence

import pytest
from bson import ObjectId

from config import Settings
from datasources.feed import first_pages, home_feed
from datasources.feed.entries import Delivery
from datasources.outages import is_outage
from datasources.redis import cache_server, cache_servers
from datasources.sources import open_sources
from domain.paging import Key, PageRequest
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, items_of, now
from tests.support.toxic_proxy import Proxy, Toxic
from workers.handlers.fan_out import fan_out

pytestmark = pytest.mark.usefixtures("patient_caches")


async def home(world: World, owner: UserRecord) -> list[ObjectId]:
    """The posts on the owner's first page."""
    return items_of(await world.sources.home_feed.page(owner.id, PageRequest(limit=20)))


async def reader_with_cached_pages(world: World, other: World, authors: int = 1) -> tuple[UserRecord, list[UserRecord]]:
    """A user who follows these authors, and whose first pages another process has cached."""
    me, people = await world.user(), await world.users(authors)
    for author in people:
        await world.follow(me, author)
    await world.drain()
    await world.open_feeds(me)
    assert await home(other, me) == []
    assert (await other.sources.caches.first_pages.cached([me.id]))[me.id] is not None
    return me, people


def ids(posts: Sequence[PostRecord]) -> list[ObjectId]:
    return [post.id for post in posts]


async def test_every_process_shows_a_post_once_its_fan_out_is_done(world: World, other: World) -> None:
    me, (ana,) = await reader_with_cached_pages(world, other)
    post = await world.post(ana)
    await world.drain()
    assert await home(other, me) == [post.id]
    assert await home(other, me) == [post.id]


async def test_ones_own_post_is_seen_at_once(world: World, other: World) -> None:
    me, _ = await reader_with_cached_pages(world, other)
    post = await world.post(me)
    assert await home(other, me) == [post.id]


async def test_ones_own_post_is_seen_after_its_fan_out_if_no_invalidation_went_through(
    world: World, other: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    me, _ = await reader_with_cached_pages(world, other)

    async def unreachable(_owner_ids: Sequence[ObjectId]) -> bool:
        return False

    with monkeypatch.context() as patch:
        patch.setattr(world.sources.publishing._first_pages, "invalidate", unreachable)
        post = await world.post(me)
    assert await home(other, me) == []
    await fan_out(world.tools, str(post.id))
    assert await home(other, me) == [post.id]


async def test_a_followed_author_is_shown_at_once_and_after_the_backfill(world: World, other: World) -> None:
    me, (ana,) = await reader_with_cached_pages(world, other)
    eve = await world.user()
    early = await world.post(eve)
    await world.drain()
    await world.follow(me, eve)
    assert await home(other, me) == [early.id]
    late = await world.post(ana)
    await world.drain()
    assert await home(other, me) == [late.id, early.id]


async def test_an_accepted_follower_sees_the_posts_at_once(world: World, other: World) -> None:
    me, _ = await reader_with_cached_pages(world, other)
    private = await world.user(is_private=True)
    post = await world.post(private)
    await world.follow(me, private)
    await world.drain()
    assert await home(other, me) == []
    await world.sources.follows.accept(me.id, private.id, now=now())
    assert await home(other, me) == [post.id]


async def test_an_author_who_becomes_pulled_stays_in_the_feed(
    world: World, other: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    me, (ana,) = await reader_with_cached_pages(world, other)
    pushed = await world.post(ana)
    await world.drain()
    assert await home(other, me) == [pushed.id]
    monkeypatch.setattr(world.sources.push_pull, "limit", 0)
    posts = [pushed]
    for _ in range(3):
        posts.insert(0, await world.post(ana))
        await world.drain()
        assert await home(other, me) == ids(posts)
    rows = await world.sources.database["follows"].find({"follower_id": me.id}).to_list()
    assert [row.get("pulled") for row in rows] == [True]


@pytest.mark.parametrize("kept", [2, 3, 7, 50])
async def test_paging_beyond_the_cached_first_pages_misses_nothing(
    world: World, other: World, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    for module in (home_feed, first_pages):
        monkeypatch.setattr(module, "FIRST_PAGES_ENTRIES", kept)
    me, authors = await reader_with_cached_pages(world, other, 2)
    posts = [await world.post((*authors, me)[number % 3]) for number in range(8)]
    await world.drain()
    for size in (1, 2, 3, 7, 8, 20):
        seen, after = list[ObjectId](), None
        while True:
            page = await other.sources.home_feed.page(me.id, PageRequest(limit=size, after=after))
            seen += items_of(page)
            if not page.has_next:
                break
            last: Key = page.items[-1][0]
            after = last
        assert seen == ids(posts)[::-1], size


async def test_a_push_that_cannot_invalidate_raises_an_outage(
    world: World, shared_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_servers, "MUST_INVALIDATE_SECONDS", 0.05)
    ana, me = await world.users(2)
    async with Proxy(shared_settings.redis_url).listening() as proxy:
        shaky = world.sources.settings.model_copy(update={"redis_url": proxy.url})
        async with open_sources(shaky) as sources:
            proxy.become(Toxic.REFUSE)
            with pytest.raises(cache_server.CacheDown) as raised:
                await sources.feed_entries.push(Delivery(ObjectId(), ana.id, [me.id]))
            assert is_outage(raised.value)


async def test_a_push_waits_for_redis_that_comes_back_soon(
    world: World, shared_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_servers, "MUST_INVALIDATE_SECONDS", 60)
    monkeypatch.setattr(cache_server, "BACKOFF_SECONDS", 0.01)
    ana, me = await world.users(2)
    async with Proxy(shared_settings.redis_url).listening() as proxy:
        shaky = world.sources.settings.model_copy(update={"redis_url": proxy.url})
        async with open_sources(shaky) as sources:
            proxy.become(Toxic.REFUSE)
            assert not await sources.caches.first_pages.invalidate([me.id])
            proxy.become(Toxic.NONE)
            await sources.feed_entries.push(Delivery(ObjectId(), ana.id, [me.id]))
            assert await sources.caches.first_pages.invalidate([me.id])


async def test_a_page_tells_as_of_when_it_was_read(world: World, other: World) -> None:
    me, (ana,) = await reader_with_cached_pages(world, other)

    async def as_of(order: str, reader: World) -> str:
        result = await reader.execute("query ($order: FeedOrder) { feed(order: $order) { asOf } }", me, order=order)
        assert result.errors is None
        assert result.data is not None
        return str(result.data["feed"]["asOf"])

    before = await as_of("LATEST", other)
    assert await as_of("LATEST", world) == before  # from the same cached pages
    await world.post(ana)
    await world.drain()
    assert await as_of("LATEST", other) > before
    assert await as_of("RANKED", other) >= before[:19]  # to the second
