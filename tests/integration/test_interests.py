"""Interests, computed from a viewer's own activity: what counts, and when they are computed again; visits."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from datasources.concurrency.background_writes import BackgroundWrites
from datasources.feed.interests import FRESH, USABLE
from domain.ids import to_global_id
from domain.interests import WEIGHTS, ActKind, Interest
from domain.jobs import Fact, Job, Task
from domain.records.users import UserRecord
from tests.support.factories import World, now
from tests.support.waiting import eventually
from workers.maintenance.repair import repair
from workers.maintenance.verify import verify
from workers.maintenance.walk import Walk
from workers.runtime.drain import pending_jobs


async def interests(world: World, viewer: UserRecord) -> dict[ObjectId, Interest]:
    """A viewer's interests as of now, by author."""
    return {
        interest.author_id: interest for interest in (await world.sources.interests.compute(viewer.id, now())).authors
    }


async def counts(world: World, viewer: UserRecord, author: UserRecord) -> tuple[int, int, int]:
    interest = (await interests(world, viewer)).get(author.id)
    return (0, 0, 0) if interest is None else (interest.likes, interest.comments, interest.visits)


async def test_likes_comments_and_visits_of_an_author_count(world: World) -> None:
    me, ana, bob = await world.users(3)
    post, bobs_post = await world.post(ana), await world.post(bob)
    await world.sources.post_likes.like(post.id, me.id, now())
    await world.comment(post, me)
    await world.sources.visits.add(me.id, ana.id, now())
    bobs_comment = await world.comment(bobs_post, bob)
    await world.sources.comment_likes.like(bobs_comment.id, me.id, now())
    found = await interests(world, me)
    assert set(found) == {ana.id, bob.id}
    assert (found[ana.id].likes, found[ana.id].comments, found[ana.id].visits) == (1, 1, 1)
    expected = WEIGHTS[ActKind.LIKE] + WEIGHTS[ActKind.COMMENT] + WEIGHTS[ActKind.VISIT]
    assert found[ana.id].strength == pytest.approx(expected, rel=1e-3)
    assert found[bob.id].strength == pytest.approx(WEIGHTS[ActKind.COMMENT_LIKE], rel=1e-3)


async def test_undone_activity_does_not_count(world: World) -> None:
    me, ana = await world.users(2)
    post = await world.post(ana)
    await world.sources.post_likes.like(post.id, me.id, now())
    comment = await world.comment(post, me)
    assert await counts(world, me, ana) == (1, 1, 0)
    await world.sources.post_likes.unlike(post.id, me.id, now())
    assert await counts(world, me, ana) == (0, 1, 0)
    await world.sources.comments.delete(comment.id, now(), by=me.id)
    assert await counts(world, me, ana) == (0, 0, 0)


async def test_likes_of_own_posts_and_acts_of_others_are_no_interests(world: World) -> None:
    me, ana = await world.users(2)
    mine, hers = await world.post(me), await world.post(ana)
    await world.sources.post_likes.like(mine.id, me.id, now())
    await world.sources.post_likes.like(mine.id, ana.id, now())
    await world.comment(hers, ana)
    assert await interests(world, me) == {}


@pytest.mark.parametrize("way", ["block", "blocked", "mute"])
async def test_blocked_and_muted_authors_are_no_interests(world: World, way: str) -> None:
    me, ana = await world.users(2)
    await world.sources.post_likes.like((await world.post(ana)).id, me.id, now())
    await world.sources.visits.add(me.id, ana.id, now())
    sources = world.sources
    if way == "mute":
        await sources.mutes.mute(me.id, ana.id)
    else:
        blocker, blocked = (me, ana) if way == "block" else (ana, me)
        await sources.blocks.block(blocker.id, blocked.id, now=now())
    assert await interests(world, me) == {}


async def test_interests_are_computed_at_the_first_read_and_again_once_they_are_not_fresh(world: World) -> None:
    me, ana = await world.users(2)
    store, then = world.sources.interests, now()
    assert (await store.get_or_compute(me.id, then)).authors == []
    await world.sources.post_likes.like((await world.post(ana)).id, me.id, now())
    assert (await store.get_or_compute(me.id, then)).authors == []
    computing = Job(Task.COMPUTE_INTERESTS, Fact.INTEREST, str(me.id))
    assert computing not in await pending_jobs(world.tools)
    assert (await store.get_or_compute(me.id, then + FRESH * 2)).authors == []
    assert computing in await pending_jobs(world.tools)
    await world.drain()
    assert computing not in await pending_jobs(world.tools)
    (interest,) = (await store.get_or_compute(me.id, then)).authors
    assert (interest.author_id, interest.likes) == (ana.id, 1)


async def test_old_interests_are_not_used(world: World) -> None:
    me, ana = await world.users(2)
    await world.sources.interests.compute(me.id, now())
    await world.sources.post_likes.like((await world.post(ana)).id, me.id, now())
    later = now() + USABLE + timedelta(minutes=1)
    assert [
        interest.author_id for interest in (await world.sources.interests.get_or_compute(me.id, later)).authors
    ] == [ana.id]


async def test_computing_interests_twice_at_once_leaves_one_document_and_nothing_pending(world: World) -> None:
    me, ana = await world.users(2)
    await world.sources.post_likes.like((await world.post(ana)).id, me.id, now())
    await asyncio.gather(*(world.sources.interests.compute(me.id, now()) for _ in range(8)))
    documents = await world.sources.database["interests"].find({"_id": me.id}).to_list()
    assert [author["author_id"] for author in documents[0]["authors"]] == [ana.id]
    assert "outbox" not in documents[0]


async def test_a_stored_interest_halves_in_thirty_days(world: World) -> None:
    me, ana = await world.users(2)
    await world.sources.post_likes.like((await world.post(ana)).id, me.id, now())
    computed = await world.sources.interests.compute(me.id, now())
    then = computed.made_at
    assert computed.strengths(then + timedelta(days=30))[ana.id] == pytest.approx(computed.strengths(then)[ana.id] / 2)


async def test_reading_likes_uses_an_index_and_examines_no_more_than_it_returns(world: World) -> None:
    me, ana = await world.users(2)
    for _ in range(5):
        await world.sources.post_likes.like((await world.post(ana)).id, me.id, now())
        await world.sources.post_likes.like((await world.post(ana)).id, ana.id, now())
    explain = {
        "find": "post_likes",
        "filter": {"user_id": me.id, "liked": True},
        "sort": {"_id": -1},
        "limit": 3,
        "hint": "user_id_1__id_-1",
    }
    stats = (await world.sources.database.command("explain", explain, verbosity="executionStats"))["executionStats"]
    assert (stats["totalKeysExamined"], stats["totalDocsExamined"]) == (3, 3)


async def test_verify_finds_wrong_interests_and_repair_computes_them_again(world: World) -> None:
    me, ana = await world.users(2)
    await world.sources.post_likes.like((await world.post(ana)).id, me.id, now())
    await world.drain()
    right = (await world.sources.interests.compute(me.id, now())).authors
    assert (await found_by_verify(world)) == []
    stored, spoiled = world.sources.database["interests"], {"$set": {"authors.0.strength": 99.0}}
    await stored.update_one({"_id": me.id}, spoiled)
    assert (await found_by_verify(world)) == [str(me.id)]
    await repair(world.tools, Walk(sources=world.sources))
    assert (await found_by_verify(world)) == []
    repaired = (await world.sources.interests.get_or_compute(me.id, now())).authors
    assert repaired[0].strength == pytest.approx(right[0].strength, rel=1e-3)  # it decays while the test runs


async def test_verify_accepts_interests_older_than_the_latest_activity(world: World) -> None:
    me, ana = await world.users(2)
    await world.sources.interests.compute(me.id, now())
    await world.sources.post_likes.like((await world.post(ana)).id, me.id, now())
    assert (await found_by_verify(world)) == []


async def found_by_verify(world: World) -> list[str]:
    report = await verify(Walk(sources=world.sources))
    return [finding.id for finding in report.findings if finding.kind == "interests"]


USER = "query ($username: String!) { user(username: $username) { id } }"
NODE = "query ($id: ID!) { node(id: $id) { id } }"
NODES = "query ($id: ID!) { nodes(ids: [$id]) { id } }"


async def visits(world: World, visitor: UserRecord) -> list[ObjectId]:
    return [act.author_id for act in await world.sources.visits.latest(visitor.id, 100)]


async def test_a_profile_visit_is_stored_once_a_day(world: World) -> None:
    me, ana, bob = await world.users(3)
    for _ in range(3):
        await world.execute(USER, me, username=ana.username)
    await world.execute(NODE, me, id=to_global_id("User", bob.id))

    async def both() -> bool:
        return set(await visits(world, me)) == {ana.id, bob.id}

    await eventually(both)
    await world.sources.visits.add(me.id, ana.id, now())
    assert sorted(await visits(world, me)) == sorted([ana.id, bob.id])
    await world.sources.visits.add(me.id, ana.id, now() - timedelta(days=1))
    assert (await visits(world, me)).count(ana.id) == 2


async def test_a_process_writes_a_visit_once_a_day(world: World) -> None:
    me, ana, *others = await world.users(5)
    today = now()

    async def note(marker: UserRecord, moment: datetime) -> list[ObjectId]:
        """Whom I have visited after this; visits are written in order, so the marker is the last one."""
        await world.sources.database["profile_visits"].delete_many({"_id.o": ana.id})
        world.sources.visits.note(me.id, ana.id, moment)
        world.sources.visits.note(me.id, marker.id, moment)

        async def is_marked() -> bool:
            return marker.id in await visits(world, me)

        await eventually(is_marked)
        return await visits(world, me)

    assert ana.id in await note(others[0], today)
    assert ana.id not in await note(others[1], today)
    assert ana.id in await note(others[2], today + timedelta(days=1))


async def test_own_and_hidden_profiles_and_batches_are_no_visits(world: World) -> None:
    me, ana, wall = await world.users(3)
    await world.sources.blocks.block(wall.id, me.id, now=now())
    await world.execute(USER, me, username=me.username)
    await world.execute(USER, me, username=wall.username)
    await world.execute(USER, None, username=ana.username)
    await world.execute(NODES, me, id=to_global_id("User", ana.id))
    await world.execute(USER, me, username=ana.username)  # visits are written in order, so no other one comes after it

    async def seen() -> list[ObjectId]:
        return await visits(world, me)

    assert await eventually(seen) == [ana.id]


async def test_visits_expire_after_ninety_days(world: World) -> None:
    indexes = await world.sources.database["profile_visits"].index_information()
    assert indexes["at_1"]["expireAfterSeconds"] == 90 * 86400


async def test_a_background_write_that_fails_or_hangs_does_not_stop_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("datasources.concurrency.background_writes.SECONDS", 0.05)
    monkeypatch.setattr("datasources.concurrency.background_writes.MAX_WAITING", 2)
    background, done = BackgroundWrites(), asyncio.Event()

    async def fails() -> None:
        raise ValueError("no")

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def works() -> None:
        done.set()

    assert background.offer(fails)
    assert background.offer(hangs)
    assert not background.offer(works), "a full queue takes nothing"
    running = asyncio.create_task(background.run())
    try:

        async def taken() -> bool:
            return background.offer(works)

        await eventually(taken)
        await asyncio.wait_for(done.wait(), 20)
    finally:
        running.cancel()
        (ended,) = await asyncio.gather(running, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError)


async def test_a_profile_is_shown_even_if_the_visit_cannot_be_queued(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    me, ana = await world.users(2)
    refused: list[Any] = []

    def refuse(write: Any) -> bool:
        refused.append(write)
        return False

    monkeypatch.setattr(world.sources.background_writes, "offer", refuse)
    result = await world.execute(USER, me, username=ana.username)
    assert result.errors is None
    assert len(refused) == 1
