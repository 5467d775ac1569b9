"""Authors who cross the limit of pushing in either direction while others read, follow, unfollow and post."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from redis.exceptions import RedisError

from domain.jobs import Fact, Job, Task
from domain.paging import PageRequest
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.auditing import audit
from tests.support.crashing import dies_before_write
from tests.support.factories import World, now
from tests.support.fan_outs import begin_fan_out
from tests.support.feeds import walk_feed
from tests.support.interruptions import interruption
from workers.handlers import fan_out as fan_out_module
from workers.handlers import switch_push_pull as switch_module
from workers.handlers.backfill_feed import backfill
from workers.handlers.refresh_feed import refresh_feed
from workers.handlers.switch_push_pull import switch_push_pull
from workers.runtime.drain import pending_jobs

LIMIT = 3
Action = Callable[[], Awaitable[object]]


@pytest.fixture(autouse=True)
def _small(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.sources.push_pull, "limit", LIMIT)
    monkeypatch.setattr(fan_out_module, "CHUNK", 2)
    monkeypatch.setattr(fan_out_module, "STEP", 2)
    monkeypatch.setattr(switch_module, "CHUNK", 2)


class Cast:
    """An author, whoever follows them, and what the followers' feeds have to show: all posts, at every step."""

    def __init__(self, world: World, author: UserRecord) -> None:
        self.world = world
        self.author = author
        self.fans: list[UserRecord] = []
        self.captions: list[str] = []

    async def follow(self, count: int = 1) -> None:
        """So many new users with live feeds follow the author. No job of these follows has run."""
        for fan in await self.world.users(count):
            await self.world.sources.home_feed.page(fan.id, PageRequest(limit=1))
            await refresh_feed(self.world.tools, str(fan.id))
            await self.world.follow(fan, self.author)
            self.fans.append(fan)

    async def unfollow(self, count: int = 1) -> None:
        for fan in self.fans[-count:]:
            await self.world.sources.follows.unfollow(fan.id, self.author.id, now=now())
        del self.fans[-count:]

    async def post(self) -> PostRecord:
        """Creates a post and fans it out. No other job runs."""
        post = await self.world.post(self.author, caption=f"{len(self.captions)}")
        await begin_fan_out(self.world, post.id)
        for chunk in await self.world.sources.database["fan_outs"].find({"post_id": post.id}).to_list():
            await fan_out_module.fan_out_chunk(self.world.tools, str(chunk["_id"]))
        self.captions.insert(0, post.caption)
        return post

    async def assert_nothing_is_missing(self) -> None:
        """Asserts that every follower sees every post once."""
        for fan in self.fans:
            kept = await self.world.sources.feed_states.find(fan.id)
            assert kept is not None
            assert kept.floor is not None, "all of it is pulled"
            assert await walk_feed(self.world, fan, 5, backward=False) == self.captions

    async def drain(self) -> None:
        assert await self.world.drain() == set()
        await self.assert_nothing_is_missing()

    async def mode(self) -> tuple[bool, bool]:
        """Whether the author is pulled, and whether every follow says the same."""
        user = await self.world.sources.database["users"].find_one({"_id": self.author.id})
        assert user is not None
        pulled = user.get("pulled", False)
        follows = await self.world.sources.database["follows"].find({"followee_id": self.author.id}).to_list()
        return pulled, all(follow.get("pulled", False) is pulled for follow in follows)

    @property
    def switch(self) -> Action:
        return lambda: switch_push_pull(self.world.tools, str(self.author.id))


async def pushed(world: World) -> Cast:
    """An author at the limit, with a post."""
    cast = Cast(world, await world.user())
    await cast.follow(LIMIT)
    await cast.drain()
    await cast.post()
    await cast.drain()
    return cast


async def switching_to_pull(world: World) -> Cast:
    """An author who has crossed the limit by a post. The switch is pending."""
    cast = await pushed(world)
    await cast.follow()
    await cast.drain()
    await cast.post()
    assert await world.sources.push_pull.pending(cast.author.id) is not None
    return cast


async def pulled(world: World) -> Cast:
    """An author whose last post is in no feed's entries, because it is pulled."""
    cast = await switching_to_pull(world)
    await cast.drain()
    post = await cast.post()
    await cast.drain()
    assert await world.sources.database["feed_entries"].count_documents({"_id.p": post.id}) == 0
    return cast


async def switching_to_push(world: World) -> Cast:
    """An author who has lost followers and has posted. The switch back is pending."""
    cast = await pulled(world)
    await cast.unfollow(2)
    await cast.drain()
    await cast.post()
    assert await world.sources.push_pull.pending(cast.author.id) is not None
    return cast


BEGINNINGS = [switching_to_pull, switching_to_push]


async def test_an_author_is_pulled_above_the_limit_and_pushed_again_well_below_it(world: World) -> None:
    cast = await pulled(world)
    assert await cast.mode() == (True, True)
    await cast.unfollow()  # at the limit
    await cast.drain()
    await cast.post()
    await cast.drain()
    assert await cast.mode() == (True, True)
    await cast.unfollow()  # below four fifths of it
    await cast.drain()
    await cast.post()
    await cast.drain()
    assert await cast.mode() == (False, True)
    post = await cast.post()
    assert await world.sources.database["feed_entries"].count_documents({"_id.p": post.id}) == len(cast.fans)
    await cast.drain()
    await audit(world, seconds=0, has_files=False)


async def test_an_author_far_above_the_limit_is_switched_in_chunks(world: World) -> None:
    cast = await pushed(world)
    await cast.follow(7)
    await cast.drain()
    await cast.post()
    await cast.drain()
    assert await cast.mode() == (True, True)


async def test_following_a_pulled_author_shows_their_posts_at_once_and_from_then_on(world: World) -> None:
    cast = await pulled(world)
    await cast.follow()
    await cast.assert_nothing_is_missing()
    await cast.drain()
    assert await cast.mode() == (True, True)
    (fan,) = cast.fans[-1:]
    await cast.unfollow()
    assert await walk_feed(world, fan, 5, backward=False) == []
    await cast.drain()
    await world.follow(fan, cast.author)
    cast.fans.append(fan)
    await cast.drain()


@pytest.mark.parametrize("begin", BEGINNINGS)
@pytest.mark.parametrize("step", ["followers_to_switch", "switch", "finish"])
@pytest.mark.parametrize("deed", ["post", "follow", "unfollow", "refollow"])
async def test_no_post_is_missing_whatever_happens_during_a_switch(
    world: World, begin: Callable[[World], Awaitable[Cast]], step: str, deed: str
) -> None:
    cast = await begin(world)

    async def act() -> None:
        if deed == "refollow":
            fan = cast.fans[0]
            await world.sources.follows.unfollow(fan.id, cast.author.id, now=now())
            await world.follow(fan, cast.author)
        else:
            await getattr(cast, deed)()
        await cast.assert_nothing_is_missing()

    with interruption(world.sources.push_pull, step, act):
        await cast.switch()
    await cast.assert_nothing_is_missing()
    await cast.post()
    await cast.assert_nothing_is_missing()
    await cast.drain()
    assert (await cast.mode())[1]


@pytest.mark.parametrize("begin", [pushed, switching_to_pull, pulled, switching_to_push])
async def test_a_backfill_that_read_the_mode_before_a_switch_reads_it_again(
    world: World, monkeypatch: pytest.MonkeyPatch, begin: Callable[[World], Awaitable[Cast]]
) -> None:
    """A backfill reads the mode. Before it is done, the author switches completely to the other mode."""
    cast = await begin(world)
    await cast.follow()
    (follow,) = await world.sources.database["follows"].find({"follower_id": cast.fans[-1].id}).to_list()
    pulled_before = (await cast.mode())[0]

    async def switch_completely() -> None:
        await cast.switch()
        assert await world.sources.push_pull.pushed_authors([cast.author.id], now())  # and begins the switch
        await cast.switch()
        await cast.post()
        await cast.assert_nothing_is_missing()

    with interruption(world.sources.follows, "mark_done", switch_completely), monkeypatch.context() as patch:
        patch.setattr(world.sources.push_pull, "limit", 1_000 if pulled_before else 0)
        await backfill(world.tools, str(follow["_id"]))
        await cast.assert_nothing_is_missing()
        await cast.drain()
        assert await cast.mode() == (not pulled_before, True)


@pytest.mark.parametrize("begin", BEGINNINGS)
async def test_no_post_is_missing_whichever_write_of_a_switch_a_worker_dies_before(
    world: World, begin: Callable[[World], Awaitable[Cast]]
) -> None:
    for before in itertools.count():
        cast = await begin(world)
        died = await dies_before_write(cast.switch, before)
        await cast.assert_nothing_is_missing()
        await cast.post()
        await cast.assert_nothing_is_missing()
        await cast.drain()
        assert (await cast.mode())[1]
        if not died:
            break
    assert before > 3


async def test_an_author_who_crosses_again_and_again_during_switches_ends_in_one_mode(world: World) -> None:
    cast = await switching_to_pull(world)
    for _ in range(4):
        await asyncio.gather(cast.switch(), cast.unfollow(2), cast.switch())
        await cast.assert_nothing_is_missing()
        await cast.world.drain()
        await asyncio.gather(cast.post(), cast.switch())
        await asyncio.gather(cast.switch(), cast.follow(2), cast.switch())
        await cast.assert_nothing_is_missing()
        await cast.world.drain()
        await asyncio.gather(cast.post(), cast.switch())
        await cast.assert_nothing_is_missing()
    await cast.drain()
    assert (await cast.mode())[1]
    await audit(world, seconds=0, has_files=False)


async def test_a_running_switch_is_not_enqueued_again(world: World) -> None:
    cast = await switching_to_pull(world)
    mode = await world.sources.push_pull.pending(cast.author.id)
    assert mode is not None
    assert await world.sources.push_pull.postpone(mode, now())
    due = {"_id": cast.author.id, "due_at": {"$lte": now() + timedelta(seconds=10)}}
    assert await world.sources.database["users"].count_documents(due) == 0
    assert Job(Task.SWITCH_PUSH_PULL, Fact.USER, str(cast.author.id)) in await pending_jobs(world.tools)


async def test_a_switch_that_could_not_invalidate_first_pages_does_it_the_next_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast = await switching_to_pull(world)
    await cast.assert_nothing_is_missing()  # reads from cached first pages that name no author to pull

    async def unreachable(_owner_ids: object) -> None:
        raise RedisError

    with monkeypatch.context() as patch:
        patch.setattr(world.sources.push_pull._first_pages, "must_invalidate", unreachable)
        with pytest.raises(RedisError):
            await cast.switch()
    await cast.switch()
    assert await world.sources.push_pull.pending(cast.author.id) is None
    post = await cast.post()
    assert await world.sources.database["feed_entries"].count_documents({"_id.p": post.id}) == 0
    await cast.assert_nothing_is_missing()
