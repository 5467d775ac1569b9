"""The job queue: small messages over Redis Streams, one stream for each worker, that wake the workers.

Nothing that matters is kept here: the facts' outboxes hold what is pending, and the outbox relay enqueues again what a
lost message left. So enqueueing is best effort and short, and a message is deleted as soon as it is handled.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from bson import ObjectId
from bson.errors import InvalidId
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from datasources.concurrency.batcher import Batcher, BatchTimeout
from datasources.jobs.origin import Origin
from datasources.mongo import clock
from datasources.redis.servers import Pipelines, RedisServers, errors_of
from datasources.telemetry.tracing import TRACEPARENT, current_traceparent
from domain.jobs import JOBS, Fact, Job, Task, jobs_of

log = structlog.get_logger(__name__)

ENQUEUE_SECONDS = 0.25  # a mutation waits no longer than this for Redis
# Nothing is added to a stream of this length: its workers have enough to do, and the outboxes keep what is pending.
# A stream is never trimmed, for that would also drop messages in flight.
MAX_STREAM_LENGTH = 100_000
SILENCE_SECONDS = 1.0
MAX_BATCH = 1_000  # callers whose jobs go to Redis in one pipeline
EXPIRED_MS = 24 * 3600 * 1000  # as idle time, it ends any lease
# Redis' count of a message's deliveries is used to say whether its consumer has started the work.
WAITING, STARTED = 1, 2
GROUP = "workers"

# Atomic, because a consumer that reads in between would lose what it read. Keys: the stream. Arguments: the group, the
# minimum of idle milliseconds, and the name of a consumer, or an empty string for all.
_REMOVE_IDLE = """
if redis.call('EXISTS', KEYS[1]) == 0 then return end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    if group[2] == ARGV[1] then
        for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
            local name, in_flight, idle = consumer[2], consumer[4], consumer[6]
            if in_flight == 0 and idle >= tonumber(ARGV[2]) and (ARGV[3] == '' or ARGV[3] == name) then
                redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name)
            end
        end
    end
end
"""


class JobQueue:
    def __init__(self, servers: RedisServers, prefix: str) -> None:
        self._servers = servers
        self._prefix = prefix
        self._silent_until: dict[str, float] = {}
        self._sends = Batcher(self._send, MAX_BATCH)

    async def enqueue(self, jobs: Iterable[Job]) -> None:
        """Wakes the workers of these jobs. Best effort: never raises and takes at most `ENQUEUE_SECONDS`.

        For `SILENCE_SECONDS` it skips workers that it could not reach or whose stream was `MAX_STREAM_LENGTH` long; the
        outbox relay enqueues those jobs later.
        """
        await self._enqueue(dict.fromkeys(jobs, current_traceparent()))

    async def _enqueue(self, traces: Mapping[Job, str | None]) -> None:
        now = time.monotonic()
        sendable = {
            job: trace for job, trace in traces.items() if now >= self._silent_until.get(JOBS[job.kind].worker, 0)
        }
        if sendable:
            with contextlib.suppress(BatchTimeout):  # the jobs are sent with those of other callers all the same
                await self._sends.submit(sendable, ENQUEUE_SECONDS)

    async def enqueue_pending(self, fact: Fact, documents: Iterable[Mapping[str, Any]]) -> None:
        """Enqueues, as `enqueue` does, the jobs pending for these documents of one kind."""
        await self._enqueue(
            {job: document.get(TRACEPARENT) for document in documents for job in jobs_of(fact, document)}
        )

    async def _send(self, batch: Sequence[Mapping[Job, str | None]]) -> list[None]:
        """Sends each job once for all concurrent callers; a thousand likes of one post are one message."""
        traces: dict[Job, str | None] = {}
        for each in batch:
            traces.update({job: trace for job, trace in each.items() if traces.get(job) is None})
        jobs, now = sorted(traces), clock.now()
        workers = sorted({JOBS[job.kind].worker for job in jobs})
        pipelines = Pipelines(self._servers)
        try:
            for job in jobs:
                key = stream_key(self._prefix, JOBS[job.kind].worker)
                pipelines.at(key).xadd(key, msgspec.to_builtins(job) | Origin(now, traces[job]).to_fields())
            for worker in workers:
                key = stream_key(self._prefix, worker)
                pipelines.at(key).xlen(key)
        except RedisError as error:  # some server of a cluster is not known
            lengths: list[Any] = [error] * len(workers)
        else:
            lengths = (await pipelines.execute(ENQUEUE_SECONDS))[-len(workers) :]
        by_worker = dict(zip(workers, lengths, strict=True))
        unanswered = {worker for worker, length in by_worker.items() if isinstance(length, Exception)}
        full = [worker for worker in workers if worker not in unanswered and by_worker[worker] >= MAX_STREAM_LENGTH]
        if unanswered:
            lost = sum(JOBS[job.kind].worker in unanswered for job in jobs)
            log.warning("job_queue.unanswered", jobs=lost, error=type(errors_of(lengths)[0]).__name__)
        if full:
            log.warning("job_queue.full", workers=full)
        self._silence({*unanswered, *full})
        return [None] * len(batch)

    def _silence(self, workers: Iterable[str]) -> None:
        self._silent_until.update(dict.fromkeys(workers, time.monotonic() + SILENCE_SECONDS))

    async def put_back(self, worker: str, fields: Mapping[bytes, bytes]) -> None:
        """Puts a message back on a worker's queue. Raises RedisError on an outage."""
        message: dict[Any, Any] = dict(fields)
        key = stream_key(self._prefix, worker)
        await self._servers.of(key).xadd(key, message)


class Message(msgspec.Struct, frozen=True):
    """A message as it came, its job (None for a malformed message), and where the job comes from.

    `lost_by` names the consumer that had started the work when its lease expired.
    """

    id: bytes
    fields: dict[bytes, bytes]
    job: Job | None
    lost_by: str | None = None

    @property
    def origin(self) -> Origin:
        return Origin.of(self.fields)


class QueueConsumer:
    """One worker's stream, read in a consumer group, so that processes of the same worker share the messages.

    A message is in flight at its consumer until it is acknowledged; if its lease expires before (the consumer died),
    another may claim it. Methods raise RedisError on an outage; all work after Redis was wiped or restored.
    """

    def __init__(self, servers: RedisServers, prefix: str, worker: str, consumer: str) -> None:
        self._servers = servers
        self.worker = worker
        self._stream = stream_key(prefix, worker)
        self.consumer = consumer

    @property
    def _redis(self) -> Redis:
        """The server of the stream at this moment. Raises ConnectionError if it is not known."""
        return self._servers.of(self._stream)

    async def read(self, limit: int, wait: float) -> list[Message]:
        """Up to `limit` messages that nobody has read, after at most `wait` seconds; creates a missing group."""
        try:
            streams: Any = await self._redis.xreadgroup(
                GROUP, self.consumer, {self._stream: ">"}, count=limit, block=max(1, int(wait * 1000))
            )
        except ResponseError as error:
            if not _is_no_group(error):
                raise
            await self._create_group()
            return []
        return [_message(entry) for _, entries in streams or () for entry in entries]

    async def mark_started(self, message_ids: Sequence[bytes]) -> None:
        """Records that the work of these messages starts. Best effort: never raises, at most `ENQUEUE_SECONDS`."""
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(ENQUEUE_SECONDS):
                await self._set_idle(message_ids, 0, STARTED)

    async def renew_leases(self, message_ids: Sequence[bytes]) -> None:
        """Starts the leases of messages anew. Safe to repeat."""
        await self._set_idle(message_ids, 0)

    async def claim_expired(self, limit: int, lease: float) -> list[Message]:
        """Takes over up to `limit` messages whose lease, in seconds, has expired; to be called regularly."""
        idle = int(lease * 1000)
        try:
            expired: Any = await self._redis.xpending_range(self._stream, GROUP, "-", "+", limit, idle=idle)
            ids = [row["message_id"] for row in expired]
            entries: Any = ids and await self._redis.xclaim(
                self._stream, GROUP, self.consumer, idle, ids, retrycount=WAITING
            )
        except ResponseError as error:
            if not _is_no_group(error):
                raise
            return []
        lost_by = {row["message_id"]: row["consumer"].decode() for row in expired if row["times_delivered"] >= STARTED}
        return [_message(entry, lost_by.get(entry[0])) for entry in entries if entry[0] is not None]

    async def acknowledge(self, message_ids: Sequence[bytes]) -> None:
        """Removes messages from the group and the stream, as their jobs are done. Safe to repeat."""
        if message_ids:
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.xack(self._stream, GROUP, *message_ids)
            pipeline.xdel(self._stream, *message_ids)
            await pipeline.execute()

    async def leave(self, unfinished: Sequence[bytes] = ()) -> None:
        """Ends the leases of unfinished messages, so that others claim them now; leaves the group if none is in flight.

        Otherwise the consumer stays until others have claimed all: what is in flight would be lost with it.
        """
        await self._set_idle(unfinished, EXPIRED_MS, WAITING)
        await self._remove_idle(0, self.consumer)

    async def remove_gone_consumers(self, silence: float) -> None:
        """Removes consumers with nothing in flight that have not called for so many seconds. Safe to repeat."""
        await self._remove_idle(int(silence * 1000), "")

    async def depth(self) -> int:
        """How many messages wait or are in flight."""
        return int(await self._redis.xlen(self._stream))

    async def _set_idle(self, message_ids: Sequence[bytes], idle: int, deliveries: int | None = None) -> None:
        if not message_ids:
            return
        ids: Any = list(message_ids)
        try:
            await self._redis.xclaim(
                self._stream, GROUP, self.consumer, 0, ids, idle=idle, retrycount=deliveries, justid=True
            )
        except ResponseError as error:
            if not _is_no_group(error):
                raise

    async def _remove_idle(self, milliseconds: int, consumer: str) -> None:
        await self._redis.eval(_REMOVE_IDLE, 1, self._stream, GROUP, milliseconds, consumer)

    async def _create_group(self) -> None:
        try:
            await self._redis.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise


def stream_key(prefix: str, worker: str) -> str:
    return f"{prefix}jobs:{worker}"


def _message(entry: tuple[bytes, dict[bytes, bytes]], lost_by: str | None = None) -> Message:
    message_id, fields = entry
    return Message(message_id, fields, _parse(fields), lost_by)


def _is_no_group(error: ResponseError) -> bool:
    return str(error).startswith("NOGROUP")


def _parse(fields: dict[bytes, bytes]) -> Job | None:
    try:
        task, fact, key = (fields[name].decode() for name in (b"task", b"fact", b"key"))
        return Job(Task(task), Fact(fact), str(ObjectId(key)))
    except (KeyError, ValueError, InvalidId):
        return None
