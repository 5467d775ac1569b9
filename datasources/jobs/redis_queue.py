"""Jobs over Redis Streams: one stream for each worker, read in a consumer group."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from datasources.jobs.queue import ENQUEUE_SECONDS, MAX_QUEUE_LENGTH, Message, Sent, parse_job
from datasources.redis.pipelines import Pipelines
from datasources.redis.servers import RedisServers
from domain.jobs import JOBS, Job

EXPIRED_MS = 24 * 3600 * 1000  # as idle time, it ends any lease
# Redis' count of a message's deliveries is used to say whether its consumer has started the work.
WAITING, STARTED = 1, 2
GROUP = "workers"
GONE_LEASES = 10  # without a sign of life; then a consumer that holds nothing is removed

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


class RedisTransport:
    """The streams of all workers. A stream is never trimmed, for that would also drop messages in flight."""

    def __init__(self, servers: RedisServers, prefix: str) -> None:
        self._servers = servers
        self._prefix = prefix
        self.ping = servers.ping

    async def send(self, messages: Mapping[Job, Mapping[str, str]]) -> Sent:
        """As `JobTransport.send`, in one pipeline for each server, which takes at most `ENQUEUE_SECONDS`.

        Raises RedisError if some server of a cluster is not known.
        """
        workers = sorted({JOBS[job.kind].worker for job in messages})
        pipelines = Pipelines(self._servers)
        for job, fields in messages.items():
            key = stream_key(self._prefix, JOBS[job.kind].worker)
            pipelines.at(key).xadd(key, dict[Any, Any](fields))
        for worker in workers:
            key = stream_key(self._prefix, worker)
            pipelines.at(key).xlen(key)
        answers = await pipelines.execute(ENQUEUE_SECONDS)
        asked = [*(JOBS[job.kind].worker for job in messages), *workers]
        unanswered = {
            worker: answer for worker, answer in zip(asked, answers, strict=True) if isinstance(answer, Exception)
        }
        lengths = zip(workers, answers[len(messages) :], strict=True)
        full = [worker for worker, length in lengths if worker not in unanswered and length >= MAX_QUEUE_LENGTH]
        return Sent(full, unanswered)

    async def put_back(self, worker: str, fields: Mapping[bytes, bytes]) -> None:
        message: dict[Any, Any] = dict(fields)
        key = stream_key(self._prefix, worker)
        await self._servers.of(key).xadd(key, message)

    async def depth(self, worker: str) -> int:
        key = stream_key(self._prefix, worker)
        return int(await self._servers.of(key).xlen(key))


class RedisConsumer:
    """One worker's stream, read in a consumer group: see `QueueConsumer`."""

    read_wait = 1.0

    def __init__(self, servers: RedisServers, prefix: str, worker: str, consumer: str, lease: float) -> None:
        self._servers = servers
        self._stream = stream_key(prefix, worker)
        self.worker, self.consumer, self.lease = worker, consumer, lease

    @property
    def _redis(self) -> Redis:
        """The server of the stream at this moment. Raises ConnectionError if it is not known."""
        return self._servers.of(self._stream)

    async def read(self, limit: int, wait: float) -> list[Message]:
        """As `QueueConsumer.read`, without messages whose leases have expired; creates a missing group."""
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
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(ENQUEUE_SECONDS):
                await self._set_idle(message_ids, 0, STARTED)

    async def renew_leases(self, message_ids: Sequence[bytes]) -> None:
        await self._set_idle(message_ids, 0)

    async def claim_expired(self, limit: int) -> list[Message]:
        """As `QueueConsumer.claim_expired`; also removes consumers that are gone."""
        await self.remove_gone_consumers(self.lease * GONE_LEASES)
        idle = int(self.lease * 1000)
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
        if message_ids:
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.xack(self._stream, GROUP, *message_ids)
            pipeline.xdel(self._stream, *message_ids)
            await pipeline.execute()

    async def leave(self, unfinished: Sequence[bytes] = ()) -> None:
        """As `QueueConsumer.leave`; leaves the group if no message is in flight.

        Otherwise the consumer stays until others have claimed all: what is in flight would be lost with it.
        """
        await self._set_idle(unfinished, EXPIRED_MS, WAITING)
        await self._remove_idle(0, self.consumer)

    async def remove_gone_consumers(self, silence: float) -> None:
        """Removes consumers with nothing in flight that have not called for so many seconds. Safe to repeat."""
        await self._remove_idle(int(silence * 1000), "")

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
    return Message(message_id, fields, parse_job(fields), lost_by)


def _is_no_group(error: ResponseError) -> bool:
    return str(error).startswith("NOGROUP")
