"""The doorbell and its queues: small messages over Redis Streams that wake the workers.

Nothing is kept here that matters: what is owed stands in the facts' outboxes, and the sweeper rings again for what a
lost message left. So a ring is best effort and short, and a message is removed as soon as it was dealt with.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import structlog
from bson import ObjectId
from bson.errors import InvalidId
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from domain.events import Effect, Fact, Ring

log = structlog.get_logger(__name__)

RING_SECONDS = 0.25  # a mutation waits no longer than this for Redis
LONGEST_STREAM = 1_000_000  # beyond it the oldest rings are dropped; the sweeper knows them all
GROUP = "workers"

# Which worker pays which effects; each has a stream of its own.
WORKER_OF: dict[Effect, str] = {
    Effect.COUNT: "counters",
    Effect.COUNT_FOLLOWING: "counters",
    Effect.NOTIFY: "notifications",
    Effect.RECEIVE: "media",
    Effect.ASSEMBLE: "media",
    Effect.FAN_OUT: "feed",
    Effect.FILL: "feed",
    Effect.SEVER: "janitor",
    Effect.CLEAN: "janitor",
}


class Doorbell:
    """Rings for workers."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def ring(self, rings: Iterable[Ring]) -> None:
        """Wakes the workers that pay these effects. Best effort: never raises and takes at most `RING_SECONDS`."""
        rings = set(rings)
        if not rings:
            return
        try:
            async with asyncio.timeout(RING_SECONDS):
                pipeline = self._redis.pipeline(transaction=False)
                for ring in sorted(rings):
                    stream = stream_key(self._prefix, WORKER_OF[ring.effect])
                    pipeline.xadd(stream, msgspec.to_builtins(ring), maxlen=LONGEST_STREAM, approximate=True)
                await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("doorbell.unanswered", rings=len(rings), error=type(error).__name__)


class Queue:
    """One worker's stream, read in a consumer group, so that workers of the same name share the messages."""

    def __init__(self, redis: Redis, prefix: str, worker: str, consumer: str) -> None:
        self._redis = redis
        self._stream = stream_key(prefix, worker)
        self._consumer = consumer

    async def read(self, most: int, wait: float) -> list[tuple[bytes, Ring | None]]:
        """Up to `most` messages, after at most `wait` seconds; None stands for a message that makes no sense.

        The group is made when it is missing, also after Redis was wiped. Raises RedisError on an outage.
        """
        try:
            found: Any = await self._redis.xreadgroup(
                GROUP, self._consumer, {self._stream: ">"}, count=most, block=max(1, int(wait * 1000))
            )
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            await self._make_group()
            return []
        messages = [message for _, batch in found or () for message in batch]
        return [(message_id, _parse(fields)) for message_id, fields in messages]

    async def done(self, message_ids: Sequence[bytes]) -> None:
        """Takes messages out of the group and the stream. Safe to repeat."""
        if message_ids:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.xack(self._stream, GROUP, *message_ids)
            pipeline.xdel(self._stream, *message_ids)
            await pipeline.execute()

    async def leave(self) -> None:
        """Takes the consumer out of the group; what it had not finished is rung for again by the sweeper."""
        await self._redis.xgroup_delconsumer(self._stream, GROUP, self._consumer)

    async def depth(self) -> int:
        """How many messages wait or are being worked on."""
        return int(await self._redis.xlen(self._stream))

    async def _make_group(self) -> None:
        try:
            await self._redis.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise


def stream_key(prefix: str, worker: str) -> str:
    """The Redis key of a worker's stream."""
    return f"{prefix}rings:{worker}"


def _parse(fields: dict[bytes, bytes]) -> Ring | None:
    try:
        effect, fact, key = (fields[name].decode() for name in (b"effect", b"fact", b"key"))
        return Ring(Effect(effect), Fact(fact), str(ObjectId(key)))
    except (KeyError, ValueError, InvalidId):
        return None
