"""Events of Amazon S3 about files that clients sent, by an SQS queue.

They are hints: an event that is lost, repeated or forged only decides when a worker looks whether a file is there.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

import msgspec
from bson import ObjectId

from config import Settings
from datasources.jobs.aws_clients import BATCH, UPLOADS, Addresses, limited, open_sqs
from datasources.media.uploads import upload_of

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

POLL_SECONDS = 2  # a stopping worker waits for its poll


class _Object(msgspec.Struct):
    key: str  # as in a form: quoted


class _S3(msgspec.Struct):
    object: _Object


class _Record(msgspec.Struct):
    s3: _S3


class _Event(msgspec.Struct):
    records: list[_Record] = msgspec.field(name="Records", default_factory=list)


def uploads_of(event: str) -> list[ObjectId]:
    """The uploads whose files an event of S3 names, without repetition; none for anything that is no such event."""
    try:
        records = msgspec.json.decode(event, type=_Event).records[:BATCH]
    except msgspec.DecodeError:
        return []
    ids = [upload_of(unquote_plus(record.s3.object.key)) for record in records]
    return list(dict.fromkeys(upload_id for upload_id in ids if upload_id is not None))


class UploadEvents:
    """The queue of events."""

    def __init__(self, sqs: "SQSClient", settings: Settings) -> None:
        self._sqs = sqs
        self._addresses = Addresses(sqs, settings)
        self._seconds = settings.aws_timeout

    async def take(self) -> list[ObjectId]:
        """The uploads of the next events, after `POLL_SECONDS` at most; the events are deleted then.

        Raises JobQueueOutage.
        """
        url = await self._addresses.queue(UPLOADS)
        async with limited(POLL_SECONDS + self._seconds):
            answer = await self._sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=POLL_SECONDS
            )
        messages = answer.get("Messages", [])
        if messages:
            async with limited(self._seconds):
                await self._sqs.delete_message_batch(
                    QueueUrl=url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                        for number, message in enumerate(messages)
                    ],
                )
        return [upload_id for message in messages for upload_id in uploads_of(message["Body"])]


@contextlib.asynccontextmanager
async def open_upload_events(settings: Settings) -> AsyncIterator[UploadEvents]:
    """The queue of events, over connections of its own."""
    async with open_sqs(settings, POLL_SECONDS) as sqs:
        yield UploadEvents(sqs, settings)
