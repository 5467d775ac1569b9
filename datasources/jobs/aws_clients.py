"""Clients of Amazon SNS and SQS: a time limit on each call, one kind of error, and the names of topic and queues."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from aiohttp import ClientError as TransportError
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from config import Settings
from datasources.jobs.queue import SET_ASIDE, JobQueueOutage
from datasources.s3.connections import PatientSession
from datasources.s3.errors import error_code

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sns.type_defs import PublishBatchRequestEntryTypeDef
    from types_aiobotocore_sqs import SQSClient

BATCH = 10  # the most messages that one call of SNS or SQS takes or gives
CALLS_AT_ONCE = 8
TRIES = 2  # for messages of a batch that SNS did not take
UPLOADS = "uploads"  # in a worker's place: the events of the bucket to which clients send files
MISSING = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NotFound", "NotFoundException"}

Item = TypeVar("Item")


@contextlib.asynccontextmanager
async def limited(seconds: float) -> AsyncIterator[None]:
    """Ends a call to SNS or SQS after `seconds`. Raises JobQueueOutage whatever it answers or fails to answer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except ClientError as error:
        raise JobQueueOutage(error_code(error)) from error
    except ParamValidationError:
        raise
    except (BotoCoreError, TransportError, OSError) as error:  # TimeoutError is an OSError
        raise JobQueueOutage(type(error).__name__) from error


@contextlib.asynccontextmanager
async def open_clients(settings: Settings, wait: float = 0) -> AsyncIterator[tuple["SNSClient", "SQSClient"]]:
    """A client of each service, with pools of their own; they connect on first use. A poll may wait for `wait`."""
    session, config = _session(settings), _config(settings, wait)
    async with (
        session.create_client("sns", endpoint_url=settings.aws_endpoint, config=config) as sns,
        session.create_client("sqs", endpoint_url=settings.aws_endpoint, config=config) as sqs,
    ):
        yield sns, sqs


@contextlib.asynccontextmanager
async def open_sqs(settings: Settings, wait: float) -> AsyncIterator["SQSClient"]:
    """A client of SQS alone, whose polls may wait for `wait` seconds."""
    client = _session(settings).create_client("sqs", endpoint_url=settings.aws_endpoint, config=_config(settings, wait))
    async with client as sqs:
        yield sqs


def _session(settings: Settings) -> AioSession:
    session = get_session()
    if credentials := settings.aws_credentials:
        session.set_credentials(*credentials)
    return session


def _config(settings: Settings, wait: float) -> AioConfig:
    return AioConfig(
        region_name=settings.queue_region,
        connect_timeout=settings.aws_timeout,
        read_timeout=settings.aws_timeout + wait,
        max_pool_connections=CALLS_AT_ONCE * 2,
        http_session_cls=PatientSession,
        retries={"total_max_attempts": 2, "mode": "standard"},
    )


class Addresses:
    """The topic and the queues of one installation, and their addresses, which SQS is asked for once."""

    def __init__(self, sqs: "SQSClient", settings: Settings) -> None:
        self._sqs = sqs
        self._prefix = settings.aws_prefix
        self._seconds = settings.aws_timeout
        self._urls: dict[str, str] = {}
        self._topic: str | None = None

    @property
    def topic_name(self) -> str:
        return f"{self._prefix}jobs"

    def queue_name(self, name: str) -> str:
        return f"{self._prefix}{name}"

    async def queue(self, name: str) -> str:
        """The address of the queue of a worker, or of `SET_ASIDE` or `UPLOADS`. Raises JobQueueOutage."""
        if name not in self._urls:
            async with limited(self._seconds):
                answer = await self._sqs.get_queue_url(QueueName=self.queue_name(name))
            self._urls[name] = answer["QueueUrl"]
        return self._urls[name]

    async def topic(self) -> str:
        """The ARN of the topic: in the account and region of the queues. Raises JobQueueOutage."""
        if self._topic is None:
            url = await self.queue(SET_ASIDE)
            async with limited(self._seconds):
                answer = await self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
            partition, _, region, account, _ = answer["Attributes"]["QueueArn"].removeprefix("arn:").split(":")
            self._topic = f"arn:{partition}:sns:{region}:{account}:{self.topic_name}"
        return self._topic


def in_batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The items, as many together as a call takes."""
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


async def publish_batch(
    sns: "SNSClient", topic: str, entries: Iterable["PublishBatchRequestEntryTypeDef"], seconds: float
) -> None:
    """Publishes up to `BATCH` messages; only what SNS refused of them is sent again, once.

    Each call takes at most `seconds`. Raises JobQueueOutage, also for what SNS refuses again.
    """
    left = {entry["Id"]: entry for entry in entries}
    for _ in range(TRIES):
        async with limited(seconds):
            answer = await sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=list(left.values()))
        failed = answer.get("Failed", [])
        if not failed:
            return
        left = {each["Id"]: left[each["Id"]] for each in failed}
    raise JobQueueOutage(failed[0]["Code"])
