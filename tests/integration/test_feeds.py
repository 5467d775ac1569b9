"""The home feed against a brute-force oracle, over random histories."""

import random
from collections.abc import Sequence

import pytest
from bson import ObjectId

from datasources.feed.entries import Delivery
from domain.limits import PAGE_SIZE_MAX
from domain.paging import MAX_REFILLS
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, now
from tests.support.feeds import walk_feed


class History:
    """Random actions of a few people, and what their feeds should show by definition."""

    def __init__(self, world: World, people: Sequence[UserRecord], seed: int) -> None:
        self._world = world
        self._people = people
        self._dice = random.Random(seed)
        self._follows: set[tuple[ObjectId, ObjectId]] = set()
        self._muted: set[tuple[ObjectId, ObjectId]] = set()
        self._posts: list[PostRecord] = []

    async def act(self, steps: int) -> None:
        """Does so many random actions. Posts are fanned out at once."""
        actions = [
            self._follow,
            self._follow,
            self._follow,
            self._unfollow,
            self._post,
            self._post,
            self._delete,
            self._mute,
        ]
        for _ in range(steps):
            await self._dice.choice(actions)()

    def feed_of(self, owner: UserRecord) -> list[str]:
        """The posts of the owner and of those they follow and have not muted, newest first."""
        authors = {followee for follower, followee in self._follows if follower == owner.id} | {owner.id}
        authors -= {muted for muter, muted in self._muted if muter == owner.id}
        return [post.caption for post in self._posts[::-1] if post.author_id in authors]

    def _pair(self) -> tuple[UserRecord, UserRecord]:
        first, second = self._dice.sample(self._people, 2)
        return first, second

    async def _follow(self) -> None:
        follower, followee = self._pair()
        await self._world.follow(follower, followee)
        self._follows.add((follower.id, followee.id))

    async def _unfollow(self) -> None:
        follower, followee = self._pair()
        await self._world.sources.follows.unfollow(follower.id, followee.id, now=now())
        self._follows.discard((follower.id, followee.id))

    async def _mute(self) -> None:
        muter, muted = self._pair()
        if (muter.id, muted.id) in self._muted:
            await self._world.sources.mutes.unmute(muter.id, muted.id)
            self._muted.discard((muter.id, muted.id))
        else:
            await self._world.sources.mutes.mute(muter.id, muted.id)
            self._muted.add((muter.id, muted.id))

    async def _post(self) -> None:
        author = self._dice.choice(self._people)
        self._posts.append(await self._world.post(author, caption=f"post {len(self._posts)} {self._dice.random()}"))
        await self._world.drain()

    async def _delete(self) -> None:
        if self._posts:
            post = self._dice.choice(self._posts)
            await self._world.sources.posts.delete(post.id, post.author_id, now())
            self._posts.remove(post)


async def assert_walks_agree(
    world: World, history: History, people: Sequence[UserRecord], sizes: Sequence[int]
) -> None:
    """Asserts that paging through every feed in both directions shows exactly what it should."""
    for owner in people:
        expected = history.feed_of(owner)
        for size in sizes:
            assert await walk_feed(world, owner, size, backward=False) == expected
            assert await walk_feed(world, owner, size, backward=True) == expected


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_read_feed_equals_the_oracle_whatever_happened(world: World, seed: int) -> None:
    people = await world.users(4)
    history = History(world, people, seed)
    await history.act(40)
    await assert_walks_agree(world, history, people[:2], sizes=[3])  # follows and deletions hold before any worker ran
    await world.drain()
    await assert_walks_agree(world, history, people, sizes=[1, 2, 3, 4, 5] if seed == 1 else [5])
    await history.act(15)
    await world.drain()
    await assert_walks_agree(world, history, people, sizes=[4])


async def test_a_follow_fills_the_feed_at_once_and_an_unfollow_empties_it(world: World) -> None:
    ana, bob = await world.users(2)
    await world.post(ana, caption="old")
    await world.drain()
    await world.follow(bob, ana)
    assert await walk_feed(world, bob, 5, backward=False) == ["old"]
    await world.drain()
    assert await walk_feed(world, bob, 5, backward=False) == ["old"]
    await world.sources.follows.unfollow(bob.id, ana.id, now=now())
    assert await walk_feed(world, bob, 5, backward=False) == []
    await world.drain()
    assert await world.sources.database["feed_entries"].count_documents({"_id.o": bob.id}) == 0


async def test_following_again_brings_everything_back(world: World) -> None:
    ana, bob = await world.users(2)
    for number in range(3):
        await world.post(ana, caption=str(number))
    for _ in range(3):
        await world.follow(bob, ana)
        await world.drain()
        await world.sources.follows.unfollow(bob.id, ana.id, now=now())
        await world.drain()
    await world.follow(bob, ana)
    await world.drain()
    assert await walk_feed(world, bob, 2, backward=False) == ["2", "1", "0"]


async def test_a_block_and_a_private_account_hide_posts_at_once(world: World) -> None:
    ana, bob, eve = await world.users(3)
    await world.follow(bob, ana)
    await world.follow(eve, ana)
    await world.post(ana, caption="hidden")
    await world.drain()
    await world.sources.blocks.block(ana.id, bob.id, now=now())
    assert await walk_feed(world, bob, 5, backward=False) == []
    await world.sources.users.update_profile(ana.id, {"is_private": True})
    assert await walk_feed(world, eve, 5, backward=False) == ["hidden"]


async def test_a_request_shows_nothing_until_it_is_accepted(world: World) -> None:
    ana, bob = await world.user(is_private=True), await world.user()
    await world.post(ana, caption="private")
    await world.follow(bob, ana)
    await world.drain()
    assert await walk_feed(world, bob, 5, backward=False) == []
    await world.sources.follows.accept(bob.id, ana.id, now=now())
    assert await walk_feed(world, bob, 5, backward=False) == ["private"]


async def test_a_feed_goes_on_beyond_any_number_of_hidden_posts(world: World) -> None:
    ana, eve, bob = await world.users(3)
    await world.follow(bob, ana)
    await world.follow(bob, eve)
    await world.post(ana, caption="below")
    hidden = MAX_REFILLS * PAGE_SIZE_MAX + 30
    await world.drain()
    await world.open_feeds(bob)
    await world.sources.feed_entries.add_posts(
        bob.id, [{"_id": ObjectId(), "author_id": eve.id} for _ in range(hidden)]
    )
    assert await walk_feed(world, bob, 1, backward=False) == ["below"]


async def test_entries_written_twice_are_there_once(world: World) -> None:
    ana, bob = await world.users(2)
    await world.follow(bob, ana)
    post = await world.post(ana, caption="once")
    await world.drain()
    for _ in range(2):
        await world.sources.feed_entries.push(Delivery(post.id, ana.id, [bob.id, ana.id]))
    assert await walk_feed(world, bob, 5, backward=False) == ["once"]
    assert await walk_feed(world, ana, 5, backward=False) == ["once"]
