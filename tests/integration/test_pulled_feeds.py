"""Feeds of who follows too many are pulled, and pushed to again of who follows few: no post is missing meanwhile."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from redis.exceptions import RedisError

from config import Settings
from domain.paging import PageRequest
from domain.records.feeds import FeedRecord
from domain.records.users import UserRecord
from tests.support.auditing import audit
from tests.support.crashing import dies_before_write
from tests.support.emptying import empty
from tests.support.factories import World, now, opened
from tests.support.feeds import walk_feed
from tests.support.interruptions import interruption
from tests.support.own_databases import own_database
from workers.handlers.fan_out import fan_out
from workers.handlers.refresh_feed import refresh_feed
from workers.runtime.outbox_relay import relay_due

LIMIT = 5


@pytest.fixture(scope="module")
async def world(shared_settings: Settings) -> AsyncIterator[World]:
    """A world in which posts are pushed to the feeds of who follows five."""
    with own_database(shared_settings, feed_following_limit=LIMIT, feed_retained_entries=4) as settings:
        async with opened(settings) as world:
            yield world


@pytest.fixture
async def own(world: World) -> World:
    """The module's world, emptied."""
    world.sources.feed_states.limit = LIMIT
    return await empty(world)


class Reader:
    """Somebody who follows authors, and what their feed has to show: all posts of these, at every step."""

    def __init__(self, world: World, user: UserRecord) -> None:
        self.world = world
        self.user = user
        self.authors: list[UserRecord] = []
        self.posts: list[tuple[UserRecord, str]] = []

    async def follow(self, count: int = 1) -> None:
        """Follows so many new authors, each with a post. No job has run but those of the posts."""
        for author in await self.world.users(count):
            await self._post(author)
            await self.world.follow(self.user, author)
            self.authors.append(author)

    async def unfollow(self, count: int = 1) -> None:
        for author in self.authors[-count:]:
            await self.world.sources.follows.unfollow(self.user.id, author.id, now=now())
        del self.authors[-count:]

    async def post(self) -> None:
        """Fans out a post of the first author. No other job runs."""
        await self._post(self.authors[0])

    async def assert_nothing_is_missing(self) -> None:
        """Asserts that the feed has every post once, by pages that may be cached and by pages that may not."""
        wanted = [caption for author, caption in self.posts if author in self.authors]
        assert await walk_feed(self.world, self.user, 3, backward=False) == wanted
        assert await walk_feed(self.world, self.user, 2, backward=True) == wanted

    async def drain(self) -> None:
        assert await self.world.drain() == set()
        await self.assert_nothing_is_missing()
        assert await self.world.drain() == set()

    async def a_day_passes(self) -> None:
        await relay_due(self.world.sources, now() + timedelta(days=2))
        await self.drain()

    async def feed(self) -> FeedRecord:
        feed = await self.world.sources.feed_states.find(self.user.id)
        assert feed is not None
        return feed

    async def mode(self) -> tuple[bool, bool, int]:
        """Whether the feed is live, whether it is pulled, and how many entries it holds."""
        feed, entries = await self.feed(), self.world.sources.database["feed_entries"]
        return feed.live, feed.pulled, await entries.count_documents({"_id.o": self.user.id})

    async def refresh(self) -> None:
        await refresh_feed(self.world.tools, str(self.user.id))

    async def _post(self, author: UserRecord) -> None:
        caption = str(len(self.posts))
        post = await self.world.post(author, caption=caption)
        self.posts.insert(0, (author, caption))
        await fan_out(self.world.tools, str(post.id))


async def pushed(world: World) -> Reader:
    """A reader at the limit."""
    reader = Reader(world, await world.user())
    await world.open_feeds(reader.user)
    await reader.follow(LIMIT)
    await reader.drain()
    return reader


async def becoming_pulled(world: World) -> Reader:
    """A reader who follows one more than the limit, which is counted. The refresh of the feed is pending."""
    world.sources.feed_states.limit = LIMIT + 1
    reader = await pushed(world)
    await reader.follow()
    await reader.drain()
    world.sources.feed_states.limit = LIMIT
    await world.sources.feed_states.refresh_now(await reader.feed(), now())
    return reader


async def pulled(world: World) -> Reader:
    """A reader whose feed is pulled, with a post that was not pushed."""
    reader = await becoming_pulled(world)
    await reader.drain()
    assert await reader.mode() == (False, True, 0)
    await reader.post()
    await reader.drain()
    assert await reader.mode() == (False, True, 0)
    return reader


async def becoming_pushed(world: World) -> Reader:
    """A reader who follows few again, which is counted. The refresh of the feed is pending."""
    reader = await pulled(world)
    await reader.unfollow(3)
    await reader.drain()
    assert await reader.mode() == (False, True, 0)
    await world.sources.feed_states.refresh_now(await reader.feed(), now())
    return reader


BEGINNINGS = [becoming_pulled, becoming_pushed]
Begin = Callable[[World], Awaitable[Reader]]


async def test_a_feed_is_pulled_above_the_limit_and_pushed_to_again_well_below_it(own: World) -> None:
    reader = await pushed(own)
    assert (await reader.mode())[:2] == (True, False)
    for _ in range(2):  # when the second one is backfilled, the first is counted
        await reader.follow()
        await reader.drain()
    assert await reader.mode() == (False, True, 0)
    await reader.unfollow(3)  # four fifths of the limit
    await reader.drain()
    await reader.a_day_passes()
    assert await reader.mode() == (False, True, 0)
    await reader.unfollow()
    await reader.drain()
    await reader.a_day_passes()
    assert await reader.mode() == (True, False, 3)
    await reader.post()
    await reader.drain()
    assert await reader.mode() == (True, False, 4)
    await audit(own, seconds=0, has_files=False)


async def test_a_feed_above_the_limit_is_pulled_the_next_day_at_the_latest(own: World) -> None:
    reader = await pushed(own)
    await reader.follow()
    await reader.drain()
    await reader.a_day_passes()
    assert await reader.mode() == (False, True, 0)
    await audit(own, seconds=0, has_files=False)


async def test_who_follows_too_many_before_the_first_visit_is_never_pushed_to(own: World) -> None:
    reader = Reader(own, await own.user())
    await reader.follow(LIMIT + 2)
    await own.drain()
    await reader.assert_nothing_is_missing()
    await reader.drain()
    assert await reader.mode() == (False, True, 0)
    await reader.post()
    await reader.assert_nothing_is_missing()


async def test_a_visit_does_not_make_a_pulled_feed_live(own: World) -> None:
    reader = await pulled(own)
    await own.sources.feed_states.note_visit(reader.user.id, now() + timedelta(hours=2))
    assert (await reader.mode())[:2] == (False, True)
    assert await own.drain() == set()


async def test_a_visit_during_the_switch_leaves_the_feed_live_until_it_is_over(own: World) -> None:
    reader = await becoming_pulled(own)

    async def visit() -> None:
        await own.sources.feed_states.note_visit(reader.user.id, now() + timedelta(hours=2))
        assert (await reader.mode())[:2] == (True, True)

    with interruption(own.sources.caches.first_pages, "must_invalidate", visit):
        await reader.refresh()
    await reader.drain()
    assert await reader.mode() == (False, True, 0)


async def test_a_pulled_feed_is_given_up_when_its_owner_stays_away_and_pulled_again_on_return(own: World) -> None:
    reader = await pulled(own)
    absence = {"$set": {"seen_at": now() - timedelta(days=15)}}
    await own.sources.database["feeds"].update_one({"_id": reader.user.id}, absence)
    await relay_due(own.sources, now() + timedelta(days=2))
    assert await own.drain() == set()
    assert await reader.mode() == (False, False, 0)
    assert not (await reader.feed()).is_in_use
    await reader.drain()
    assert await reader.mode() == (False, True, 0)


@pytest.mark.parametrize("begin", BEGINNINGS)
@pytest.mark.parametrize(
    ("store", "step"),
    [
        ("feed_states", "is_to_be_pulled"),
        ("feed_states", "stop_pushing"),
        ("feed_states", "push_again"),
        ("feed_entries", "clear"),
        ("feed_entries", "add_posts"),
        ("feed_states", "raise_floor"),
        ("feed_states", "mark_refreshed"),
    ],
)
@pytest.mark.parametrize("deed", ["post", "follow", "unfollow", "refollow"])
async def test_no_post_is_missing_whatever_happens_during_a_switch(
    own: World, begin: Begin, store: str, step: str, deed: str
) -> None:
    reader = await begin(own)

    async def act() -> None:
        if deed == "refollow":
            author = reader.authors[0]
            await own.sources.follows.unfollow(reader.user.id, author.id, now=now())
            await own.follow(reader.user, author)
        else:
            await getattr(reader, deed)()
        await reader.assert_nothing_is_missing()

    await reader.assert_nothing_is_missing()
    with interruption(getattr(own.sources, store), step, act):
        await reader.refresh()
    await reader.assert_nothing_is_missing()
    await reader.post()
    await reader.assert_nothing_is_missing()
    await reader.drain()
    await audit(own, seconds=0, has_files=False)


@pytest.mark.parametrize("begin", BEGINNINGS)
async def test_no_post_is_missing_whichever_write_of_a_switch_a_worker_dies_before(own: World, begin: Begin) -> None:
    for before in itertools.count():
        reader = await begin(own)
        died = await dies_before_write(reader.refresh, before)
        await reader.assert_nothing_is_missing()
        await reader.post()
        await reader.assert_nothing_is_missing()
        await reader.drain()
        if not died:
            break
    assert before > 2


async def test_a_switch_that_could_not_invalidate_first_pages_goes_on_pushing(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = await becoming_pulled(own)
    await reader.assert_nothing_is_missing()  # the first pages are cached

    async def unreachable(_owner_ids: object) -> bool:
        raise RedisError

    with monkeypatch.context() as patch:
        patch.setattr(own.sources.caches.first_pages, "must_invalidate", unreachable)
        with pytest.raises(RedisError):
            await reader.refresh()
    assert (await reader.mode())[:2] == (True, True)
    await reader.post()
    await reader.assert_nothing_is_missing()
    await reader.drain()
    assert await reader.mode() == (False, True, 0)


async def test_first_pages_read_before_the_switch_are_not_kept_after_it(own: World) -> None:
    """A page is loaded into the cache; before it is stored, the feed is switched, and a post is not pushed to it."""
    reader = await becoming_pulled(own)
    await own.sources.caches.first_pages.invalidate([reader.user.id])

    async def switch() -> None:
        await reader.refresh()
        await reader.post()

    with interruption(own.sources.feed_states, "is_still", switch, after=True):
        await own.sources.home_feed.page(reader.user.id, PageRequest(limit=2))
    assert (await reader.mode())[:2] == (False, True)
    await reader.assert_nothing_is_missing()


@pytest.mark.parametrize("begin", BEGINNINGS)
async def test_concurrent_refreshes_and_crossings_end_in_one_mode(own: World, begin: Begin) -> None:
    reader = await begin(own)
    for crossing in (reader.follow, reader.unfollow):
        await asyncio.gather(reader.refresh(), crossing(3), reader.refresh())
        await reader.assert_nothing_is_missing()
        await own.drain()
        await asyncio.gather(reader.refresh(), reader.post(), reader.refresh())
        await reader.assert_nothing_is_missing()
    await reader.a_day_passes()
    await audit(own, seconds=0, has_files=False)


async def test_an_older_version_that_makes_a_pulled_feed_live_loses_no_post(own: World) -> None:
    """Processes of the version before know no pulled feeds: a visit makes the feed live, and a worker rebuilds it."""
    reader, feeds = await pulled(own), own.sources.database["feeds"]
    as_visited = {"$set": {"live": True}, "$unset": {"pulled": ""}, "$inc": {"version": 1}}
    await feeds.update_one({"_id": reader.user.id}, as_visited)
    own.sources.feed_states.limit = 99
    await own.sources.feed_states.refresh_now(await reader.feed(), now())
    await reader.drain()
    await feeds.update_one({"_id": reader.user.id}, {"$set": {"pulled": True}})
    own.sources.feed_states.limit = LIMIT
    await reader.post()
    await reader.assert_nothing_is_missing()
    await reader.a_day_passes()
    assert await reader.mode() == (False, True, 0)
