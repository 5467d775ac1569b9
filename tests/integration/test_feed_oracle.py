"""Whatever happens, is pending or is interrupted, every reading of a home feed equals a brute-force oracle."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from itertools import permutations
from typing import Any

import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

import datasources.feed.entries
import datasources.feed.first_pages
import datasources.feed.home_feed
import datasources.posts.posts
import domain.paging
import workers.handlers.fan_out
from config import Settings
from datasources.feed.entries import EntryStore
from datasources.mongo.client import Document
from tests.integration.feed_stage import HASHTAGS, PEOPLE, POINTS, SIZES, FeedStage
from tests.support.factories import World, opened
from tests.support.state_machines import AsyncMachine, player

Pair = tuple[int, int]
MAX_POSTS = 14

people = st.integers(0, PEOPLE - 1)
pairs = st.sampled_from(list(permutations(range(PEOPLE), 2)))
picks = st.integers(0, 60)  # an index into a list of any length
sizes = st.sampled_from(SIZES)
points = st.sampled_from(POINTS)
hashtags = st.sets(st.sampled_from(HASHTAGS))
CHANGES = ("unfollow", "follow", "follow again", "work", "read", "away", "renew", "refreshes due")


class Feeds(AsyncMachine):
    """What people do, and how the pending jobs of it are run. A feed is read after every step."""

    def __init__(self, runner: asyncio.Runner, world: World, figures: Counter[str]) -> None:
        super().__init__(runner)
        self.stage = FeedStage(world, figures)
        self._steps = 0

    def step(self, work: Coroutine[Any, Any, object]) -> None:
        """Does one step and then reads one feed, each in turn."""
        self.run(work)
        self._steps += 1
        self.run(self.stage.read(self._steps % PEOPLE, SIZES[self._steps // PEOPLE % len(SIZES)]))

    def teardown(self) -> None:
        """Ends an example that did not fail."""
        if not self.has_failed:
            self.run(self.stage.finish())

    @initialize(
        limit=st.integers(1, PEOPLE - 1),
        follows=st.sets(pairs, min_size=2),
        authors=st.lists(people, min_size=4, max_size=8),
    )
    def begin(self, limit: int, follows: set[Pair], authors: list[int]) -> None:
        self.run(self.stage.begin(limit))
        for pair in sorted(follows):
            self.run(self.stage.follow(*pair, follows=True))
        for author in authors:
            self.run(self.stage.post(author, late=False))
        self.run(self.stage.drain())

    @rule(pair=pairs, follows=st.booleans())
    def follow(self, pair: Pair, follows: bool) -> None:
        self.step(self.stage.follow(*pair, follows=follows))

    @rule(pair=pairs)
    def accept(self, pair: Pair) -> None:
        self.step(self.stage.accept(*pair))

    @rule(pair=pairs, blocks=st.booleans())
    def block(self, pair: Pair, blocks: bool) -> None:
        self.step(self.stage.block(*pair, blocks=blocks))

    @rule(pair=pairs, mutes=st.booleans())
    def mute(self, pair: Pair, mutes: bool) -> None:
        self.step(self.stage.mute(*pair, mutes=mutes))

    @rule(follower=people, name=st.sampled_from(HASHTAGS), follows=st.booleans())
    def follow_hashtag(self, follower: int, name: str, follows: bool) -> None:
        self.step(self.stage.follow_hashtag(follower, name, follows=follows))

    @rule(owner=people, private=st.booleans())
    def change_privacy(self, owner: int, private: bool) -> None:
        self.step(self.stage.change_privacy(owner, private=private))

    @precondition(lambda self: len(self.stage.posts) + len(self.stage.drafts) < MAX_POSTS)
    @rule(author=people, late=st.booleans(), names=hashtags)
    def post(self, author: int, late: bool, names: set[str]) -> None:
        self.step(self.stage.post(author, late=late, hashtags=sorted(names)))

    @precondition(lambda self: self.stage.drafts)
    @rule(pick=picks)
    def publish(self, pick: int) -> None:
        self.step(self.stage.publish(pick))

    @precondition(lambda self: self.stage.posts)
    @rule(pick=picks)
    def delete(self, pick: int) -> None:
        self.step(self.stage.delete(pick))

    @rule(owner=people)
    def stay_away(self, owner: int) -> None:
        self.step(self.stage.stay_away(owner))

    @rule(renewed=st.lists(people, max_size=2))
    def make_refreshes_due(self, renewed: list[int]) -> None:
        self.step(self.stage.make_refreshes_due(renewed=renewed))

    @rule()
    def flush(self) -> None:
        self.step(self.stage.flush())

    @rule(chosen=st.lists(picks, min_size=1, max_size=5))
    def work(self, chosen: list[int]) -> None:
        for pick in chosen:
            self.step(self.stage.work(pick))

    @rule()
    def apply(self) -> None:
        self.step(self.stage.drain())

    @rule(pick=picks, point=points, after=st.booleans())
    def die(self, pick: int, point: tuple[str, str], after: bool) -> None:
        self.step(self.stage.die(pick, point, after=after))

    @rule(pick=picks, point=points, change=st.sampled_from(CHANGES), pair=pairs, other=picks)
    def work_interrupted(self, pick: int, point: tuple[str, str], change: str, pair: Pair, other: int) -> None:
        self.step(self.stage.work_interrupted(pick, point, partial(self.change, change, pair, other)))

    @rule(owner=people, size=sizes, point=points, change=st.sampled_from(CHANGES), pair=pairs, other=picks)
    def read_interrupted(
        self, owner: int, size: int, point: tuple[str, str], change: str, pair: Pair, other: int
    ) -> None:
        self.step(self.stage.read_interrupted(owner, size, point, partial(self.change, change, pair, other)))

    async def change(self, name: str, pair: Pair, pick: int) -> None:
        """An action that comes in the middle of something else."""
        stage, (first, second) = self.stage, pair
        if name in ("unfollow", "follow again"):
            await stage.follow(first, second, follows=False)
        if name == "follow again":
            await stage.drain()
        if name in ("follow", "follow again"):
            await stage.follow(first, second, follows=True)
        changes: dict[str, Callable[[], Awaitable[object]]] = {
            "follow again": stage.drain,
            "work": partial(stage.work, pick),
            "read": partial(stage.read, first, 2),
            "away": partial(stage.stay_away, first),
            "renew": partial(stage.make_refreshes_due, renewed=[first]),
            "refreshes due": stage.make_refreshes_due,
        }
        if name in changes:
            await changes[name]()


@pytest.fixture
def world(runner: asyncio.Runner, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world in which all sizes are small, so that every boundary is crossed."""
    for module, name, size in (
        (datasources.feed.entries, "DELETED_AT_ONCE", 2),
        (datasources.feed.entries, "INSERTED_AT_ONCE", 2),
        (datasources.feed.home_feed, "FIRST_PAGES_ENTRIES", 2),
        (datasources.feed.first_pages, "FIRST_PAGES_ENTRIES", 2),
        (datasources.posts.posts, "MAX_MERGED_AUTHORS", 2),
        (domain.paging, "PAGE_SIZE_MAX", 3),
        (workers.handlers.fan_out, "CHUNK", 2),
        (workers.handlers.fan_out, "STEP", 1),
    ):
        monkeypatch.setattr(module, name, size)
    opening = opened(settings.model_copy(update={"feed_retained_entries": 3, "feed_push_limit": 2}))
    yield runner.run(opening.__aenter__())
    runner.run(opening.__aexit__(None, None, None))


@pytest.fixture
def play(
    runner: asyncio.Runner, world: World, seed: int, record_property: Callable[[str, object], None]
) -> Callable[..., None]:
    """Runs the machine with options of Hypothesis."""
    return player(lambda figures: Feeds(runner, world, figures), seed, record_property)


def test_every_reading_equals_the_oracle(play: Callable[..., None], full_size: bool) -> None:
    if full_size:
        play(max_examples=40, stateful_step_count=40)
    else:  # failures are shrunk at full size only, because that takes minutes
        play(max_examples=4, stateful_step_count=20, phases=[Phase.reuse, Phase.generate])


def test_the_machine_finds_a_lost_post(play: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A negative control: the machine fails when the product does."""
    add_all = EntryStore.add_posts

    async def add_all_but_one(store: EntryStore, owner_id: Any, posts: list[Document]) -> None:
        await add_all(store, owner_id, posts[1:])

    monkeypatch.setattr(EntryStore, "add_posts", add_all_but_one)
    with pytest.raises(AssertionError, match="lacks"):
        play(max_examples=1_000, stateful_step_count=25, phases=[Phase.generate], database=None)
