"""`repair` repairs what `verify` finds, beside a working system, and lists what it cannot repair."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from datasources.mongo.sharded_ids import new_id
from domain.image_formats import SourceFormat
from domain.jobs import Fact, Job, Task
from tests.support.breaks import BREAKS
from tests.support.factories import World, now
from tests.support.handlers import ATTEMPTS
from tests.support.maintenance import Scene
from workers.maintenance.checks.counters import COUNTERS, correct_counter
from workers.maintenance.repair import Repaired, repair
from workers.maintenance.verify import verify
from workers.maintenance.walk import Walk
from workers.rendering.pool import RenderPool

BY_HAND = {"a file"}
LIKES = next(counter for counter in COUNTERS if counter.kind == "post.like_count")


async def run_repair(world: World) -> Repaired:
    return await repair(world.tools, Walk(sources=world.sources))


async def findings(world: World) -> list[Any]:
    return (await verify(Walk(sources=world.sources))).findings


@pytest.mark.parametrize("name", sorted(BREAKS.keys() - BY_HAND))
async def test_repair_repairs_every_finding_of_verify(own: World, name: str) -> None:
    scene = await Scene.applied(own)
    do_break, kinds = BREAKS[name]
    await do_break(own, scene)
    done = await run_repair(own)
    assert {finding.kind for finding in done.repaired} <= kinds
    assert done.repaired
    assert done.left == []
    assert await findings(own) == []
    again = await run_repair(own)
    assert (again.repaired, again.left) == ([], [])


async def test_a_finding_that_cannot_be_repaired_is_listed(own: World) -> None:
    scene = await Scene.applied(own)
    await BREAKS["a file"][0](own, scene)
    done = await run_repair(own)
    assert [finding.kind for finding in done.left] == ["post.images"]


async def test_repair_runs_pending_jobs(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    await own.sources.post_likes.like(post.id, bob.id, now())
    await run_repair(own)
    assert (await own.stored_post(post.id)).like_count == 1


async def test_uploads_that_wait_for_their_bytes_are_left_waiting(own: World) -> None:
    ana = await own.user()
    await own.sources.uploads.announce(ana.id, SourceFormat.PNG, 9, "x" * 44, now())
    async with RenderPool(1, 60, 1024) as pool:
        done = await repair(replace(own.tools, pool=pool), Walk(sources=own.sources))
    assert (done.waiting, done.left) == (1, [])


async def test_dead_letters_stay_dead_and_other_work_is_done(own: World) -> None:
    scene = await Scene.applied(own)
    await own.sources.post_likes.unlike(scene.post.id, scene.bob.id, now())
    job = Job(Task.COUNT, Fact.POST_LIKE, str(scene.post.id))
    for _ in range(ATTEMPTS):
        await own.sources.dead_letters.count_failure(job, "so it is", now())
    await run_repair(own)
    assert [letter.job async for letter in own.sources.dead_letters.all_dead()] == [job]
    assert (await own.stored_post(scene.post.id)).like_count == 1


async def test_work_that_fails_is_listed_and_does_not_stop_the_rest(own: World) -> None:
    scene = await Scene.applied(own)
    await own.sources.post_likes.unlike(scene.post.id, scene.bob.id, now())
    broken = {
        "_id": new_id(scene.ana.id),
        "author_id": scene.ana.id,
        "outbox": ["notify"],
        "due_at": now(),
        "enqueues": 0,
    }
    await own.sources.database["posts"].insert_one({**broken, "deleted": False})
    done = await run_repair(own)
    assert [finding.kind for finding in done.left] == ["post.unreadable", "unfinished"]
    assert done.left[1].id.split()[:2] == ["notify", "post"]
    assert (await own.stored_post(scene.post.id)).like_count == 0


async def test_a_counter_can_be_corrected_while_likes_come_and_are_counted(own: World) -> None:
    ana, *likers = await own.users(41)
    post = await own.post(ana)
    await own.drain()
    await own.sources.database["posts"].update_one({"_id": post.id}, {"$set": {"like_count": 1_000}})
    liking = asyncio.Event()

    async def like() -> None:
        for liker in likers:
            await own.sources.post_likes.like(post.id, liker.id, now())
        liking.set()

    async def keep(work: Any) -> None:
        while not liking.is_set():
            await work()

    await asyncio.gather(like(), keep(own.drain), keep(lambda: correct_counter(LIKES, own.sources, post.id)))
    await correct_counter(LIKES, own.sources, post.id)
    await own.drain()
    assert (await own.stored_post(post.id)).like_count == len(likers)
