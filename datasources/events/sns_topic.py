"""Public events on a topic of Amazon SNS, to which others subscribe queues, functions or addresses of their own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson

from config import Settings
from datasources.concurrency.tasks import run_all
from datasources.jobs.aws_clients import CALLS_AT_ONCE, in_batches, limited, open_clients, publish_batch
from datasources.jobs.queue import JobQueueOutage
from domain.events import Event

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sns.type_defs import PublishBatchRequestEntryTypeDef


class SnsEventTopic:
    """As `EventSink`: an acknowledged event is with SNS, which passes it on to who subscribes at that moment."""

    def __init__(self, sns: "SNSClient", settings: Settings) -> None:
        self._sns = sns
        self._name = f"{settings.aws_prefix}events"
        self._source = settings.events_source
        self._seconds = settings.aws_timeout
        self._arn: str | None = None

    async def topic(self) -> str:
        """The ARN of the topic, which is made if it is missing. Raises JobQueueOutage."""
        if self._arn is None:
            async with limited(self._seconds):
                self._arn = (await self._sns.create_topic(Name=self._name))["TopicArn"]
        return self._arn

    async def send(self, events: Sequence[Event]) -> None:
        """Publishes in batches of ten, a few at once; only what SNS refused of a batch is sent again, once."""
        arn = await self.topic()
        await run_all(CALLS_AT_ONCE, lambda batch: self._publish(arn, batch), in_batches(events))

    async def _publish(self, arn: str, events: Sequence[Event]) -> None:
        entries = [self._entry(str(number), event) for number, event in enumerate(events)]
        try:
            await publish_batch(self._sns, arn, entries, self._seconds)
        except JobQueueOutage:
            self._arn = None  # the topic may have been deleted; the next try makes it
            raise

    def _entry(self, entry_id: str, event: Event) -> "PublishBatchRequestEntryTypeDef":
        """An event with the attributes by which subscriptions may choose."""
        attributes = {"type": event.type.full_name, "source": self._source}
        return {
            "Id": entry_id,
            "Message": orjson.dumps(event.to_cloud_event(self._source)).decode(),
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        }


async def prepare_event_topic(settings: Settings) -> None:
    """Makes the topic if it is missing. Safe to repeat. Raises JobQueueOutage."""
    async with open_clients(settings) as (sns, _):
        await SnsEventTopic(sns, settings).topic()
