"""Who is notified at once that there may be new posts in their feed, and up to which post each has read it.

All of it is in Redis, best effort, and may be lost: subscriptions also poll every `POLL_SECONDS`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import structlog
from bson import ObjectId
from redis.exceptions import RedisError

from datasources.concurrency.background_writes import BackgroundWrites
from datasources.mongo import clock
from datasources.redis.pipelines import Pipelines, errors_of
from datasources.redis.pubsub import PUBLISH_SECONDS, News
from datasources.redis.servers import RedisServers

log = structlog.get_logger(__name__)

POLL_SECONDS = 30.0  # posts of authors who are pulled are noticed by polling alone
LISTENING_SECONDS = 3 * POLL_SECONDS  # after a poll
SILENCE_SECONDS = 1.0
REMEMBERED_SECONDS = 14 * 86400  # seconds
NOTED_SECONDS = 5.0  # the same newest post of an owner is noted once in so long
MAX_NOTED = 10_000  # owners to know that of; when there are more, they are noted again


def feed_topic(owner_id: ObjectId) -> str:
    """The topic of a user's home feed."""
    return f"feed:{owner_id}"


class FeedListeners:
    """A sorted set of the listeners by when they lapse, and for each owner the newest post read."""

    def __init__(self, servers: RedisServers, prefix: str, news: News, background_writes: BackgroundWrites) -> None:
        self._servers = servers
        self._news = news
        self._background_writes = background_writes
        self._listening = f"{prefix}feeds:listening"
        self._read = f"{prefix}feeds:read:"
        self._noted: dict[ObjectId, tuple[ObjectId, float]] = {}  # what was noted of an owner, and until when it holds
        self._silent_until = 0.0
        self._is_down = False

    async def notify(self, owner_ids: Collection[ObjectId]) -> None:
        """Notifies those of up to a few thousand owners who listen that their feed has changed. Never raises."""
        members = [str(owner_id) for owner_id in owner_ids]
        if not members:
            return
        lapses = await self._answer(lambda: self._servers.of(self._listening).zmscore(self._listening, members))
        if lapses is None:
            return
        now = clock.now().timestamp()
        pairs = zip(owner_ids, lapses, strict=True)
        listeners = [owner_id for owner_id, lapse in pairs if lapse is not None and lapse > now]
        if listeners:
            await self._news.publish(*map(feed_topic, listeners))

    async def note_listening(self, owner_id: ObjectId) -> ObjectId | None:
        """Notes that an owner listens for `LISTENING_SECONDS`; the newest post they read, if known. Never raises."""
        now = clock.now().timestamp()
        read = self._read + str(owner_id)

        async def ask() -> list[Any]:
            pipelines = Pipelines(self._servers)
            pipelines.at(self._listening).zadd(self._listening, {str(owner_id): now + LISTENING_SECONDS})
            pipelines.at(self._listening).zremrangebyscore(self._listening, "-inf", now)
            pipelines.at(read).get(read)
            answers = await pipelines.execute(PUBLISH_SECONDS)
            for error in errors_of(answers):
                raise error
            return answers

        answers = await self._answer(ask)
        return None if answers is None or answers[-1] is None else ObjectId(answers[-1])

    def note_read(self, owner_id: ObjectId, newest: ObjectId) -> None:
        """Notes, in the background, the newest post that an owner was shown, and notifies their listeners.

        The same post is noted once in `NOTED_SECONDS`.
        """
        noted, until = self._noted.get(owner_id, (None, 0.0))
        if noted == newest and time.monotonic() < until:
            return
        self._background_writes.offer(lambda: self.set_read(owner_id, newest))

    async def set_read(self, owner_id: ObjectId, newest: ObjectId) -> None:
        """As `note_read`, at once. Never raises."""
        key = self._read + str(owner_id)
        if await self._answer(lambda: self._servers.of(key).set(key, newest.binary, ex=REMEMBERED_SECONDS)):
            if len(self._noted) >= MAX_NOTED:
                self._noted.clear()
            self._noted[owner_id] = (newest, time.monotonic() + NOTED_SECONDS)
            await self.notify([owner_id])

    async def erase(self, owner_id: ObjectId) -> None:
        """Deletes what is kept of a deleted owner. Never raises; without Redis it lapses by itself."""
        key = self._read + str(owner_id)
        await self._answer(lambda: self._servers.of(key).delete(key))

    async def _answer(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Redis's answer; None if there is none, and then nothing is asked for a while."""
        if time.monotonic() < self._silent_until:
            return None
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                answer = await ask()
        except (RedisError, OSError, TimeoutError) as error:
            self._silent_until = time.monotonic() + SILENCE_SECONDS
            if not self._is_down:
                log.warning("feed_listeners.down", error=type(error).__name__)
            self._is_down = True
            return None
        self._is_down = False
        return answer
