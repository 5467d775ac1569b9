"""Home feeds are rebuilt for readers who return, trimmed, given up for absent ones, and rebuilt on demand."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from bson import ObjectId

from config import Settings
from datasources.feed.entries import Delivery
from datasources.feed.feed_states import HOLDS_ALL
from deploy.cli import maintenance_reports
from deploy.local.errors import StartError
from domain.ids import to_global_id
from domain.paging import PageRequest
from domain.records.feeds import FeedRecord
from domain.records.users import UserRecord
from tests.support.factories import World, items_of, now, opened
from tests.support.own_databases import own_database
from workers.handlers.refresh_feed import refresh_feed
from workers.maintenance.gc.steps import collect
from workers.maintenance.rebuild_feeds import rebuild_feeds
from workers.maintenance.verify import verify
from workers.maintenance.walk import Walk
from workers.runtime.outbox_relay import relay_due

RETAINED = 3


@pytest.fixture(scope="module")
async def world(shared_settings: Settings) -> AsyncIterator[World]:
    """A world whose feeds retain three entries."""
    with own_database(shared_settings, feed_retained_entries=RETAINED) as settings:
        async with opened(settings) as world:
            yield world


async def state(world: World, owner: UserRecord) -> FeedRecord:
    feed = await world.sources.feed_states.find(owner.id)
    assert feed is not None
    return feed


async def entries(world: World, owner: UserRecord) -> list[ObjectId]:
    """The posts that a feed holds, newest first."""
    rows = world.sources.database["feed_entries"].find({"_id.o": owner.id}, sort=[("_id", -1)])
    return [row["_id"]["p"] async for row in rows]


async def home(world: World, owner: UserRecord) -> list[ObjectId]:
    return items_of(await world.sources.home_feed.page(owner.id, PageRequest(limit=50)))


async def written_by(world: World, author: UserRecord, number: int) -> list[ObjectId]:
    """Posts, newest first, fanned out."""
    posts = [(await world.post(author)).id for _ in range(number)]
    await world.drain()
    return posts[::-1]


async def stay_away(world: World, owner: UserRecord) -> None:
    """Fifteen days pass, and then the outbox relay runs."""
    then = {"$set": {"seen_at": now() - timedelta(days=15)}}
    await world.sources.database["feeds"].update_one({"_id": owner.id}, then)
    await relay_due(world.sources, now() + timedelta(days=2))
    await world.drain()


async def test_the_first_read_shows_everything_and_stores_the_retained_entries(own: World) -> None:
    ana, bob = await own.users(2)
    await own.follow(bob, ana)
    posts = await written_by(own, ana, 5)
    assert await home(own, bob) == posts, "before anything is kept"
    assert not (await state(own, bob)).floor
    await own.drain()
    assert await entries(own, bob) == posts[:RETAINED]
    assert (await state(own, bob)).floor == posts[RETAINED]
    assert await home(own, bob) == posts


async def test_a_short_feed_is_kept_whole_and_read_without_a_pull(own: World) -> None:
    ana, bob = await own.users(2)
    await own.follow(bob, ana)
    await own.open_feeds(bob)
    posts = await written_by(own, ana, 2)
    assert (await state(own, bob)).floor == HOLDS_ALL
    assert await entries(own, bob) == posts == await home(own, bob)


async def test_a_feed_of_more_than_twice_the_retained_entries_is_trimmed(own: World) -> None:
    ana, bob = await own.users(2)
    await own.follow(bob, ana)
    await own.open_feeds(bob)
    posts = await written_by(own, ana, 2 * RETAINED)
    await relay_due(own.sources, now() + timedelta(days=2))
    await own.drain()
    assert await entries(own, bob) == posts, "twice the retained entries are not too many"
    posts = await written_by(own, ana, 1) + posts
    await relay_due(own.sources, now() + timedelta(days=2))
    await own.drain()
    assert await entries(own, bob) == posts[:RETAINED]
    assert (await state(own, bob)).floor == posts[RETAINED]
    assert await home(own, bob) == posts


async def test_following_a_busy_author_backfills_the_retained_entries_and_raises_the_floor(own: World) -> None:
    ana, bob = await own.users(2)
    posts = await written_by(own, ana, 5)
    await own.open_feeds(bob)
    await own.follow(bob, ana)
    await own.drain()
    assert await entries(own, bob) == posts[:RETAINED]
    assert await home(own, bob) == posts


async def test_an_absent_owner_has_no_entries_and_sees_all_posts_on_return(own: World) -> None:
    ana, bob = await own.users(2)
    await own.follow(bob, ana)
    await own.open_feeds(bob)
    posts = await written_by(own, ana, 2)
    await stay_away(own, bob)
    assert not (await state(own, bob)).live
    assert await entries(own, bob) == []
    posts = await written_by(own, ana, 2) + posts
    assert await own.sources.feed_states.live_among([ana.id, bob.id]) == []
    assert await home(own, bob) == posts
    await own.drain()
    assert await entries(own, bob) == posts[:RETAINED]


async def test_an_owner_who_reads_while_the_feed_is_given_up_keeps_it(own: World) -> None:
    (bob,) = await own.users(1)
    await own.open_feeds(bob)
    stale = await state(own, bob)
    await own.sources.database["feeds"].update_one({"_id": bob.id}, {"$set": {"seen_at": now()}})
    assert await own.sources.feed_states.retire(stale) is None
    assert (await state(own, bob)).live


async def test_clearing_an_old_feed_cannot_touch_the_new_one(own: World) -> None:
    ana, bob = await own.users(2)
    await own.follow(bob, ana)
    await own.open_feeds(bob)
    posts = await written_by(own, ana, 2)
    stale = await own.sources.feed_states.retire(await state(own, bob))
    assert stale is not None
    await own.open_feeds(bob)  # back already, and rebuilt, before the worker that gave it up came to clearing
    assert not await own.sources.feed_entries.clear(stale)
    assert await entries(own, bob) == posts


async def test_of_two_rebuilds_the_first_cannot_finish_the_second(own: World) -> None:
    ana, bob = await own.users(2)
    await own.follow(bob, ana)
    await home(own, bob)
    first = await own.sources.feed_states.begin_rebuild(await state(own, bob))
    assert first is not None
    assert await own.sources.feed_states.begin_rebuild(await state(own, bob)) is not None
    assert not await own.sources.feed_states.raise_floor(first, HOLDS_ALL)
    assert (await state(own, bob)).floor is None


async def test_any_number_of_concurrent_refreshes_make_one_correct_feed(own: World) -> None:
    ana, bob = await own.users(2)
    await own.follow(bob, ana)
    posts = await written_by(own, ana, 5)
    await home(own, bob)
    await asyncio.gather(*(refresh_feed(own.tools, str(bob.id)) for _ in range(8)))
    assert await home(own, bob) == posts
    await own.drain()
    assert await entries(own, bob) == posts[:RETAINED]
    assert await home(own, bob) == posts


async def test_a_backfill_waits_while_the_feed_is_rebuilt(own: World) -> None:
    ana, bob = await own.users(2)
    await own.open_feeds(bob)
    post = await own.post(ana)
    await own.sources.feed_states.reset([bob.id], now())
    begun = await own.sources.feed_states.begin_rebuild(await state(own, bob))
    assert begun is not None
    await own.follow(bob, ana)
    assert await home(own, bob) == [post.id]
    await own.drain()
    assert await entries(own, bob) == [post.id] == await home(own, bob)


async def test_lost_entries_are_found_by_verify_and_rebuilt(own: World, capsys: pytest.CaptureFixture[str]) -> None:
    ana, bob, eve = await own.users(3)
    for reader in (bob, eve):
        await own.follow(reader, ana)
    await own.open_feeds(bob, eve)
    posts = await written_by(own, ana, 3)
    await own.sources.database["feed_entries"].delete_many({})
    kinds = {finding.kind for finding in (await verify(Walk(sources=own.sources))).findings}
    assert {"feed_entry.missing", "feed.pages"} <= kinds
    for whose in (str(bob.id), to_global_id("User", bob.id)):
        assert await maintenance_reports.run_rebuild(own.sources.settings, whose) == 0
        assert "feeds rebuilt: 1; left to the workers: 0;" in capsys.readouterr().out
    assert (await home(own, bob), await entries(own, eve)) == (posts, [])
    done = await rebuild_feeds(own.tools, Walk(sources=own.sources))
    assert (done.feeds, done.waiting) == (2, 0)
    assert await home(own, eve) == posts == await entries(own, eve)


async def test_gc_clears_entries_of_owners_without_a_feed(own: World) -> None:
    ana, bob, eve = await own.users(3)
    await own.open_feeds(eve)
    post = await own.post(ana)
    for owner in (bob, eve):
        await own.sources.feed_entries.push(Delivery(post.id, ana.id, [owner.id]))
    collected = await collect(own.sources)
    assert collected.removed["feeds_given_up"] == 1
    await own.drain()
    assert (await entries(own, bob), await entries(own, eve)) == ([], [post.id])


async def test_rebuilding_refuses_anything_but_a_users_id(own: World) -> None:
    for whose in ("bob", to_global_id("Post", ObjectId())):
        with pytest.raises(StartError, match="no user's id"):
            await maintenance_reports.run_rebuild(own.sources.settings, whose)
