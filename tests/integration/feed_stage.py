"""People whose feeds are read while anything happens, and an oracle over MongoDB that says what they must show."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any

from bson import ObjectId

from domain.ids import from_global_id
from domain.jobs import Job, Task
from domain.paging import PageRequest
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.emptying import empty, wipe_redis
from tests.support.factories import World, now
from tests.support.interruptions import interruption
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
HASHTAGS = ("sea", "sun")
OTHER_TASKS = {Task.NOTIFY, Task.COMPLETE_POST, Task.MOVE_FILES, Task.CLEAN_UP}
# Where a process may die or another action may come in between: a store and its method.
POINTS = (
    ("feed_entries", "add_posts"),
    ("feed_entries", "push"),
    ("feed_entries", "remove_posts"),
    ("feed_entries", "clear"),
    ("feed_entries", "remove_author"),
    ("feed_states", "begin_rebuild"),
    ("feed_states", "stop_pushing"),
    ("feed_states", "push_again"),
    ("feed_states", "raise_floor"),
    ("feed_states", "mark_refreshed"),
    ("feed_states", "find"),
    ("follows", "followees"),
    ("follows", "mark_done"),
    ("followers", "add"),
    ("posts", "shown_by_authors"),
    ("followed_hashtags", "topic_ids"),
)
Action = Callable[[], Awaitable[object]]
Point = tuple[str, str]


class Died(Exception):
    """The process was killed."""


class Truth:
    """The posts that a feed must show, and those that it may show because their fan-out or listing is pending."""

    def __init__(
        self, by_author: Sequence[dict[str, Any]], by_hashtag: Sequence[dict[str, Any]], owner_id: ObjectId
    ) -> None:
        self.may = {post["_id"] for post in (*by_author, *by_hashtag)}
        fanned_out = {
            post["_id"]
            for post in by_author
            if post["author_id"] == owner_id or Task.FAN_OUT.value not in post.get("outbox", ())
        }
        self.must = fanned_out | {post["_id"] for post in by_hashtag if "listed" in post}


class FeedStage:
    """Writes go to the stores. Feeds are read through GraphQL, as clients do."""

    def __init__(self, world: World, figures: Counter[str]) -> None:
        self.world = world
        self.sources = world.sources
        self.figures = figures
        self.users: list[UserRecord] = []
        self.posts: list[PostRecord] = []
        self.drafts: list[PostRecord] = []

    async def begin(self, following_limit: int) -> None:
        """Empties the world and creates the people. The feeds of who follows more than the limit are pulled."""
        self.sources.feed_states.limit = following_limit
        self.figures["examples"] += 1
        await empty(self.world)
        self.users = await self.world.users(PEOPLE)

    async def follow(self, follower: int, followee: int, *, follows: bool) -> None:
        """Follows, asks to follow, or unfollows."""
        follower_id, user = self.users[follower].id, await self.world.stored_user(self.users[followee].id)
        if not follows:
            await self.sources.follows.unfollow(follower_id, user.id, now=now())
        elif not await self._is_blocked(follower_id, user.id):
            await self.sources.follows.follow(follower_id, user.id, is_private=user.is_private, now=now())

    async def accept(self, follower: int, followee: int) -> None:
        """Accepts a request, if there is one."""
        await self.sources.follows.accept(self.users[follower].id, self.users[followee].id, now=now())

    async def block(self, blocker: int, blocked: int, *, blocks: bool) -> None:
        """Blocks or unblocks."""
        verb = self.sources.blocks.block if blocks else self.sources.blocks.unblock
        await verb(self.users[blocker].id, self.users[blocked].id, now=now())

    async def mute(self, muter: int, muted: int, *, mutes: bool) -> None:
        """Mutes or unmutes."""
        verb = self.sources.mutes.mute if mutes else self.sources.mutes.unmute
        await verb(self.users[muter].id, self.users[muted].id)

    async def follow_hashtag(self, follower: int, name: str, *, follows: bool) -> None:
        """Follows a hashtag, or not any more."""
        store = self.sources.followed_hashtags
        await (store.follow if follows else store.unfollow)(self.users[follower].id, name)

    async def change_privacy(self, owner: int, *, private: bool) -> None:
        """Makes an account private or public."""
        await self.sources.users.update_profile(self.users[owner].id, {"is_private": private})

    async def post(self, author: int, *, late: bool, hashtags: Sequence[str] = ()) -> None:
        """Creates a post, which is READY at once, or `late`: after posts that are newer."""
        draft = await self.world.draft(self.users[author], hashtags=list(hashtags))
        if late:
            self.drafts.append(draft)
        else:
            self.posts.append(await self.world.publish(draft))

    async def publish(self, pick: int) -> None:
        """Makes a late post READY."""
        self.posts.append(await self.world.publish(self.drafts.pop(pick % len(self.drafts))))

    async def delete(self, pick: int) -> None:
        """Deletes a post."""
        post = self.posts.pop(pick % len(self.posts))
        await self.sources.posts.delete(post.id, post.author_id, now())

    async def stay_away(self, owner: int) -> None:
        """Lets fifteen days pass in which an owner does not read the feed. Its daily refresh is due."""
        absence = {"seen_at": now() - timedelta(days=15), "refresh_at": now()}
        await self.sources.database["feeds"].update_one({"_id": self.users[owner].id, "live": True}, {"$set": absence})

    async def make_refreshes_due(self, *, renewed: Sequence[int] = ()) -> None:
        """Makes the refresh of every feed due, and has some feeds rebuilt."""
        await self.sources.feed_states.enqueue_due(now() + timedelta(days=2), 100)
        await self.sources.feed_states.reset([self.users[owner].id for owner in renewed], now())

    async def flush(self) -> None:
        """Empties Redis."""
        await wipe_redis(self.world)

    async def work(self, pick: int) -> None:
        """Runs one pending job."""
        jobs = await self._pending()
        if jobs:
            await self._run(jobs[pick % len(jobs)])

    async def die(self, pick: int, point: Point, *, after: bool) -> None:
        """Runs one pending job and kills the worker at its first call of a method, before or after that."""

        async def dies() -> None:
            raise Died

        with suppress(Died), self._interruption(point, dies, after=after):
            await self.work(pick)

    async def work_interrupted(self, pick: int, point: Point, action: Action) -> None:
        """Runs one pending job. The action comes just before the first call of a method."""
        with self._interruption(point, action, after=False):
            await self.work(pick)

    async def read_interrupted(self, owner: int, size: int, point: Point, action: Action) -> None:
        """Reads a page. The action comes just after the first call of a method.

        The page must show what is right before and after the action, and nothing that is wrong at both times.
        """
        before = await self.truth(owner)
        with self._interruption(point, action, after=True):
            ids, _ = await self._page(owner, first=size)
        after = await self.truth(owner)
        assert set(ids) <= before.may | after.may, "it shows what is wrong before and after"
        surely = sorted(before.must & after.must, reverse=True)[:size]
        least = min(ids) if len(ids) == size else ObjectId(b"\0" * 12)
        assert {post_id for post_id in surely if post_id >= least} <= set(ids), (
            "it lacks what is right before and after"
        )

    async def read(self, owner: int, size: int) -> None:
        """Reads a whole feed by pages in both directions and compares it with the oracle."""
        self.figures["reads"] += 2
        for backward in (False, True):
            before = await self.truth(owner)
            ids = await self._read_all(owner, size, backward=backward)
            assert all(newer > older for newer, older in pairwise(ids)), "out of order, or twice"
            assert before.must <= set(ids), f"lacks {before.must - set(ids)}"
            assert set(ids) <= before.may, f"shows {set(ids) - before.may}"

    async def finish(self) -> None:
        """Runs everything that is pending. Then every feed must be exact, and none too long."""
        await self.drain()
        await self.make_refreshes_due()
        await self.drain()
        for owner in range(PEOPLE):
            await self.read(owner, SIZES[owner % len(SIZES)])
        await self.drain()
        owner_ids = [user.id for user in self.users]
        missing = await in_snapshot(self.sources, partial(find_missing, self.sources, owner_ids))
        assert not missing, f"a stored feed lacks {missing}"
        for owner_id in owner_ids:
            feed = await self.sources.feed_states.find(owner_id)
            assert feed is not None
            self.figures["pulled" if feed.pulled else "live"] += 1
            if feed.pulled:
                assert (feed.live, feed.floor) == (False, None)
                assert await self.sources.feed_entries.post_ids(owner_id, PageRequest(limit=1)) == []
                continue
            assert feed.live
            assert feed.floor is not None
            limit = 2 * self.sources.settings.feed_retained_entries
            assert await self.sources.feed_entries.entry_at(owner_id, feed.floor, limit) is None, "it is too long"

    async def drain(self) -> None:
        """Runs all pending jobs that concern feeds, once all leases have ended: of dead workers, and of slow ones."""
        await self.sources.database["fan_outs"].update_many({}, {"$unset": {"leased_until": ""}})
        for _ in range(ROUNDS):
            jobs = await self._pending()
            if not jobs:
                return
            for job in jobs:
                await self._run(job)
        raise AssertionError(f"still pending: {jobs}")

    async def truth(self, owner: int) -> Truth:
        """By definition: the ready posts of the owner, of those they follow, and of hashtags they follow; none of muted
        people.

        For a hashtag, only posts that the owner may see: those of public accounts, without a block.
        """
        owner_id, database = self.users[owner].id, self.sources.database
        follows = await database["follows"].find({"follower_id": owner_id, "state": "FOLLOWING"}).to_list()
        muted = {row["muted_id"] async for row in database["mutes"].find({"muter_id": owner_id})}
        authors = [owner_id, *({row["followee_id"] for row in follows} - muted)]
        shown = {"status": "READY", "deleted": False}
        by_author = await database["posts"].find({"author_id": {"$in": authors}, **shown}).to_list()
        names = [followed.name for followed in await self.sources.followed_hashtags.of_account(owner_id)]
        public = {row["_id"] async for row in database["users"].find({"is_private": {"$ne": True}})}
        others = [each for each in public - muted - set(authors) if not await self._is_blocked(owner_id, each)]
        with_hashtag = {"author_id": {"$in": others}, "hashtags": {"$in": names}, **shown}
        return Truth(by_author, await database["posts"].find(with_hashtag).to_list(), owner_id)

    async def _read_all(self, owner: int, size: int, *, backward: bool) -> list[ObjectId]:
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
        raise AssertionError("the pages do not end")

    async def _page(self, owner: int, **arguments: Any) -> tuple[list[ObjectId], dict[str, Any]]:
        result = await self.world.execute(FEED, self.users[owner], **arguments)
        assert result.errors is None
        assert result.data is not None
        feed = result.data["feed"]
        return [from_global_id(edge["node"]["id"])[1] for edge in feed["edges"]], feed["pageInfo"]

    async def _pending(self) -> list[Job]:
        return sorted(job for job in await pending_jobs(self.world.tools) if job.task not in OTHER_TASKS)

    async def _run(self, job: Job) -> None:
        self.figures["calls"] += 1
        with suppress(RetryLater):
            await HANDLERS[job.kind].run(self.world.tools, job.key)

    def _interruption(self, point: Point, action: Action, *, after: bool) -> AbstractContextManager[None]:
        return interruption(getattr(self.sources, point[0]), point[1], action, after=after)

    async def _is_blocked(self, first: ObjectId, second: ObjectId) -> bool:
        either = [{"blocker_id": first, "blocked_id": second}, {"blocker_id": second, "blocked_id": first}]
        return await self.sources.database["blocks"].find_one({"$or": either}) is not None
