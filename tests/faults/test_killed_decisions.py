"""Processes killed during decisions of moderators, and when these end: each is there as a whole, or not at all."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from random import Random

import httpx2
from bson import ObjectId

from datasources.moderation.deciding import Ruling
from datasources.mongo.client import Session
from domain.ids import to_global_id
from domain.jobs import WORKERS
from domain.records.moderation import ModerationAction, ReportReason, ReportTargetType, Target
from domain.records.posts import PostStatus
from domain.records.users import AccountStanding, Role, UserRecord, UserState
from tests.faults.test_killed_api import answer, log_in, retry
from tests.support.auditing import audit, store_files
from tests.support.client import Person
from tests.support.crashing import dies_before_write
from tests.support.factories import World, now
from tests.support.stack import Stack
from tests.support.uploads import insert_upload
from tests.support.waiting import eventually
from workers.maintenance.verify import verify
from workers.maintenance.walk import Walk, in_snapshot

PATIENCE = 120.0
LONGEST_LIFE = 0.3  # seconds after the first suspension has ended
UNTIL = now() + timedelta(days=3)
NO_MEDIA = (*(name for name in WORKERS if name != "media"), "relay")  # posts are made READY without files
MAX_WRITES = 100  # more than a decision takes
ACTIONS = {
    ReportTargetType.USER: ModerationAction.SUSPEND,
    ReportTargetType.POST: ModerationAction.REMOVE,
    ReportTargetType.COMMENT: ModerationAction.HIDE,
}

Record = Callable[[str, object], None]


@dataclass(frozen=True)
class Reported:
    """Something with a report, for which a decision is due."""

    target: Target

    @property
    def action(self) -> ModerationAction:
        return ACTIONS[self.target.type]

    @property
    def until(self) -> datetime | None:
        return UNTIL if self.action is ModerationAction.SUSPEND else None

    def ruling(self, moderator: UserRecord) -> Ruling:
        return Ruling(
            target=self.target, action=self.action, moderator_id=moderator.id, statement="!", until=self.until
        )

    async def send(self, moderator: Person) -> str:
        """Sends the decision, any number of times; returns the id of its case."""
        given = {
            "targetId": to_global_id(self.target.type.value, self.target.id),
            "idempotencyKey": str(self.target.id),
        }
        until = {} if self.until is None else {"until": self.until.isoformat()}
        payload = await moderator.done(
            "moderate", "event { caseId }", action=self.action.value, statement="!", **given, **until
        )
        return str(payload["event"]["caseId"])

    async def parts(self, world: World) -> set[bool]:
        """Whether each part of the decision is there, all from one moment."""
        return await in_snapshot(world.sources, partial(self._parts, world))

    async def _parts(self, world: World, session: Session) -> set[bool]:
        database, target_id = world.sources.database, self.target.id
        collection = f"{self.target.type.value.lower()}s"
        about = await database[collection].find_one({"_id": target_id}, session=session) or {}
        log = await database["decisions"].count_documents({"target_id": target_id}, session=session)
        cases = await database["cases"].find({"target_id": target_id}, session=session).to_list()
        reports = await database["reports"].find({"target_id": target_id}, session=session).to_list()
        changed = {
            ReportTargetType.USER: about.get("state") == UserState.SUSPENDED.value,
            ReportTargetType.POST: about.get("status") == PostStatus.REMOVED.value,
            ReportTargetType.COMMENT: about.get("hidden") is True,
        }
        assert len(cases) == len(reports) == 1
        assert log <= 1
        closed = [case["status"] == "CLOSED" for case in cases] + ["expires_at" in report for report in reports]
        return {changed[self.target.type], log == 1, *closed}


async def reported(world: World) -> list[Reported]:
    """An account with a session, a post and a comment, each reported."""
    ana, bob, eve = await world.users(3)
    await world.sources.sessions.open(ana.id, None, now())
    post = await world.post(bob)
    await insert_upload(world, post.images[0], bob.id, post_id=post.id)
    await store_files(world, post)
    comment = await world.comment(post, eve)
    targets = [
        Target(id=ana.id, type=ReportTargetType.USER, subject_id=ana.id),
        Target(id=post.id, type=ReportTargetType.POST, subject_id=bob.id),
        Target(id=comment.id, type=ReportTargetType.COMMENT, subject_id=eve.id),
    ]
    for target in targets:
        reporter = await world.user()
        await world.sources.moderation.reports.report(reporter.id, target, ReportReason.SPAM, "", now())
    return [Reported(target) for target in targets]


async def moderator_of(world: World) -> UserRecord:
    user = await world.user()
    assert await world.sources.moderation.deciding.set_role(user.id, Role.MODERATOR, now())
    return user


async def test_a_decision_is_all_or_nothing_whichever_write_its_process_dies_before(world: World) -> None:
    moderator, seen = await moderator_of(world), Counter[bool]()
    for before in range(MAX_WRITES):
        due = await reported(world)
        await world.drain()
        decide = world.sources.moderation.deciding.decide
        died = [await dies_before_write(partial(decide, each.ruling(moderator), now()), before) for each in due]
        for each in due:
            (is_made,) = await each.parts(world)
            seen[is_made] += 1
        assert (await verify(Walk(sources=world.sources))).findings == []
        if not any(died):
            break
    assert seen[True] > len(ACTIONS)  # some died after the decision
    assert seen[False] > len(ACTIONS)
    await world.drain()
    await audit(world)


async def test_a_killed_api_decides_all_or_nothing_and_once(
    world: World, stack: Stack, rng: Random, full_size: bool, record_property: Record
) -> None:
    kills = 50 if full_size else 3
    _, api = await asyncio.gather(stack.workers(*NO_MEDIA), stack.api())
    moderator, moments, seconds = await moderator_of(world), Counter[str](), 0.1
    async with httpx2.AsyncClient(base_url=stack.url, timeout=20) as http:
        person = await log_in(world.sources, http, moderator)
        for _ in range(kills):
            due = await reported(world)
            sending = asyncio.gather(*(answer(partial(each.send, person)) for each in due))
            await asyncio.sleep(rng.uniform(0, seconds))
            api.kill()
            first = await sending
            for each, answered in zip(due, first, strict=True):
                (is_made,) = await each.parts(world)
                moments["answered" if answered else "made" if is_made else "not made"] += 1
                assert is_made or answered is None
            api = await stack.api()
            again = [await retry(partial(each.send, person)) for each in due]
            assert all(answered in (None, case) for answered, case in zip(first, again, strict=True))
            for each in due:
                assert await each.parts(world) == {True}
    await audit(world, seconds=PATIENCE)
    record_property("moments", dict(moments))
    assert moments["made"] or not full_size, "no kill came between write and answer"


async def test_suspensions_end_once_however_often_the_worker_is_killed(
    world: World, stack: Stack, rng: Random, full_size: bool, record_property: Record
) -> None:
    kills, number = (15, 600) if full_size else (3, 30)
    users = await world.users(number)
    deciding, database = world.sources.moderation.deciding, world.sources.database
    for user in users:
        target = Target(id=user.id, type=ReportTargetType.USER, subject_id=user.id)
        until = now() + timedelta(days=1)
        await deciding.decide(Ruling(target=target, action=ModerationAction.SUSPEND, statement="!", until=until), now())
        await world.sources.sessions.open(user.id, None, now())
    await world.drain()
    during_work = 0
    for n in range(kills):
        due = [user.id for user in users[n::kills]]
        worker = await stack.workers()
        await database["decisions"].update_many({"subject_id": {"$in": due}}, {"$set": {"ends_at": now()}})
        await eventually(partial(count_ended, world, due), seconds=PATIENCE)
        await asyncio.sleep(rng.uniform(0, LONGEST_LIFE))
        worker.kill()
        during_work += await count_ended(world, due) < len(due)
    await stack.workers()

    async def have_ended() -> bool:
        return await count_ended(world, [user.id for user in users]) == number

    await eventually(have_ended, seconds=PATIENCE, every=0.2)
    await audit(world, seconds=PATIENCE)
    record_property("suspensions", number)
    record_property("kills_during_work", during_work)
    ends = await database["decisions"].find({"action": ModerationAction.EXPIRE.value}).to_list()
    assert Counter(end["subject_id"] for end in ends) == Counter(user.id for user in users)
    assert await database["sessions"].count_documents({}) == 0
    for user in users:
        stored = await world.stored_user(user.id)
        assert (stored.state, stored.standing) == (UserState.ACTIVE, AccountStanding.GOOD)


async def count_ended(world: World, user_ids: Sequence[ObjectId]) -> int:
    """How many of these accounts are in good standing."""
    good = {"_id": {"$in": list(user_ids)}, "standing": AccountStanding.GOOD.value}
    return await world.sources.database["users"].count_documents(good)
