"""What users do while things break: each deed is tried until it is acknowledged, as an app with a retry would."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bson import ObjectId

from datasources.idempotency import Idempotency
from datasources.sources import is_outage
from tests.factories import World, now
from tests.waiting import eventually

PATIENCE = 300.0
PAUSE = 0.05


class Deed(Protocol):
    """Something to be done once, however often it is tried."""

    async def do(self, world: World) -> None: ...


@dataclass(frozen=True)
class Like:
    """A user likes a post: a set-like verb."""

    user_id: ObjectId
    post_id: ObjectId

    async def do(self, world: World) -> None:
        await world.sources.post_likes.like(self.post_id, self.user_id, now())


@dataclass(frozen=True)
class Comment:
    """A user comments on a post, with an idempotency key."""

    user_id: ObjectId
    post_id: ObjectId
    key: str

    async def do(self, world: World) -> None:
        key = Idempotency.of(self.key, "addComment", {"postId": str(self.post_id)})
        await world.sources.comments.add(self.post_id, self.user_id, self.key, now(), idempotency=key)


@dataclass(frozen=True)
class Follow:
    """A user follows a public account: a set-like verb."""

    user_id: ObjectId
    followee_id: ObjectId

    async def do(self, world: World) -> None:
        await world.sources.graph.follow(self.user_id, self.followee_id, is_private=False, now=now())


class Tally:
    """What was acknowledged so far, in that order, and how often something had to be tried again."""

    def __init__(self) -> None:
        self.acknowledged: list[Deed] = []
        self.retries = 0

    async def reaches(self, number: int) -> None:
        """Waits until so many deeds are acknowledged."""

        async def is_reached() -> bool:
            return len(self.acknowledged) >= number

        await eventually(is_reached, seconds=PATIENCE, every=0.002)


async def carry_out(writers: Sequence[World], deeds: Iterable[Deed], tally: Tally) -> None:
    """Does all deeds, each writer one at a time, and tries again whatever an outage left unacknowledged."""
    left = iter(deeds)

    async def write(world: World) -> None:
        for deed in left:
            while not await _is_done(world, deed):
                tally.retries += 1
                await asyncio.sleep(PAUSE)
            tally.acknowledged.append(deed)

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        for world in writers:
            group.create_task(write(world))


async def _is_done(world: World, deed: Deed) -> bool:
    try:
        await deed.do(world)
    except Exception as error:
        if not is_outage(error):
            raise
        return False
    return True
