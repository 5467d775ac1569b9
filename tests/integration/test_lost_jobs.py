"""Jobs whose worker was lost during its work: the loss is counted, and uncounted if the worker is still alive."""

import asyncio
import time
from typing import Any

import pytest

from domain.jobs import Fact, Job, Task
from tests.support.factories import World, now
from tests.support.handlers import ATTEMPTS
from tests.support.pictures import quarters, saved
from workers.rendering.pool import RenderingUnavailable, RenderPool
from workers.runtime.freeze_detector import FREEZE_SECONDS


async def _letter(world: World, job: Job) -> Any:
    return await world.sources.database["failures"].find_one({"_id.key": job.key})


async def test_a_job_whose_worker_lives_is_no_dead_letter_and_is_enqueued_again(world: World) -> None:
    ana, fan = await world.users(2)
    post = await world.post(ana)
    await world.drain()
    await world.sources.post_likes.like(post.id, fan.id, now())
    job, letters, likes = Job(Task.COUNT, Fact.POST_LIKE, str(post.id)), world.sources.dead_letters, "post_likes"
    for n in range(ATTEMPTS):
        for _ in range(2):  # counting twice counts once
            letter = await letters.count_loss(job, f"consumer {n}", now())
    assert (letter.attempts, letter.dead) == (ATTEMPTS, True)
    like: Any = await world.sources.database[likes].find_one({"target_id": post.id})
    assert like["dead_lettered"] == ["count"]
    for _ in range(2):
        await letters.uncount_loss("consumer 3", now())
    stored = await _letter(world, job)
    assert (stored["attempts"], stored["dead"], len(stored["lost_by"])) == (ATTEMPTS - 1, False, ATTEMPTS - 1)
    like = await world.sources.database[likes].find_one({"target_id": post.id})
    assert "dead_lettered" not in like
    assert like["due_at"] <= now()
    for n in range(ATTEMPTS):
        await letters.uncount_loss(f"consumer {n}", now(), job)
    assert await _letter(world, job) is None


async def test_other_failures_still_count(world: World) -> None:
    job, letters = Job(Task.CLEAN_UP, Fact.UPLOAD, "6b0b485296292d6c111c96d9"), world.sources.dead_letters
    await letters.count_failure(job, "an error", now())
    await letters.count_loss(job, "consumer", now())
    await letters.uncount_loss("consumer", now(), job)
    assert (await _letter(world, job))["attempts"] == 1
    await letters.clear_failures(job)


async def test_an_image_during_which_the_worker_froze_is_not_blamed() -> None:
    async with RenderPool(1, 1.0, 1024) as pool:
        rendering = asyncio.create_task(pool.render(saved(quarters((2000, 1500)), "JPEG")))
        while pool._idle.qsize():
            await asyncio.sleep(0)
        time.sleep(FREEZE_SECONDS * 1.5)  # as if this process were stopped
        with pytest.raises(RenderingUnavailable):
            await rendering
