"""The product in this process beside its model: every action goes to both, and both must show the same."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any

from bson import ObjectId
from graphql import ExecutionResult, execute

from datasources.jobs.queue import MESSAGE_LEASE
from datasources.jobs.redis_queue import RedisConsumer
from datasources.moderation.deciding import Ruling
from datasources.mongo.client import Document
from domain.ids import from_global_id, to_global_id
from domain.image_formats import SourceFormat
from domain.jobs import Fact, Job, Task
from domain.records.moderation import ModerationAction, ReportTargetType, Target
from domain.records.notifications import NotificationRecord
from domain.records.users import UserRecord
from resolvers.api import schema
from schema.context import Context
from tests.faults.state_machine.documents import (
    COMMENT,
    HASHTAG,
    NOTIFICATIONS,
    PAGES,
    PERSON,
    POST,
    flat,
    parsed,
    plain_notification,
)
from tests.faults.state_machine.expected import Expected
from tests.faults.state_machine.model import EITHER, NOT_FOUND, Model, Subject, Thing
from tests.support.auditing import audit
from tests.support.emptying import empty
from tests.support.factories import World, image, now, session_of
from workers.registry import HANDLERS
from workers.runtime.drain import drain, pending_jobs
from workers.runtime.handler import RetryLater
from workers.runtime.outbox_relay import relay_due

PEOPLE = ("ana", "bob", "cat")  # few, so that they often meet
LATER = timedelta(hours=1)
LONG = timedelta(days=3)  # what `relay` does not reach


class Stage:
    """A few people in a world of their own. `jobs` are all that ever existed, so that they can be delivered again."""

    def __init__(self, world: World, figures: Counter[str]) -> None:
        self.world = world
        self.figures = figures
        self.model = Model(PEOPLE)
        self.jobs: dict[Job, None] = {}
        self._users: dict[str, UserRecord] = {}
        self._collections: dict[str, str] = {}

    async def begin(self) -> None:
        """Empties the world and registers the people."""
        self.figures["examples"] += 1
        await empty(self.world)
        for name in PEOPLE:
            register = self.world.sources.users.register
            user = self._users[name] = await register(name, f"{name}@example.com", "no hash", name.title(), now())
            made = await self.world.sources.saved.collections.create(user.id, {"name": "light"}, now(), None)
            self._collections[name] = to_global_id("Collection", made.id)

    async def act(self, viewer: str, mutation: str, answer: str, verdict: str | None, **given: Any) -> Any:
        """Sends a mutation, which the product must judge as the model did. Returns the payload if it was done."""
        name = mutation[0].upper() + mutation[1:]
        payload = (
            await self._execute(
                f"mutation ($given: {name}Input!) {{ {mutation}(input: $given) {{ {answer} userErrors {{ code }} }} }}",
                viewer,
                given=given,
            )
        )[mutation]
        codes = [error["code"] for error in payload["userErrors"]] or [None]
        assert len(codes) == 1
        assert codes[0] in ((None, NOT_FOUND) if verdict == EITHER else (verdict,)), f"{mutation} by {viewer}"
        self.model.note_change()
        self.figures["refused" if verdict else "done"] += 1
        return None if verdict else flat(payload)

    async def act_on_person(self, viewer: str, mutation: str, verdict: str | None, other: str) -> None:
        """Sends a mutation about two people. Its answer must show the other person as they are now."""
        payload = await self.act(viewer, mutation, f"user {{ {PERSON} }}", verdict, userId=self.id_of(other))
        if payload is not None:
            assert payload["user"] == self.answer_to(viewer).person(other)

    async def act_on_post(self, viewer: str, mutation: str, verdict: str | None, post: Thing, **given: Any) -> None:
        """Sends a mutation whose answer must show a post as it is now."""
        payload = await self.act(viewer, mutation, f"post {{ {POST} }}", verdict, **given)
        if payload is not None:
            assert payload["post"] == self.answer_to(viewer).post(post)

    async def save(self, viewer: str, verdict: str | None, post: Thing, *, collects: bool) -> None:
        """Saves a post, in the viewer's collection or in none."""
        ids = [self._collections[viewer]] if collects else []
        await self.act_on_post(viewer, "savePost", verdict, post, postId=post.id, collectionIds=ids)

    async def act_on_comment(self, viewer: str, mutation: str, verdict: str | None, comment: Thing) -> None:
        """Sends a mutation whose answer must show a comment as it is now."""
        payload = await self.act(viewer, mutation, f"comment {{ {COMMENT} }}", verdict, commentId=comment.id)
        if payload is not None:
            assert payload["comment"] == self.answer_to(viewer).thing(comment)

    async def comment(self, viewer: str, post: Thing, parent: Thing | None, mentioned: str | None) -> Thing | None:
        """Adds a comment or reply, unless it must be refused. The answer must count it already."""
        verdict = self.model.may_comment(viewer, post, parent)
        given = {"postId": post.id, "text": f"hello @{mentioned}" if mentioned else "hello"}
        if parent is not None:
            given["parentId"] = parent.id
        answer = f"commentEdge {{ node {{ id }} }} post {{ {POST} }}"
        payload = await self.act(viewer, "addComment", answer, verdict, **given)
        if payload is None:
            return None
        comment = self.model.comment(viewer, payload["commentEdge"]["node"], post, parent, mentioned)
        assert payload["post"] == self.answer_to(viewer).post(post)
        return comment

    async def change_privacy(self, viewer: str, verdict: str | None, *, private: bool) -> None:
        """Makes an account private or public.

        Accepts the requests at once: until that is done, declining them or going private again would come first.
        """
        payload = await self.act(viewer, "updateProfile", "user { username isPrivate }", verdict, isPrivate=private)
        if payload is None:
            return
        assert payload["user"] == {"username": viewer, "isPrivate": private}
        await self.run([Job(Task.ACCEPT_REQUESTS, Fact.USER, str(self._users[viewer].id))])

    async def leave(self, name: str) -> None:
        """Deactivates an account, however lately it was deactivated before."""
        user_id, sources = self._users[name].id, self.world.sources
        await sources.database["users"].update_one({"_id": user_id}, {"$unset": {"deactivated_at": ""}})
        await sources.account.deactivation.deactivate(user_id, now(), session_id=ObjectId())
        self.model.away.add(name)
        self.model.note_listing()

    async def come_back(self, *names: str) -> None:
        """Brings back those of these who are away, as a login does. One who is suspended stays away."""
        back = self.model.away.intersection(names) - self.model.restricted
        for name in back:
            await self.world.sources.account.deactivation.reactivate(self._users[name].id, now())
        self.model.away -= back
        self.model.note_listing()

    async def post(self, author: str, caption: str) -> str:
        """Makes a READY post of an upload whose file needs no rendering. Returns its id."""
        sources, author_id = self.world.sources, self._users[author].id
        upload = await sources.uploads.announce(author_id, SourceFormat.JPEG, 9, "no hash", now())
        rendered = image(upload.id)
        del rendered.renditions[1:]
        await sources.blobs.put_media(rendered.renditions[0].key, b"a picture", "image/jpeg")
        await sources.uploads.record_image(upload.id, rendered)
        images = [{"uploadId": to_global_id("MediaUpload", upload.id)}]
        payload = await self.act(
            author, "createPost", "post { id status }", None, images=images, caption=f"{caption} #{HASHTAG}"
        )
        post_id = str(payload["post"]["id"])
        await self.run([Job(Task.COMPLETE_POST, Fact.POST, str(from_global_id(post_id)[1]))])
        return post_id

    async def follow_hashtag(self, viewer: str, verdict: str | None, *, follows: bool) -> None:
        """Follows the hashtag that every post has, or not any more."""
        mutation = "followHashtag" if follows else "unfollowHashtag"
        payload = await self.act(viewer, mutation, "hashtag { viewerIsFollowing }", verdict, name=HASHTAG)
        assert verdict or payload["hashtag"]["viewerIsFollowing"] is follows

    async def moderate(self, thing: Thing, action: ModerationAction) -> None:
        """Decides about a post or a comment as an operator does, after the model."""
        kind = ReportTargetType.POST if thing.post is None else ReportTargetType.COMMENT
        target = Target(id=from_global_id(thing.id)[1], type=kind, subject_id=self._users[thing.author].id)
        await self._decide(Ruling(target=target, action=action, statement="!"))

    async def judge(self, name: str, action: ModerationAction) -> None:
        """Decides about a person as an operator does, after the model."""
        user_id = self._users[name].id
        target = Target(id=user_id, type=ReportTargetType.USER, subject_id=user_id)
        until = now() + LONG if action is ModerationAction.SUSPEND else None
        await self._decide(Ruling(target=target, action=action, statement="!", until=until))
        self._users[name] = await self.world.stored_user(user_id)

    async def end_suspensions(self) -> None:
        """Ends every suspension by itself, as if its time had come, after the model."""
        decisions, sources = self.world.sources.database["decisions"], self.world.sources
        timed = {"action": ModerationAction.SUSPEND.value, "ends_at": {"$exists": True}}
        await decisions.update_many(timed, {"$set": {"ends_at": now() - LATER}})
        await sources.moderation.decisions.enqueue_due(now(), 1_000)
        due = await decisions.find({"outbox": Task.END_DECISION.value}, {"_id": 1}).to_list()
        await self.run([Job(Task.END_DECISION, Fact.DECISION, str(row["_id"])) for row in due])
        self.model.note_change()
        for name, user in self._users.items():
            self._users[name] = await self.world.stored_user(user.id)

    async def _decide(self, ruling: Ruling) -> None:
        await self.world.sources.moderation.deciding.decide(ruling, now())
        self.model.note_change()
        self.figures["moderated"] += 1

    async def run(self, jobs: Iterable[Job], *, at_once: bool = False) -> None:
        """Runs these jobs, also those that are done already, one after the other or concurrently."""
        jobs = list(jobs)
        self.jobs.update(dict.fromkeys(jobs))
        calls = [self._run(job.kind, job.key) for job in jobs]
        if at_once:
            await asyncio.gather(*calls)
        else:
            for call in calls:
                await call

    async def repeat(self, picks: Sequence[int], *, at_once: bool) -> None:
        """Runs some of all jobs that ever existed, in any order and any number of times."""
        self.jobs.update(dict.fromkeys(sorted(await pending_jobs(self.world.tools))))
        jobs = list(self.jobs)
        await self.run([jobs[pick % len(jobs)] for pick in picks if jobs], at_once=at_once)

    async def work(self, worker: str) -> None:
        """Runs the jobs in one worker's stream, which may be stale and repeated."""
        sources = self.world.sources
        queue = RedisConsumer(sources.redis.queue, sources.settings.key_prefix, worker, "tested", MESSAGE_LEASE)
        messages = await queue.read(1_000, 0.001) or await queue.read(1_000, 0.001)  # the first read made the group
        jobs = sorted({message.job for message in messages if message.job is not None})
        self.jobs.update(dict.fromkeys(jobs))
        await self._call(jobs)
        await queue.acknowledge([message.id for message in messages])

    async def relay(self) -> None:
        """Runs the outbox relay with a clock that is an hour ahead."""
        await relay_due(self.world.sources, now() + LATER)

    async def drain(self) -> None:
        """Runs all pending jobs and lets the addresses for files expire. After that, everything shown is exact."""
        self.jobs.update(dict.fromkeys(sorted(await pending_jobs(self.world.tools))))
        await drain(self.world.tools)
        expired = {"$set": {"clean_up_at": now()}}
        await self.world.sources.database["uploads"].update_many({"clean_up_at": {"$gt": now()}}, expired)
        assert await drain(self.world.tools) == set()
        self.model.apply()

    async def finish(self) -> None:
        """At the end everybody is shown what the model says, and `verify` finds nothing.

        Checks feeds as they are, when everybody is back or restored, and when all are live. Then every job that ever
        existed comes again, as from a Redis with older data, and must change nothing.
        """
        await self.drain()
        for viewer in set(PEOPLE) - self.model.away:
            await self.check_pages(viewer)
            await self.check_notifications(viewer)
        for name in sorted(self.model.restricted):
            self.model.suspended.discard(name)
            self.model.banned.discard(name)
            await self.judge(name, ModerationAction.RESTORE)
        await self.come_back(*PEOPLE)
        await self.drain()
        for viewer in PEOPLE:
            await self.check_pages(viewer)
            await self.check_notifications(viewer)
        await self.drain()
        await self._call(self.jobs)
        for viewer in PEOPLE:
            await self.check_pages(viewer)
            await self.check_notifications(viewer)
        await audit(self.world, seconds=0)

    async def check_pages(self, viewer: str) -> None:
        """Compares everything that one person is shown, except notifications. Jobs may be pending."""
        model, expected = self.model, Expected(self.model, viewer)
        shown = await self._execute(
            PAGES,
            viewer,
            people=[self.id_of(name) for name in PEOPLE],
            posts=[post.id for post in model.posts],
            comments=[comment.id for comment in model.comments],
        )
        assert flat(shown) == {
            "people": [expected.profile(name) for name in PEOPLE],
            "posts": [expected.post_page(post) for post in model.posts],
            "comments": [expected.comment_page(comment) for comment in model.comments],
            "feed": expected.feed(),
            "hashtag": expected.hashtag(),
            "viewer": {
                "followRequests": expected.requests(),
                "savedPosts": expected.saved(model.saved[viewer]),
                "collections": [expected.collection()],
            },
        }, f"what {viewer} sees"

    async def check_notifications(self, viewer: str) -> None:
        """Compares the notifications of one person, when nothing is pending."""
        page = (await self._execute(NOTIFICATIONS, viewer))["notifications"]
        assert not page["pageInfo"]["hasNextPage"], "more than one page of notifications"
        nodes = [edge["node"] for edge in page["edges"]]
        records = await self.world.sources.notifications.by_ids([from_global_id(node["id"])[1] for node in nodes])
        subjects = [self._subject(record) for record in records if record is not None]
        assert len(set(subjects)) == len(nodes), f"{viewer} is notified twice of something"
        notified = dict(zip(subjects, map(plain_notification, nodes), strict=True))
        standing = Expected(self.model, viewer).notifications()
        expected = {subject: each for subject, each in standing.items() if each.pop("is_sure") or subject in notified}
        assert notified == expected, f"what {viewer} is notified of"

    def answer_to(self, viewer: str) -> Expected:
        """What the answer to a viewer's mutation should show."""
        return Expected(self.model, viewer, in_answer=True)

    def id_of(self, name: str) -> str:
        """A person's global id."""
        return to_global_id("User", self._users[name].id)

    async def _execute(self, document: str, viewer: str, **variables: Any) -> Document:
        executing = execute(
            schema._schema,
            parsed(document),
            context_value=Context(self.world.sources, session_of(self._users[viewer]), "test"),
            variable_values=variables,
            executor_class=schema.execution_context_class,
        )
        result = executing if isinstance(executing, ExecutionResult) else await executing
        assert result.errors is None
        assert result.data is not None
        return result.data

    async def _call(self, jobs: Iterable[Job]) -> None:
        """Calls the handlers as a worker does: with many keys at once where they can take them."""
        for kind, group in groupby(sorted(jobs), key=lambda job: job.kind):
            keys = [job.key for job in group]
            for batch in [keys] if HANDLERS[kind].spec.batch > 1 else [[key] for key in keys]:
                await self._run(kind, *batch)

    async def _run(self, kind: tuple[Task, Fact], *keys: str) -> None:
        with contextlib.suppress(RetryLater):
            self.figures["calls"] += 1
            await HANDLERS[kind].run(self.world.tools, *keys)

    def _subject(self, record: NotificationRecord) -> Subject:
        names = {user.id: name for name, user in self._users.items()}
        about: tuple[str, ObjectId | None] = (
            ("Comment", record.comment_id) if record.comment_id else ("Post", record.post_id)
        )
        subject = names[record.actor_ids[0]] if about[1] is None else to_global_id(about[0], about[1])
        return (names[record.recipient_id], record.kind.value, subject)
