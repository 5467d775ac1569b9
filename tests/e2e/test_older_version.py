"""An older version beside this one, on the same servers, while clients change between both: `make test-upgrade`."""

import asyncio
import os
import sys
from pathlib import Path

import httpx2
import pytest

from config import Settings
from deploy.local.environment import child_environment
from deploy.local.ports import LOOPBACK, reserve_port
from deploy.local.process import Process, stop_all
from tests.support.auditing import wait_until_drained
from tests.support.client import Person
from tests.support.factories import opened, with_own_buckets
from tests.support.own_databases import new_database
from tests.support.stack import ROOT, START_SECONDS
from tests.support.waiting import eventually
from workers.maintenance.repair import repair
from workers.maintenance.verify import verify
from workers.maintenance.walk import Walk

OLDER = os.environ.get("PHOTOGRAM_TEST_OLDER")
PEOPLE, POSTS, ACTS = 6, 6, 60
STOP_SECONDS = 30.0
FEED = "{ feed(first: 20) { edges { node { id caption likeCount author { username } } } } }"

pytestmark = pytest.mark.skipif(OLDER is None, reason="needs an older version: make test-upgrade OLDER=COMMIT")


class Sides:
    """An API and workers of each version."""

    def __init__(self, settings: Settings, logs: Path) -> None:
        self._settings, self._logs = settings, logs
        self.processes: list[Process] = []

    async def api(self, version: str, folder: Path) -> str:
        """Starts an API, waits until it is ready, and returns its address."""
        reserved = reserve_port()
        assert reserved is not None
        port = reserved.getsockname()[1]
        reserved.close()
        process = self._start(f"{version} API", folder, self._settings.model_copy(update={"port": port}), "serve")
        async with httpx2.AsyncClient(base_url=f"http://{LOOPBACK}:{port}") as client:

            async def is_ready() -> bool:
                assert process.exit_code is None, process.why_it_ended()
                try:
                    return (await client.get("/readyz")).is_success
                except httpx2.TransportError:
                    return False

            await eventually(is_ready, seconds=START_SECONDS)
        return f"http://{LOOPBACK}:{port}"

    def workers(self, version: str, folder: Path) -> None:
        self._start(f"{version} workers", folder, self._settings, "worker")

    def _start(self, name: str, folder: Path, settings: Settings, command: str) -> Process:
        argv = [sys.executable, "-m", "deploy.cli", command]
        log, env = self._logs / f"{name}.log", child_environment(settings)
        process = Process.start(name, argv, log=log, env=env, cwd=folder)
        self.processes.append(process)
        return process


async def prepare_as(folder: Path, settings: Settings) -> None:
    """Prepares the database as a version does, with indexes that a later one may not make any more."""
    argv = [sys.executable, "-m", "deploy.cli", "prepare"]
    process = await asyncio.create_subprocess_exec(*argv, cwd=folder, env=child_environment(settings))
    assert await process.wait() == 0


def with_session(person: Person, http: httpx2.AsyncClient) -> Person:
    """The same person, at another process."""
    other = Person(http, person.token)
    other.id, other.username, other.refresh_token = person.id, person.username, person.refresh_token
    return other


async def test_clients_change_between_two_versions_and_nothing_is_lost(
    shared_settings: Settings, tmp_path: Path
) -> None:
    with new_database(shared_settings, drain_notice=0.0, sharded_ids_since=None) as own:
        settings, older = with_own_buckets(own), Path(str(OLDER))
        await prepare_as(older, settings)
        async with opened(settings) as world:
            sides = Sides(settings, tmp_path)
            try:
                addresses = await asyncio.gather(sides.api("older", older), sides.api("newer", ROOT))
                sides.workers("older", older)
                sides.workers("newer", ROOT)
                async with (
                    httpx2.AsyncClient(base_url=addresses[0], timeout=20) as one,
                    httpx2.AsyncClient(base_url=addresses[1], timeout=20) as two,
                ):
                    await use_both((one, two))
                await wait_until_drained(world)
            finally:
                stop_all(sides.processes, STOP_SECONDS)
            await repair(world.tools, Walk(sources=world.sources))  # as the operator's page says
            report = await verify(Walk(sources=world.sources))
            assert report.findings == []
            assert [letter async for letter in world.sources.dead_letters.all_malformed()] == []


async def use_both(sides: tuple[httpx2.AsyncClient, httpx2.AsyncClient]) -> None:
    """People register, post, like, comment and follow, and read their feeds, each time at the other version."""
    people = [await Person.register(sides[number % 2]) for number in range(PEOPLE)]
    posts = [
        await with_session(people[number % PEOPLE], sides[(number + 1) % 2]).ready_post() for number in range(POSTS)
    ]
    for number in range(ACTS):
        person = people[number * 7 % PEOPLE]
        here, there = (with_session(person, sides[(number + step) % 2]) for step in (0, 1))
        post_id, other = posts[number % POSTS], people[(number * 5 + 1) % PEOPLE]
        await here.done("likePost", postId=post_id)
        liked = await there.get("query ($id: ID!) { post(id: $id) { viewerHasLiked } }", id=post_id)
        assert liked["post"]["viewerHasLiked"]
        key = f"a key of act {number}"
        first, again = [
            (await side.done("addComment", "commentEdge { node { id } }", postId=post_id, text="!", idempotencyKey=key))
            for side in (here, there)
        ]
        assert first == again
        if other is not person:
            await there.done("followUser", userId=other.id)
        await here.get(FEED)
        if number % 10 == 0:
            await there.done("unlikePost", postId=post_id)
