"""What the demo's people do once there are accounts and pictures: they follow, like and comment."""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from bson import ObjectId

from datasources.concurrency.tasks import run_all
from datasources.jobs.idempotency import Idempotency
from datasources.mongo import clock
from datasources.mongo.sharded_ids import new_id
from datasources.posts.likes import LikeStore
from deploy.demo.people import BY_NAME, DEMO_USERNAME, NOT_YET_ACCEPTED, PEOPLE, user_id
from deploy.demo.publishing import finish
from deploy.demo.story import PlannedComment, PlannedPost
from domain.jobs import Fact, Job, Task, jobs_of
from domain.records.comments import CommentRecord
from domain.text import mentions
from workers.runtime.handler import Tools

CONCURRENCY = 8
DRAIN_SECONDS = 180.0
POLL_SECONDS = 0.2
PATIENCE = 1.0  # seconds without progress; then we do the work ourselves, which is harmless beside a worker
FOLLOWED_HASHTAGS = ("mountains", "forest")
SAVED, COLLECTED = 8, 4  # posts
SKY, DOTS = 1, 2  # posts: emi's northern lights and ana's own latest

_DONE_BY = {
    Fact.POST_LIKE: "user_id",
    Fact.COMMENT_LIKE: "user_id",
    Fact.COMMENT: "author_id",
    Fact.FOLLOW: "follower_id",
    Fact.POST: "author_id",
    Fact.UPLOAD: "owner_id",
}


class Activity:
    """Acts of the demo's people, dated back from `now`. Each is safe to repeat."""

    def __init__(self, tools: Tools, now: datetime) -> None:
        self._tools = tools
        self._sources = tools.sources
        self._now = now
        self._is_alone = False  # no worker runs

    async def follow(self) -> None:
        """Makes everybody follow their friends, whom the private account accepts, and the demo's user some hashtags."""
        for hashtag in FOLLOWED_HASHTAGS:
            await self._sources.followed_hashtags.follow(user_id(DEMO_USERNAME), hashtag)
        for person in PEOPLE:
            for name in person.follows:
                follower_id, followee_id = user_id(person.username), user_id(name)
                is_private = BY_NAME[name].is_private
                await self._sources.follows.follow(follower_id, followee_id, is_private=is_private, now=clock.now())
                if is_private:
                    await self._sources.follows.accept(follower_id, followee_id, now=clock.now())

    async def react(self, posts: Sequence[PlannedPost], post_ids: Mapping[int, ObjectId]) -> None:
        """Makes likes, comments in the order of their dates, and likes of these."""
        await self._like(self._sources.post_likes, ((post_ids[post.number], post.likers) for post in posts))
        records: dict[tuple[int, int], CommentRecord] = {}
        planned = [
            (post.made_at(self._now) + comment.after, post, place, comment)
            for post in posts
            for place, comment in enumerate(post.comments)
        ]
        for moment, post, place, comment in sorted(planned, key=lambda item: item[0]):
            parent = None if comment.answers is None else records[post.number, comment.answers]
            name = f"{post.number}:{place}"
            records[post.number, place] = await self._comment(name, post_ids[post.number], comment, moment, parent)
        likers = ((records[post.number, place].id, comment.likers) for _, post, place, comment in planned)
        await self._like(self._sources.comment_likes, likers)

    async def save(self, posts: Sequence[PlannedPost], post_ids: Mapping[int, ObjectId]) -> None:
        """Makes the user save some posts of others, of which the first are a public collection."""
        saved, ana = self._sources.saved, user_id(DEMO_USERNAME)
        values = {"name": "Light", "description": "Skies to print one day.", "is_public": True}
        key = Idempotency.of("demo:collection", "demo", {})
        collection = await saved.collections.create(ana, values, clock.now(), key)
        others = [post_ids[post.number] for post in posts if post.author != DEMO_USERNAME][:SAVED]
        for place, post_id in enumerate(others):
            collections = [collection.id] if place < COLLECTED else []
            await saved.posts.save(ana, post_id, clock.now(), collections)
        if others:
            await saved.collections.update(ana, collection.id, {"cover_post_id": others[0]})

    async def drain(self) -> None:
        """Waits until nothing is pending for the demo's people; does the work itself if no worker seems to run.

        It looks at their facts alone, so that it ends also where other people are busy. Raises TimeoutError.
        """
        before, since = set[Job](), time.monotonic()
        async with asyncio.timeout(DRAIN_SECONDS):
            while _is_soon_done(jobs := await self._pending_jobs()):
                if jobs != before:
                    before, since = jobs, time.monotonic()
                elif time.monotonic() - since > PATIENCE:
                    self._is_alone = True
                if self._is_alone:
                    await run_all(CONCURRENCY, partial(finish, self._tools), sorted(jobs))
                await asyncio.sleep(POLL_SECONDS)

    async def make_latest_news(self, post_ids: Mapping[int, ObjectId]) -> None:
        """Marks the user's notifications as read; then makes some that are only seen, and some that are not."""
        notifications, ana = self._sources.notifications, user_id(DEMO_USERNAME)
        await notifications.mark_read(ana, up_to_seq=(await notifications.range_of(ana)).newest)
        question = PlannedComment("ana", "What exposure time?", timedelta())
        asked = await self._comment("news:0", post_ids[SKY], question, self._now - timedelta(seconds=150))
        praise = PlannedComment("chloe", "Printed it. It hangs above the stove now!", timedelta())
        await self._comment("news:1", post_ids[DOTS], praise, self._now - timedelta(seconds=120))
        await self._sources.comment_likes.like(asked.id, user_id("ben"), clock.now())
        await self.drain()
        await notifications.mark_seen(ana, (await notifications.range_of(ana)).newest)
        answer = PlannedComment("emi", "@ana four seconds, and no breathing.", timedelta())
        await self._comment("news:2", post_ids[SKY], answer, self._now - timedelta(seconds=40), asked)
        for name in ("greta", "hugo"):
            await self._sources.post_likes.like(post_ids[DOTS], user_id(name), clock.now())
        await self._sources.follows.follow(user_id("hugo"), ana, is_private=False, now=clock.now())
        for follower, followee in NOT_YET_ACCEPTED:
            await self._sources.follows.follow(user_id(follower), user_id(followee), is_private=True, now=clock.now())
        await self.drain()

    async def _comment(
        self,
        name: str,
        post_id: ObjectId,
        comment: PlannedComment,
        moment: datetime,
        parent: CommentRecord | None = None,
    ) -> CommentRecord:
        (post,) = await self._sources.posts.by_ids([post_id])
        if post is None:
            raise LookupError(f"the post {post_id} is gone")
        return await self._sources.commenting.add(
            post_id,
            user_id(comment.author),
            comment.text,
            clock.now(),
            new_id=new_id(post.author_id),
            created_at=moment,
            parent_id=None if parent is None else parent.id,
            mention_ids=[user_id(handle) for handle in mentions(comment.text) if handle in BY_NAME],
            idempotency=Idempotency.of(f"demo:comment:{name}", "demo", {}),
        )

    async def _like(self, likes: LikeStore, likers: Iterable[tuple[ObjectId, Sequence[str]]]) -> None:
        async def like(pair: tuple[ObjectId, str]) -> None:
            await likes.like(pair[0], user_id(pair[1]), clock.now())

        await run_all(CONCURRENCY, like, [(target_id, name) for target_id, names in likers for name in names])

    async def _pending_jobs(self) -> set[Job]:
        people = {"$in": [user_id(person.username) for person in PEOPLE]}
        jobs: set[Job] = set()
        for fact, field in _DONE_BY.items():
            pending = self._sources.database[fact.collection].find({"outbox": {"$exists": True}, field: people})
            async for document in pending:
                jobs.update(jobs_of(fact, document))
        return jobs


def _is_soon_done(jobs: set[Job]) -> bool:
    """Whether some of it ends soon: an upload without its file waits until it expires, and so does a cleaning up.

    What an image leaves behind when it becomes public is deleted once the private addresses given out have expired.
    """
    return any(job.task not in (Task.INGEST, Task.CLEAN_UP) for job in jobs)
