"""Making the topic, the queues and the subscriptions of jobs at Amazon, and putting back what SQS has set aside."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

from config import Settings
from datasources.jobs.aws_clients import BATCH, MISSING, UPLOADS, Addresses, limited, open_clients
from datasources.jobs.queue import MESSAGE_LEASE, SET_ASIDE, JobQueueOutage
from datasources.jobs.sns_queue import WORKER, attributes
from domain.jobs import WORKERS

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient

KEPT_SECONDS = 24 * 3600  # what waits longer is dropped; the outbox relay enqueues again what is pending
DEAD_KEPT_SECONDS = 14 * 24 * 3600  # the longest that SQS allows
# An outage or a failure deletes its message, so only a lost lease or a stopped worker makes SQS count on.
MAX_RECEIVES = 100


async def prepare_queues(settings: Settings) -> None:
    """Makes what is missing of topic, queues and subscriptions, and sets their rules. Safe to repeat.

    Raises JobQueueOutage.
    """
    async with open_clients(settings) as (sns, sqs):
        setup = _Setup(sns, sqs, settings)
        dead = await setup.ensure_queue(SET_ASIDE, {"MessageRetentionPeriod": str(DEAD_KEPT_SECONDS)})
        topic = await setup.ensure_topic()
        subscribed = await setup.subscriptions(topic)
        queues = await asyncio.gather(*(setup.ensure_worker_queue(worker, topic, dead) for worker in WORKERS))
        for worker, queue in zip(WORKERS, queues, strict=True):  # SNS limits their rate; moto fails at several at once
            await setup.ensure_subscription(topic, worker, queue, subscribed.get(queue))


async def prepare_upload_events(settings: Settings) -> str:
    """Makes the queue of the events of S3's incoming bucket, if it is missing; returns its ARN. Safe to repeat.

    Raises JobQueueOutage.
    """
    async with open_clients(settings) as (sns, sqs):
        rules = {"VisibilityTimeout": str(int(MESSAGE_LEASE)), "MessageRetentionPeriod": str(KEPT_SECONDS)}
        source = f"arn:*:s3:::{settings.incoming_bucket}"
        return await _Setup(sns, sqs, settings).ensure_queue(UPLOADS, rules, allowed=("s3.amazonaws.com", source))


async def redrive_set_aside(settings: Settings) -> int:
    """Puts what SQS has set aside back on its workers' queues; returns how many messages that were.

    Safe to repeat and to stop half way: then a message may be there twice. Raises JobQueueOutage.
    """
    async with open_clients(settings) as (_, sqs):
        addresses, number = Addresses(sqs, settings), 0
        dead = await addresses.queue(SET_ASIDE)
        while True:
            async with limited(settings.aws_timeout):
                answer = await sqs.receive_message(
                    QueueUrl=dead,
                    MaxNumberOfMessages=BATCH,
                    WaitTimeSeconds=1,
                    VisibilityTimeout=60,
                    MessageAttributeNames=[WORKER],
                )
            if not (messages := answer.get("Messages")):
                return number
            for message in messages:
                attribute = message.get("MessageAttributes", {}).get(WORKER)
                worker = attribute["StringValue"] if attribute else ""
                if worker not in WORKERS:
                    continue  # a newer version's, which puts it back
                queue = await addresses.queue(worker)
                async with limited(settings.aws_timeout):
                    await sqs.send_message(
                        QueueUrl=queue, MessageBody=message["Body"], MessageAttributes=attributes(worker)
                    )
                    await sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
                number += 1


class _Setup:
    def __init__(self, sns: "SNSClient", sqs: "SQSClient", settings: Settings) -> None:
        self._sns, self._sqs = sns, sqs
        self._addresses = Addresses(sqs, settings)
        self._seconds = settings.aws_timeout

    async def ensure_topic(self) -> str:
        """Makes the topic unless it exists; returns its ARN."""
        async with limited(self._seconds):
            return (await self._sns.create_topic(Name=self._addresses.topic_name))["TopicArn"]

    async def subscriptions(self, topic: str) -> dict[str, str]:
        """The ARNs of the topic's subscriptions by the queues that have them."""
        found: dict[str, str] = {}
        token = ""
        while True:
            async with limited(self._seconds):
                page = await self._sns.list_subscriptions_by_topic(
                    TopicArn=topic, **({"NextToken": token} if token else {})
                )
            found |= {each["Endpoint"]: each["SubscriptionArn"] for each in page["Subscriptions"]}
            token = page.get("NextToken", "")
            if not token:
                return found

    async def ensure_worker_queue(self, worker: str, topic: str, dead: str) -> str:
        """Makes a worker's queue, which the topic may fill, unless it exists; returns its ARN."""
        rules = {
            "VisibilityTimeout": str(int(MESSAGE_LEASE)),
            "MessageRetentionPeriod": str(KEPT_SECONDS),
            "RedrivePolicy": json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": MAX_RECEIVES}),
        }
        return await self.ensure_queue(worker, rules, allowed=("sns.amazonaws.com", topic))

    async def ensure_subscription(self, topic: str, worker: str, queue: str, subscription: str | None) -> None:
        """Subscribes a queue to the jobs of a worker, or sets the rules of the subscription that it has."""
        filtered = {"RawMessageDelivery": "true", "FilterPolicy": json.dumps({WORKER: [worker]})}
        async with limited(self._seconds):
            if subscription is None:
                await self._sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes=filtered)
                return
            for name, value in filtered.items():
                await self._sns.set_subscription_attributes(
                    SubscriptionArn=subscription, AttributeName=name, AttributeValue=value
                )

    async def ensure_queue(self, name: str, rules: dict[str, str], allowed: tuple[str, str] | None = None) -> str:
        """Makes a queue unless it exists and sets its rules; returns its ARN.

        `allowed` is a service that may send messages to it, and where these may come from within the account.
        """
        try:
            url = await self._addresses.queue(name)
        except JobQueueOutage as outage:
            if outage.code not in MISSING:
                raise
            async with limited(self._seconds):
                url = (await self._sqs.create_queue(QueueName=self._addresses.queue_name(name)))["QueueUrl"]
        async with limited(self._seconds):
            answer = await self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
            queue = answer["Attributes"]["QueueArn"]
            attributes: dict[Any, str] = {**rules, **({"Policy": _policy(queue, *allowed)} if allowed else {})}
            await self._sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
        return queue


def _policy(queue: str, service: str, source: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": queue,
        "Condition": {
            "ArnLike": {"aws:SourceArn": source},
            "StringEquals": {"aws:SourceAccount": queue.split(":")[4]},
        },
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
