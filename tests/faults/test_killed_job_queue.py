"""SNS and SQS killed during writes, with all their messages: they only wake workers, so nothing is lost."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from config import Settings
from datasources.jobs.opening import prepare_job_queue
from tests.support.actions import Progress, carry_out, random_actions, writers
from tests.support.amazon import Amazon, running_amazon
from tests.support.auditing import audit
from tests.support.factories import opened
from tests.support.outcomes import count_doubled, count_lost, expected_outcomes, stored_outcomes
from tests.support.stack import stack_on

PATIENCE = 240.0


@pytest.fixture
def own_amazon(tmp_path: Path) -> Iterator[Amazon]:
    """SNS and SQS of the test's own, which it may kill."""
    with running_amazon(tmp_path) as amazon:
        yield amazon


async def test_a_killed_job_queue_loses_nothing_that_was_acknowledged(
    settings: Settings,
    own_amazon: Amazon,
    tmp_path: Path,
    rng: Random,
    full_size: bool,
    record_property: Callable[[str, object], None],
) -> None:
    size, away = (1_000, 15.0) if full_size else (120, 2.0)
    settings, progress = own_amazon.settings(settings), Progress()
    with stack_on(settings, tmp_path) as stack:
        async with opened(settings) as world, writers(settings) as writing:
            users = await world.users(size // 40 + 5)
            await world.open_feeds(*users)
            posts = [await world.post(user) for user in users]
            actions = random_actions(rng, users, posts, size)
            workers = await stack.workers()

            async def kill_queue() -> None:
                await progress.wait_for(rng.randrange(1, size // 2))
                own_amazon.kill()
                await asyncio.sleep(away)
                await own_amazon.start()
                await prepare_job_queue(settings)

            await asyncio.gather(kill_queue(), carry_out(writing, actions, progress))
            returned = time.monotonic()
            await audit(world, seconds=PATIENCE, has_files=False)
            stored, expected = await stored_outcomes(world), await expected_outcomes(world, actions, posts)
            record_property("acknowledged", len(progress.acknowledged))
            record_property("lost", count_lost(stored, expected))
            record_property("doubled", count_doubled(stored, expected))
            record_property("correct_after_seconds", f"{time.monotonic() - returned:.1f}")
            assert stored == expected
            assert workers.exit_code is None, workers.why_it_ended()
            log = workers.log.read_bytes()
            assert b"worker.queue_unreachable" in log
            assert b'"level": "error"' not in log
