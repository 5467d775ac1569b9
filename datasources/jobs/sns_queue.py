"""Jobs over Amazon SNS: one topic, from which each worker's SQS queue gets the jobs of its own kinds."""

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from config import Settings
from datasources.concurrency.tasks import run_all
from datasources.jobs.aws_clients import CALLS_AT_ONCE, Addresses, in_batches, limited, publish_batch
from datasources.jobs.queue import MAX_QUEUE_LENGTH, JobQueueOutage, Sent
from domain.jobs import JOBS, Job

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sns.type_defs import PublishBatchRequestEntryTypeDef
    from types_aiobotocore_sqs import SQSClient

SEND_SECONDS = 1.0  # for one call; no mutation waits for it longer than `ENQUEUE_SECONDS`
DEPTH_SECONDS = 30.0  # between two looks at the length of a queue
LOOK_SECONDS = 0.5  # for such a look, which jobs wait for
WORKER = "worker"  # the attribute by which the subscriptions of the queues choose
UNDECODED = b"body"  # the field of a message that is no JSON object of texts


class SnsTransport:
    """The topic of jobs, and the queues that subscribe to it."""

    def __init__(self, sns: "SNSClient", sqs: "SQSClient", settings: Settings) -> None:
        self._sns, self._sqs = sns, sqs
        self._addresses = Addresses(sqs, settings)
        self._seconds = settings.aws_timeout
        self._looked_at: dict[str, float] = {}
        self._full: set[str] = set()

    async def send(self, messages: Mapping[Job, Mapping[str, str]]) -> Sent:
        """As `JobTransport.send`; each call to SNS takes at most `SEND_SECONDS`, and the first that fails ends it.

        Queues are not asked for their length each time, so they may grow somewhat longer than `MAX_QUEUE_LENGTH`. If
        SQS does not answer, jobs are sent all the same.
        """
        workers = {JOBS[job.kind].worker for job in messages}
        async with limited(SEND_SECONDS):
            topic = await self._addresses.topic()
        await asyncio.gather(*map(self._note_full, workers))
        sendable = [each for each in messages.items() if JOBS[each[0].kind].worker not in self._full]
        await run_all(CALLS_AT_ONCE, lambda batch: self._publish(topic, batch), in_batches(sendable))
        return Sent(workers & self._full)

    async def _publish(self, topic: str, messages: Sequence[tuple[Job, Mapping[str, str]]]) -> None:
        entries = [_entry(str(number), *message) for number, message in enumerate(messages)]
        await publish_batch(self._sns, topic, entries, SEND_SECONDS)

    async def _note_full(self, worker: str) -> None:
        """Looks at the length of a queue that was not looked at for a while; without an answer, it is as it was."""
        now = time.monotonic()
        if now - self._looked_at.get(worker, -DEPTH_SECONDS) < DEPTH_SECONDS:
            return
        self._looked_at[worker] = now
        with contextlib.suppress(JobQueueOutage):
            async with limited(LOOK_SECONDS):
                is_full = await self.depth(worker) >= MAX_QUEUE_LENGTH
            (self._full.add if is_full else self._full.discard)(worker)

    async def put_back(self, worker: str, fields: Mapping[bytes, bytes]) -> None:
        """As `JobTransport.put_back`, without the topic."""
        url = await self._addresses.queue(worker)
        async with limited(self._seconds):
            await self._sqs.send_message(
                QueueUrl=url, MessageBody=body_of(fields), MessageAttributes=attributes(worker)
            )

    async def depth(self, worker: str) -> int:
        """As `JobTransport.depth`, about."""
        url = await self._addresses.queue(worker)
        async with limited(self._seconds):
            answer = await self._sqs.get_queue_attributes(
                QueueUrl=url,
                AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
            )
        return sum(map(int, answer["Attributes"].values()))

    async def ping(self) -> None:
        topic = await self._addresses.topic()
        async with limited(self._seconds):
            await self._sns.get_topic_attributes(TopicArn=topic)


def _entry(entry_id: str, job: Job, fields: Mapping[str, str]) -> "PublishBatchRequestEntryTypeDef":
    """A message of some 200 bytes. Jobs of one key are a group: a queue that is behind serves the others fairly."""
    return {
        "Id": entry_id,
        "Message": json.dumps(fields),
        "MessageAttributes": attributes(JOBS[job.kind].worker),
        "MessageGroupId": job.key,
    }


def attributes(worker: str) -> Any:
    """The attributes of a message for this worker. SNS and SQS have the same form of them."""
    return {WORKER: {"DataType": "String", "StringValue": worker}}


def body_of(fields: Mapping[bytes, bytes]) -> str:
    """The body of a message with these fields. What is no text is written with escapes."""
    texts = {_text(name): _text(value) for name, value in fields.items()}
    return texts[UNDECODED.decode()] if fields.keys() == {UNDECODED} else json.dumps(texts)


def fields_of(body: str) -> dict[bytes, bytes]:
    """The fields of a message with this body; one field with the body itself if it has none."""
    try:
        texts = msgspec.json.decode(body, type=dict[str, str])
    except msgspec.DecodeError:
        texts = {UNDECODED.decode(): body}
    return {name.encode(): value.encode() for name, value in texts.items()}


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")
