"""One worker's SQS queue, read by long polling; the visibility timeout of a message is its lease."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
from redis.exceptions import RedisError

from config import Settings
from datasources.concurrency.batcher import Batcher
from datasources.concurrency.tasks import run_all
from datasources.jobs.aws_clients import BATCH, CALLS_AT_ONCE, Addresses, in_batches, limited
from datasources.jobs.queue import ENQUEUE_SECONDS, Message, parse_job
from datasources.jobs.sns_queue import fields_of
from datasources.redis.pipelines import Pipelines
from datasources.redis.servers import RedisServers

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_sqs.type_defs import DeleteMessageBatchRequestEntryTypeDef, MessageTypeDef

POLL_SECONDS = 2.0  # a stopping worker waits for its poll, because a cancelled one may still take messages
MORE_POLLS = 4  # at once, after a poll that was full
RENEWED_BELOW = 0.7  # the part of a lease that is left of it
MAX_CALLS = 100  # whose messages are deleted together
MARK_SECONDS = 24 * 3600  # as long as a message waits


class _Held(msgspec.Struct):
    """How SQS knows that a message is ours, and when its lease expires."""

    receipt: str
    until: float


class SqsConsumer:
    """One worker's queue: see `QueueConsumer`.

    Whether the work of a message had begun is not known to SQS. A mark in Redis says it, best effort: without it a job
    that kills its workers is set aside by SQS in the end, as it was received so often.
    """

    read_wait = POLL_SECONDS

    def __init__(
        self, sqs: "SQSClient", servers: RedisServers, settings: Settings, worker: str, consumer: str, lease: float
    ) -> None:
        self._sqs, self._servers = sqs, servers
        self._addresses = Addresses(sqs, settings)
        self._prefix = f"{settings.key_prefix}started:{worker}:"
        self._seconds = settings.aws_timeout
        self._held: dict[bytes, _Held] = {}
        self._acknowledged: Batcher[Sequence[bytes], None] = Batcher(self._acknowledge, MAX_CALLS)
        self.worker, self.consumer, self.lease = worker, consumer, float(math.ceil(lease))

    async def read(self, limit: int, wait: float) -> list[Message]:
        """As `QueueConsumer.read`, messages of expired leases included; `wait` is whole seconds, at least one."""
        received = await self._poll(min(limit, BATCH), max(1, math.ceil(wait)))
        if len(received) == BATCH:
            polls = [self._poll(BATCH, 0) for _ in range(min(MORE_POLLS, limit // BATCH - 1))]
            for more in await asyncio.gather(*polls, return_exceptions=True):
                received += () if isinstance(more, BaseException) else more
        return await self._messages(received)

    async def _poll(self, limit: int, wait: int) -> "list[MessageTypeDef]":
        url = await self._addresses.queue(self.worker)
        async with limited(wait + self._seconds):
            answer = await self._sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=limit,
                WaitTimeSeconds=wait,
                VisibilityTimeout=int(self.lease),
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
            )
        received, until = answer.get("Messages", []), time.monotonic() + self.lease
        for each in received:
            self._held[each["MessageId"].encode()] = _Held(each["ReceiptHandle"], until)
        return received

    async def _messages(self, received: "Sequence[MessageTypeDef]") -> list[Message]:
        again = [
            each["MessageId"].encode() for each in received if each["Attributes"]["ApproximateReceiveCount"] != "1"
        ]
        lost_by = await self._started(again)
        messages = []
        for each in received:
            message_id, fields = each["MessageId"].encode(), fields_of(each["Body"])
            messages.append(Message(message_id, fields, parse_job(fields), lost_by.get(message_id)))
        return messages

    async def mark_started(self, message_ids: Sequence[bytes]) -> None:
        await self._marks(message_ids, lambda redis, mark: redis.set(mark, self.consumer, ex=MARK_SECONDS))

    async def _unmark(self, message_ids: Sequence[bytes]) -> None:
        await self._marks(message_ids, lambda redis, mark: redis.delete(mark))

    async def _started(self, message_ids: Sequence[bytes]) -> Mapping[bytes, str]:
        """The consumers that have started the work of messages; without those that Redis does not know."""
        marks = await self._marks(message_ids, lambda redis, mark: redis.get(mark))
        return {message_id: mark.decode() for message_id, mark in marks.items() if isinstance(mark, bytes)}

    async def _marks(self, message_ids: Sequence[bytes], act: Callable[[Any, str], Any]) -> Mapping[bytes, Any]:
        """What Redis answers for the marks of messages, or an exception for each. Never raises."""
        pipelines = Pipelines(self._servers)
        try:
            for message_id in message_ids:
                mark = f"{self._prefix}{message_id.decode()}"
                act(pipelines.at(mark), mark)
        except RedisError:  # some server of a cluster is not known
            return {}
        return dict(zip(message_ids, await pipelines.execute(ENQUEUE_SECONDS), strict=True))

    async def renew_leases(self, message_ids: Sequence[bytes]) -> None:
        """As `QueueConsumer.renew_leases`; leases that have just begun stay as they are."""
        now, ids = time.monotonic(), set(message_ids)
        self._held = {each: held for each, held in self._held.items() if each in ids or held.until > now}
        soon = now + self.lease * RENEWED_BELOW
        await self._change_leases([each for each, held in self._held.items() if each in ids and held.until < soon])

    async def claim_expired(self, limit: int) -> list[Message]:  # noqa: ARG002
        """None: `read` gets them."""
        return []

    async def acknowledge(self, message_ids: Sequence[bytes]) -> None:
        """As `QueueConsumer.acknowledge`, for concurrent callers together."""
        if message_ids:
            await self._acknowledged.submit(message_ids)

    async def _acknowledge(self, calls: Sequence[Sequence[bytes]]) -> list[None]:
        message_ids = list(dict.fromkeys(chain.from_iterable(calls)))  # a message may come twice and be done twice
        await self._unmark(message_ids)
        await run_all(CALLS_AT_ONCE, self._delete, in_batches(message_ids))
        return [None] * len(calls)

    async def _delete(self, message_ids: Sequence[bytes]) -> None:
        """Deletes up to `BATCH` messages. One that SQS does not delete comes again: its job is done by then."""
        url = await self._addresses.queue(self.worker)
        ids = [each for each in message_ids if each in self._held]
        left: list[DeleteMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "ReceiptHandle": self._held.pop(message_id).receipt}
            for number, message_id in enumerate(ids)
        ]
        for _ in range(2):
            if not left:
                return
            async with limited(self._seconds):
                answer = await self._sqs.delete_message_batch(QueueUrl=url, Entries=left)
            failed = {each["Id"] for each in answer.get("Failed", []) if not each["SenderFault"]}
            left = [each for each in left if each["Id"] in failed]

    async def leave(self, unfinished: Sequence[bytes] = ()) -> None:
        await self._unmark(unfinished)
        await self._change_leases(unfinished, 0)

    async def _change_leases(self, message_ids: Sequence[bytes], lease: int | None = None) -> None:
        await run_all(CALLS_AT_ONCE, lambda batch: self._change(batch, lease), in_batches(message_ids))

    async def _change(self, message_ids: Sequence[bytes], lease: int | None) -> None:
        """Has the leases of up to `BATCH` messages expire after `lease` seconds, or begin anew with None.

        SQS may refuse it for some: they are not ours any more, which harms nothing.
        """
        url = await self._addresses.queue(self.worker)
        seconds = int(self.lease) if lease is None else lease
        until = time.monotonic() + seconds
        held = [self._held[each] for each in message_ids if each in self._held]
        if not held:
            return
        async with limited(self._seconds):
            answer = await self._sqs.change_message_visibility_batch(
                QueueUrl=url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": each.receipt, "VisibilityTimeout": seconds}
                    for number, each in enumerate(held)
                ],
            )
        for each in answer.get("Successful", []):
            held[int(each["Id"])].until = until
