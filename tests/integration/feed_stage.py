"""People whose feeds are walked while anything happens, and an oracle over MongoDB that says what is right."""

import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any

from bson import ObjectId

from domain.ids import from_global_id
from domain.jobs import Job, Task
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.emptying import empty, wipe_redis
from tests.support.factories import World, now
from workers.maintenance.checks.feed_entries import find_missing
from workers.maintenance.walk import in_snapshot
from workers.registry import HANDLERS
from workers.runtime.drain import pending_jobs
from workers.runtime.handler import RetryLater

PEOPLE = 4
SIZES = (1, 2, 3)
ROUNDS = 20
FEED = """query ($first: Int, $after: String, $last: Int, $before: String) {
  feed(first: $first, after: $after, last: $last, before: $before) {
    edges { node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""
ELSEWHERE = {Task.NOTIFY, Task.COMPLETE_POST, Task.MOVE_FILES, Task.CLEAN_UP, Task.COUNT_FOLLOWING}
# Where a process may die, or something else may come in between: a store, and its method.
POINTS = (
    ("feed_entries", "add_posts"),
    ("feed_entries", "push"),
    ("feed_entries", "remove_posts"),
    ("feed_entries", "clear"),
    ("feed_entries", "remove_author"),
    ("feed_states", "begin_rebuild"),
    ("feed_states", "raise_floor"),
    ("feed_states", "mark_refreshed"),
    ("feed_states", "find"),
    ("follows", "followees"),
    ("follows", "mark_done"),
    ("posts", "shown_by_authors"),
)
Deed = Callable[[], Awaitable[object]]
Point = tuple[str, str]


class Died(Exception):
    """A process was killed."""


class Truth:
    """What somebody's feed must show, and what it may: a post comes into it once its fan-out is paid."""

    def __init__(self, posts: Sequence[dict[str, Any]], owner_id: ObjectId) -> None:
        self.may = {post["_id"] for post in posts}
        self.must = {
            post["_id"]
            for post in posts
            if post["author_id"] == owner_id or Task.FAN_OUT.value not in post.get("outbox", ())
        }


class FeedStage:
    """Everything is done at the stores; feeds are read through GraphQL, as a client does."""

    def __init__(self, world: World, figures: Counter[str]) -> None:
        self.world = world
        self.sources = world.sources
        self.figures = figures
        self.users: list[UserRecord] = []
        self.posts: list[PostRecord] = []
        self.drafts: list[PostRecord] = []

    async def begin(self) -> None:
        """Everything is new."""
        self.figures["examples"] += 1
        await empty(self.world)
        self.users = await self.world.users(PEOPLE)

    async def follow(self, one: int, other: int, *, follows: bool) -> None:
        """Somebody follows, or asks to, or follows no more."""
        follower, followee = self.users[one].id, await self.world.stored_user(self.users[other].id)
        if follows and await self._is_blocked(follower, followee.id):
            return
        if follows:
            await self.sources.follows.follow(follower, followee.id, is_private=followee.is_private, now=now())
        else:
            await self.sources.follows.unfollow(follower, followee.id, now=now())

    async def accept(self, one: int, other: int) -> None:
        """A request is granted if there is one."""
        await self.sources.follows.accept(self.users[one].id, self.users[other].id, now=now())

    async def block(self, one: int, other: int, *, blocks: bool) -> None:
        """Somebody blocks another, or does no more."""
        verb = self.sources.blocks.block if blocks else self.sources.blocks.unblock
        await verb(self.users[one].id, self.users[other].id, now=now())

    async def mute(self, one: int, other: int, *, mutes: bool) -> None:
        """Somebody mutes another, or does no more."""
        verb = self.sources.mutes.mute if mutes else self.sources.mutes.unmute
        await verb(self.users[one].id, self.users[other].id)

    async def change_privacy(self, one: int, *, private: bool) -> None:
        """An account goes private or public."""
        await self.sources.users.update_profile(self.users[one].id, {"is_private": private})

    async def post(self, author: int, *, late: bool) -> None:
        """A post, which is READY at once, or only after others that come later."""
        draft = await self.world.draft(self.users[author])
        if late:
            self.drafts.append(draft)
        else:
            self.posts.append(await self.world.publish(draft))

    async def publish(self, pick: int) -> None:
        """A post that was waiting becomes READY."""
        self.posts.append(await self.world.publish(self.drafts.pop(pick % len(self.drafts))))

    async def delete(self, pick: int) -> None:
        """A post is deleted."""
        post = self.posts.pop(pick % len(self.posts))
        await self.sources.posts.delete(post.id, post.author_id, now())

    async def stay_away(self, owner: int) -> None:
        """Two weeks and a day go by in which somebody does not look, and the day's tending is due."""
        then = {"seen_at": now() - timedelta(days=15), "refresh_at": now()}
        await self.sources.database["feeds"].update_one({"_id": self.users[owner].id, "live": True}, {"$set": then})

    async def call(self, *, renewed: Sequence[int] = ()) -> None:
        """Every feed's tending is due; some are to be made anew."""
        await self.sources.feed_states.enqueue_due(now() + timedelta(days=2), 100)
        await self.sources.feed_states.reset([self.users[one].id for one in renewed], now())

    async def flush(self) -> None:
        """Redis loses everything."""
        await wipe_redis(self.world)

    async def work(self, pick: int) -> None:
        """Some worker pays one thing that is owed."""
        jobs = await self._owed()
        if jobs:
            await self._pay(jobs[pick % len(jobs)])

    async def die(self, pick: int, point: Point, *, after: bool) -> None:
        """A worker is killed where it calls a method for the first time: before or after that is done."""

        async def dies() -> None:
            raise Died

        with contextlib.suppress(Died), self._amid(point, dies, after=after):
            await self.work(pick)

    async def amid_work(self, pick: int, point: Point, deed: Deed) -> None:
        """Something happens where a worker calls a method for the first time."""
        with self._amid(point, deed, after=False):
            await self.work(pick)

    async def amid_look(self, owner: int, size: int, point: Point, deed: Deed) -> None:
        """Something happens while a page is read: it has what is right before and after, and no more than is ever."""
        before = await self.truth(owner)
        with self._amid(point, deed, after=True):
            ids, _ = await self._page(owner, first=size)
        after = await self.truth(owner)
        assert set(ids) <= before.may | after.may, "it shows what it never should"
        surely = sorted(before.must & after.must, reverse=True)[:size]
        least = min(ids) if len(ids) == size else ObjectId(b"\0" * 12)
        assert {one for one in surely if one >= least} <= set(ids), "it lacks what is there before and after"

    async def look(self, owner: int, size: int) -> None:
        """A walk by pages in both directions equals the oracle."""
        self.figures["walks"] += 2
        for backward in (False, True):
            before = await self.truth(owner)
            ids = await self._walk(owner, size, backward=backward)
            assert all(one > other for one, other in pairwise(ids)), "out of order, or twice"
            assert before.must <= set(ids), f"lacks {before.must - set(ids)}"
            assert set(ids) <= before.may, f"shows {set(ids) - before.may}"

    async def finish(self) -> None:
        """Once everything is paid, every feed is exact, and none is too long."""
        await self.drain()
        await self.call()
        await self.drain()
        for owner in range(PEOPLE):
            await self.look(owner, SIZES[owner % len(SIZES)])
        await self.drain()
        owner_ids = [user.id for user in self.users]
        missing = await in_snapshot(self.sources, partial(find_missing, self.sources, owner_ids))
        assert not missing, f"a kept feed lacks {missing}"
        for owner_id in owner_ids:
            feed = await self.sources.feed_states.find(owner_id)
            assert feed is not None
            assert feed.live
            assert feed.floor is not None
            most = 2 * self.sources.settings.feed_retained_entries
            assert await self.sources.feed_entries.entry_at(owner_id, feed.floor, most) is None, "it is too long"

    async def drain(self) -> None:
        """Everything that concerns feeds is paid."""
        for _ in range(ROUNDS):
            jobs = await self._owed()
            if not jobs:
                return
            for job in jobs:
                await self._pay(job)
        raise AssertionError(f"it is never paid: {jobs}")

    async def truth(self, owner: int) -> Truth:
        """By definition: the ready posts of oneself and of whom one follows and has not muted."""
        owner_id, database = self.users[owner].id, self.sources.database
        follows = await database["follows"].find({"follower_id": owner_id, "state": "FOLLOWING"}).to_list()
        muted = {row["muted_id"] async for row in database["mutes"].find({"muter_id": owner_id})}
        authors = [owner_id, *({row["followee_id"] for row in follows} - muted)]
        shown = {"author_id": {"$in": authors}, "status": "READY", "deleted": False}
        return Truth(await database["posts"].find(shown).to_list(), owner_id)

    async def _walk(self, owner: int, size: int, *, backward: bool) -> list[ObjectId]:
        seen: list[ObjectId] = []
        cursor: str | None = None
        for number in range(100):
            arguments = {"last": size, "before": cursor} if backward else {"first": size, "after": cursor}
            ids, info = await self._page(owner, **arguments)
            assert len(ids) <= size
            assert number == 0 or ids, "the page before said that the list went on"
            seen = ids + seen if backward else seen + ids
            assert info["hasNextPage" if backward else "hasPreviousPage"] == (number > 0)
            if not info["hasPreviousPage" if backward else "hasNextPage"]:
                return seen
            cursor = info["startCursor" if backward else "endCursor"]
        raise AssertionError("the walk does not end")

    async def _page(self, owner: int, **arguments: Any) -> tuple[list[ObjectId], dict[str, Any]]:
        result = await self.world.execute(FEED, self.users[owner], **arguments)
        assert result.errors is None
        assert result.data is not None
        feed = result.data["feed"]
        return [from_global_id(edge["node"]["id"])[1] for edge in feed["edges"]], feed["pageInfo"]

    async def _owed(self) -> list[Job]:
        return sorted(job for job in await pending_jobs(self.world.tools) if job.task not in ELSEWHERE)

    async def _pay(self, job: Job) -> None:
        self.figures["calls"] += 1
        with contextlib.suppress(RetryLater):
            await HANDLERS[job.kind].run(self.world.tools, job.key)

    @contextlib.contextmanager
    def _amid(self, point: Point, deed: Deed, *, after: bool) -> Iterator[None]:
        """Has something done once, before or after the first call of a store's method."""
        store = getattr(self.sources, point[0])
        method, is_due = getattr(store, point[1]), True

        async def call(*args: Any, **named: Any) -> Any:
            nonlocal is_due
            is_first, is_due = is_due, False
            if is_first and not after:
                await deed()
            result = await method(*args, **named)
            if is_first and after:
                await deed()
            return result

        setattr(store, point[1], call)
        try:
            yield
        finally:
            delattr(store, point[1])

    async def _is_blocked(self, one: ObjectId, other: ObjectId) -> bool:
        either = [{"blocker_id": one, "blocked_id": other}, {"blocker_id": other, "blocked_id": one}]
        return await self.sources.database["blocks"].find_one({"$or": either}) is not None
