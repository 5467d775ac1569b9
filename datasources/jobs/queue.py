"""The doorbell and its queues: small messages over Redis Streams that wake the workers.

Nothing is kept here that matters: what is owed stands in the facts' outboxes, and the sweeper rings again for what a
lost message left. So a ring is best effort and short, and a message is removed as soon as it was dealt with.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from bson import ObjectId
from bson.errors import InvalidId
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from datasources.concurrency.batcher import Batcher, BatchTimeout
from domain.jobs import JOBS, Fact, Job, Task, jobs_of

log = structlog.get_logger(__name__)

ENQUEUE_SECONDS = 0.25  # a mutation waits no longer than this for Redis
# A stream as long as this is rung on no more: its workers have enough to do, and the sweeper knows what is owed. It is
# never trimmed, for that would drop what is pending too.
MAX_STREAM_LENGTH = 100_000
SILENCE_SECONDS = 1.0
MAX_BATCH = 1_000  # callers whose rings go in one message to Redis
EXPIRED_MS = 24 * 3600 * 1000  # milliseconds without a word, longer than any lease
# What Redis counts as a message's deliveries says here whether its reader has begun the work.
WAITING, STARTED = 1, 2
GROUP = "workers"

# In one step, for a consumer that reads in between would lose what it read. Keys: the stream. Arguments: the group, the
# least milliseconds of silence, and a consumer's name if only that one is meant.
_REMOVE_GONE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    if group[2] == ARGV[1] then
        for _, it in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
            local name, pending, silence = it[2], it[4], it[6]
            if pending == 0 and silence >= tonumber(ARGV[2]) and (ARGV[3] == '' or ARGV[3] == name) then
                redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name)
            end
        end
    end
end
"""


class JobQueue:
    """Rings for workers."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix
        self._silent_until: dict[str, float] = {}
        self._sends = Batcher(self._send, MAX_BATCH)

    async def enqueue(self, jobs: Iterable[Job]) -> None:
        """Wakes the workers that pay these effects. Best effort: never raises and takes at most `RING_SECONDS`.

        It is silent for a while for workers that could not be reached, or whose stream was `LONGEST_STREAM` long; the
        sweeper rings again later.
        """
        heard = {job for job in jobs if time.monotonic() >= self._silent_until.get(JOBS[job.kind].worker, 0)}
        if heard:
            with suppress(BatchTimeout):  # it is rung with the others' all the same
                await self._sends.submit(heard, ENQUEUE_SECONDS)

    async def enqueue_pending(self, fact: Fact, documents: Iterable[Mapping[str, Any]]) -> None:
        """Enqueues, as `enqueue` does, the jobs pending for these documents of one kind."""
        await self.enqueue({job for document in documents for job in jobs_of(fact, document)})

    async def _send(self, asked: Sequence[set[Job]]) -> list[None]:
        """Rings once for all who ask at the same time; a hot post's thousand likes are one ring."""
        jobs = sorted(set[Job]().union(*asked))
        workers = sorted({JOBS[job.kind].worker for job in jobs})
        try:
            async with asyncio.timeout(ENQUEUE_SECONDS):
                pipeline = self._redis.pipeline(transaction=False)
                for job in jobs:
                    pipeline.xadd(stream_key(self._prefix, JOBS[job.kind].worker), msgspec.to_builtins(job))
                for worker in workers:
                    pipeline.xlen(stream_key(self._prefix, worker))
                lengths = (await pipeline.execute())[-len(workers) :]
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("job_queue.unanswered", jobs=len(jobs), error=type(error).__name__)
            self._silence(workers)
        else:
            full = [worker for worker, length in zip(workers, lengths, strict=True) if length >= MAX_STREAM_LENGTH]
            if full:
                log.warning("job_queue.full", workers=full)
                self._silence(full)
        return [None] * len(asked)

    def _silence(self, workers: Iterable[str]) -> None:
        until = time.monotonic() + SILENCE_SECONDS
        self._silent_until.update(dict.fromkeys(workers, until))

    async def put_back(self, worker: str, fields: Mapping[bytes, bytes]) -> None:
        """Puts a message on a worker's queue as it once came. Raises RedisError on an outage."""
        message: dict[Any, Any] = dict(fields)
        await self._redis.xadd(stream_key(self._prefix, worker), message)


class Message(msgspec.Struct, frozen=True):
    """A message as it came, and the ring it stands for; None if it makes no sense.

    `lost_by` names the consumer that had begun the work when its lease ran out.
    """

    id: bytes
    fields: dict[bytes, bytes]
    job: Job | None
    lost_by: str | None = None


class QueueConsumer:
    """One worker's stream, read in a consumer group, so that workers of the same name share the messages.

    A message is its reader's until it is done; if its lease runs out before (the reader died), another may claim it.
    Methods raise RedisError on an outage. None minds that Redis was wiped or went back to an older state.
    """

    def __init__(self, redis: Redis, prefix: str, worker: str, consumer: str) -> None:
        self._redis = redis
        self.worker = worker
        self._stream = stream_key(prefix, worker)
        self.consumer = consumer
        self._remove_gone = redis.register_script(_REMOVE_GONE)

    async def read(self, most: int, wait: float) -> list[Message]:
        """Up to `most` messages that nobody has read, after at most `wait` seconds; makes a group that is missing."""
        try:
            found: Any = await self._redis.xreadgroup(
                GROUP, self.consumer, {self._stream: ">"}, count=most, block=max(1, int(wait * 1000))
            )
        except ResponseError as error:
            if not _is_no_group(error):
                raise
            await self._make_group()
            return []
        return [_message(one) for _, batch in found or () for one in batch]

    async def mark_started(self, message_ids: Sequence[bytes]) -> None:
        """Notes that the work of these messages begins. Best effort: never raises, and takes `RING_SECONDS` at most."""
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(ENQUEUE_SECONDS):
                await self._set_idle(message_ids, 0, STARTED)

    async def renew_leases(self, message_ids: Sequence[bytes]) -> None:
        """Begins the leases of messages anew."""
        await self._set_idle(message_ids, 0)

    async def claim_expired(self, most: int, lease: float) -> list[Message]:
        """Takes over up to `most` messages whose lease, in seconds, has run out; call it again and again."""
        silence = int(lease * 1000)
        try:
            lapsed: Any = await self._redis.xpending_range(self._stream, GROUP, "-", "+", most, idle=silence)
            ids = [one["message_id"] for one in lapsed]
            found: Any = ids and await self._redis.xclaim(
                self._stream, GROUP, self.consumer, silence, ids, retrycount=WAITING
            )
        except ResponseError as error:
            if not _is_no_group(error):
                raise
            return []
        begun = {one["message_id"]: one["consumer"].decode() for one in lapsed if one["times_delivered"] >= STARTED}
        return [_message(one, begun.get(one[0])) for one in found if one[0] is not None]

    async def acknowledge(self, message_ids: Sequence[bytes]) -> None:
        """Takes messages out of the group and the stream. Safe to repeat."""
        if message_ids:
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.xack(self._stream, GROUP, *message_ids)
            pipeline.xdel(self._stream, *message_ids)
            await pipeline.execute()

    async def leave(self, unfinished: Sequence[bytes] = ()) -> None:
        """Ends the leases of what is not done, so that others take it over now; with nothing pending, leaves the group.

        Else the consumer stays until others have taken everything from it, for what is pending would go with it.
        """
        await self._set_idle(unfinished, EXPIRED_MS, WAITING)
        await self._remove_gone(keys=[self._stream], args=[GROUP, 0, self.consumer])

    async def remove_gone_consumers(self, silence: float) -> None:
        """Takes out of the group the consumers that hold nothing and have not called for so many seconds."""
        await self._remove_gone(keys=[self._stream], args=[GROUP, int(silence * 1000), ""])

    async def depth(self) -> int:
        """How many messages wait or are being worked on."""
        return int(await self._redis.xlen(self._stream))

    async def _set_idle(self, message_ids: Sequence[bytes], silence: int, deliveries: int | None = None) -> None:
        if not message_ids:
            return
        ids: Any = list(message_ids)
        try:
            await self._redis.xclaim(
                self._stream, GROUP, self.consumer, 0, ids, idle=silence, retrycount=deliveries, justid=True
            )
        except ResponseError as error:
            if not _is_no_group(error):
                raise

    async def _make_group(self) -> None:
        try:
            await self._redis.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise


def stream_key(prefix: str, worker: str) -> str:
    """The Redis key of a worker's stream."""
    return f"{prefix}jobs:{worker}"


def _message(found: tuple[bytes, dict[bytes, bytes]], lost_by: str | None = None) -> Message:
    message_id, fields = found
    return Message(message_id, fields, _parse(fields), lost_by)


def _is_no_group(error: ResponseError) -> bool:
    """Whether the group, or the whole stream, is not there."""
    return str(error).startswith("NOGROUP")


def _parse(fields: dict[bytes, bytes]) -> Job | None:
    try:
        task, fact, key = (fields[name].decode() for name in (b"task", b"fact", b"key"))
        return Job(Task(task), Fact(fact), str(ObjectId(key)))
    except (KeyError, ValueError, InvalidId):
        return None
