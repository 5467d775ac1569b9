"""Who is told at once that there may be new posts in their feed, and how far each has read it.

All of it is in Redis, best effort, and may be lost: whoever listens says so again at each look, looks by themselves
every `LOOK_EVERY` seconds, and remembers how far they had read.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import structlog
from bson import ObjectId
from redis.asyncio import Redis
from redis.exceptions import RedisError

from datasources.concurrency.background_writes import BackgroundWrites
from datasources.mongo import clock
from datasources.redis.pubsub import PUBLISH_SECONDS, News

log = structlog.get_logger(__name__)

POLL_SECONDS = 30.0  # seconds; posts of authors who are not pushed are noticed by looking alone
LISTENING_SECONDS = 3 * POLL_SECONDS  # how long who has looked counts as listening
SILENCE_SECONDS = 1.0
REMEMBERED_SECONDS = 14 * 86400  # seconds


def feed_topic(owner_id: ObjectId) -> str:
    """The topic of a user's home feed."""
    return f"feed:{owner_id}"


class FeedListeners:
    """A sorted set of those who listen, by when that lapses, and for each owner the newest post they have read."""

    def __init__(self, redis: Redis, prefix: str, news: News, background_writes: BackgroundWrites) -> None:
        self._redis = redis
        self._news = news
        self._background_writes = background_writes
        self._listening = f"{prefix}feeds:listening"
        self._read = f"{prefix}feeds:read:"
        self._silent_until = 0.0
        self._is_down = False

    async def notify(self, owner_ids: Collection[ObjectId]) -> None:
        """Tells those of these owners who listen that their feed has changed; for up to a few thousand at once.

        One look in Redis, and a message for each who listens: nothing for the others. Never raises.
        """
        members = [str(one) for one in owner_ids]
        lapses = await self._answer(lambda: self._redis.zmscore(self._listening, members)) if members else None
        if lapses is None:
            return
        now = clock.now().timestamp()
        listen = [one for one, lapse in zip(owner_ids, lapses, strict=True) if lapse is not None and lapse > now]
        if listen:
            await self._news.publish(*map(feed_topic, listen))

    async def note_listening(self, owner_id: ObjectId) -> ObjectId | None:
        """Says that an owner listens, `LISTENING` long; the newest post they have read, if known. Never raises."""
        now = clock.now().timestamp()
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zadd(self._listening, {str(owner_id): now + LISTENING_SECONDS})
        pipeline.zremrangebyscore(self._listening, "-inf", now)
        pipeline.get(self._read + str(owner_id))
        answers = await self._answer(pipeline.execute)
        return None if answers is None or answers[-1] is None else ObjectId(answers[-1])

    def note_read(self, owner_id: ObjectId, newest: ObjectId) -> None:
        """Notes, in the background, that an owner was shown their feed from a post down, and tells who listens."""
        self._background_writes.offer(lambda: self.set_read(owner_id, newest))

    async def set_read(self, owner_id: ObjectId, newest: ObjectId) -> None:
        """As `note_read`, at once. Never raises."""
        key = self._read + str(owner_id)
        if await self._answer(lambda: self._redis.set(key, newest.binary, ex=REMEMBERED_SECONDS)):
            await self.notify([owner_id])

    async def erase(self, owner_id: ObjectId) -> None:
        """Forgets what is remembered of an owner, who is gone. Never raises; without Redis it lapses by itself."""
        await self._answer(lambda: self._redis.delete(self._read + str(owner_id)))

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
