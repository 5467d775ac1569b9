"""What is particular to SNS and SQS: batches that fail in part, what SQS sets aside, installations in one account."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from bson import ObjectId

from config import Settings
from datasources.jobs import aws_setup, sns_queue
from datasources.jobs.aws_clients import MISSING, Addresses, open_clients
from datasources.jobs.opening import open_consumer, prepare_job_queue, redrive_job_queue
from datasources.jobs.queue import SET_ASIDE, JobQueue, JobQueueOutage, Message, Sent
from datasources.jobs.sns_queue import SnsTransport, body_of, fields_of
from datasources.jobs.sqs_consumer import SqsConsumer
from datasources.outages import describe_outage, describe_refusal, is_outage
from domain.jobs import WORKERS, Fact, Job, Task
from tests.support.amazon import Amazon, running_amazon
from tests.support.emptying import empty
from tests.support.factories import World, changed_sources, opened
from tests.support.handlers import handler_of
from tests.support.own_databases import own_database
from tests.support.waiting import eventually
from tests.support.workers import is_empty, running_worker
from workers.maintenance.pending import queue_depths
from workers.runtime.handler import Tools

pytestmark = pytest.mark.usefixtures("patient_queue")

LIKES = (Task.COUNT, Fact.POST_LIKE)


@pytest.fixture(scope="module")
async def world(shared_settings: Settings, amazon: Amazon) -> AsyncIterator[World]:
    with own_database(amazon.settings(shared_settings)) as settings:
        async with opened(settings) as world:
            yield world


@pytest.fixture
async def own(world: World) -> World:
    return await empty(world)


def likes(number: int) -> list[Job]:
    return [Job(*LIKES, str(ObjectId())) for _ in range(number)]


@contextlib.asynccontextmanager
async def consumer(world: World, lease: float = 60) -> AsyncIterator[SqsConsumer]:
    async with open_consumer(world.sources.settings, "counters", "one", lease) as queue:
        assert isinstance(queue, SqsConsumer)
        yield queue


async def read(queue: SqsConsumer, number: int) -> list[Message]:
    messages: list[Message] = []

    async def have_come() -> bool:
        messages.extend(await queue.read(100, 1))
        return len(messages) >= number

    await eventually(have_come)
    return messages


class Flaky:
    """A client of which one call does a part of each batch only, the first `times`; it notes how large batches are."""

    def __init__(self, client: Any, call: str, entries: str, times: int, *, sender_fault: bool = False) -> None:
        self.sizes: list[int] = []
        self._client, self._call, self._entries = client, call, entries
        self._times, self._sender_fault = times, sender_fault

    def __getattr__(self, name: str) -> Any:
        return self._part if name == self._call else getattr(self._client, name)

    async def _part(self, **given: Any) -> Any:
        entries = given[self._entries]
        self.sizes.append(len(entries))
        if len(self.sizes) > self._times:
            return await getattr(self._client, self._call)(**given)
        done, left = entries[: len(entries) // 2], entries[len(entries) // 2 :]
        answer = await getattr(self._client, self._call)(**{**given, self._entries: done}) if done else {}
        failed = [{"Id": each["Id"], "Code": "InternalError", "SenderFault": self._sender_fault} for each in left]
        return {**answer, "Failed": failed}


async def test_only_what_sns_refuses_of_a_batch_is_sent_again(own: World) -> None:
    settings, sent = own.sources.settings, likes(10)
    async with open_clients(settings) as (sns, sqs), consumer(own) as queue:
        flaky: Any = Flaky(sns, "publish_batch", "PublishBatchRequestEntries", 1)
        await JobQueue(SnsTransport(flaky, sqs, settings)).enqueue(sent)

        async def is_sent() -> bool:
            return bool(flaky.sizes == [10, 5])

        await eventually(is_sent)
        messages = await read(queue, 10)
        assert sorted(message.job.key for message in messages if message.job) == sorted(job.key for job in sent)


async def test_what_sns_goes_on_to_refuse_is_an_outage(own: World) -> None:
    settings = own.sources.settings
    async with open_clients(settings) as (sns, sqs):
        flaky: Any = Flaky(sns, "publish_batch", "PublishBatchRequestEntries", 9)
        with pytest.raises(JobQueueOutage, match="InternalError"):
            await SnsTransport(flaky, sqs, settings).send({job: {} for job in likes(4)})
        assert flaky.sizes == [4, 2]


class SlowLooks:
    """SQS that does not answer how long its queues are."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def get_queue_attributes(self, **given: Any) -> Any:
        if "ApproximateNumberOfMessages" in given["AttributeNames"]:
            await asyncio.Event().wait()
        return await self._client.get_queue_attributes(**given)


async def test_jobs_are_sent_while_sqs_does_not_tell_the_length_of_its_queues(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sns_queue, "LOOK_SECONDS", 0.1)
    settings, sent = own.sources.settings.model_copy(update={"aws_timeout": 60.0}), likes(3)
    async with open_clients(settings) as (sns, sqs), consumer(own) as queue:
        slow: Any = SlowLooks(sqs)
        assert await SnsTransport(sns, slow, settings).send({job: msgspec.to_builtins(job) for job in sent}) == Sent(
            set()
        )
        messages = await read(queue, 3)
        assert sorted(message.job.key for message in messages if message.job) == sorted(job.key for job in sent)


@pytest.mark.parametrize(("sender_fault", "sizes", "left"), [(False, [10, 5], 0), (True, [10], 5)])
async def test_only_what_sqs_may_delete_later_is_deleted_again(
    own: World, sender_fault: bool, sizes: list[int], left: int
) -> None:
    await own.sources.job_queue.enqueue(likes(10))
    async with consumer(own) as queue:
        messages = await read(queue, 10)
        flaky: Any = Flaky(queue._sqs, "delete_message_batch", "Entries", 1, sender_fault=sender_fault)
        queue._sqs = flaky
        await queue.acknowledge([message.id for message in messages])
    assert flaky.sizes == sizes
    assert await own.sources.job_queue.depth("counters") == left


async def test_what_no_worker_finishes_is_set_aside_found_and_put_back(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = own.sources.settings
    monkeypatch.setattr(aws_setup, "MAX_RECEIVES", 2)
    await prepare_job_queue(settings)
    (job,) = likes(1)
    await own.sources.job_queue.enqueue([job])
    async with consumer(own) as queue:
        for _ in range(2):
            (message,) = await read(queue, 1)
            await queue.leave([message.id])

        async def is_set_aside() -> bool:
            assert await queue.read(10, 1) == []
            return await own.sources.job_queue.depth(SET_ASIDE) == 1

        await eventually(is_set_aside)
        depths, findings = await queue_depths(own.sources)
        assert (depths[SET_ASIDE], [(finding.kind, finding.id) for finding in findings]) == (1, [("queue", "dead")])
        assert await redrive_job_queue(settings) == 1
        assert await redrive_job_queue(settings) == 0
        (message,) = await read(queue, 1)
        assert message.job == job
    monkeypatch.undo()
    await prepare_job_queue(settings)


async def test_a_missing_queue_is_found_and_hides_no_other(own: World) -> None:
    """As before `prepare` of a version with a new worker."""
    settings = own.sources.settings
    older = settings.model_copy(update={"aws_prefix": f"older-{settings.aws_prefix}"})
    await prepare_job_queue(older)
    async with open_clients(older) as (sns, sqs):
        await sqs.delete_queue(QueueUrl=await Addresses(sqs, older).queue("large_fan_outs"))
        job_queue = JobQueue(SnsTransport(sns, sqs, older))
        depths, findings = await queue_depths(changed_sources(own.sources, job_queue=job_queue))
    assert depths.keys() == {*WORKERS, SET_ASIDE} - {"large_fan_outs"}
    (finding,) = findings
    assert finding.found in MISSING
    assert finding.why == f"SNS or SQS does not answer ({finding.found}) for large_fan_outs"


async def test_preparing_again_changes_nothing_and_installations_do_not_meet(own: World) -> None:
    settings = own.sources.settings
    other = settings.model_copy(update={"aws_prefix": f"other-{settings.aws_prefix}"})
    await prepare_job_queue(other)
    for _ in range(2):
        await prepare_job_queue(settings)
    await own.sources.job_queue.enqueue(likes(3))
    async with open_clients(settings) as (sns, sqs):
        topic = await Addresses(sqs, settings).topic()
        subscriptions = await sns.list_subscriptions_by_topic(TopicArn=topic)
        ends = [each["Endpoint"].rpartition(":")[2] for each in subscriptions["Subscriptions"]]
        assert len(ends) == len(set(ends))
        assert f"{settings.aws_prefix}counters" in ends
        others = SnsTransport(sns, sqs, other)
        assert (await others.depth("counters"), await own.sources.job_queue.depth("counters")) == (0, 3)


async def test_workers_go_on_when_queues_that_were_lost_are_prepared_again(
    shared_settings: Settings, tmp_path: Path
) -> None:
    done: list[str] = []

    async def run(_tools: Tools, key: str) -> None:
        done.append(key)

    (job,) = likes(1)
    with running_amazon(tmp_path) as amazon, own_database(amazon.settings(shared_settings)) as settings:
        async with opened(settings) as world, running_worker(world, "counters", {LIKES: handler_of(run)}):
            amazon.kill()
            await world.sources.job_queue.enqueue([job])
            await amazon.start()
            with pytest.raises(JobQueueOutage) as missing:
                await world.sources.job_queue.ping()
            assert is_outage(missing.value)
            assert "run `photogram prepare`" in (describe_refusal(missing.value, settings) or "")
            await prepare_job_queue(settings)

            async def is_done() -> bool:
                await world.sources.job_queue.enqueue([job])
                return job.key in done and await is_empty(world)

            await eventually(is_done, seconds=60)


def refusing(code: str) -> Callable[[Settings], str | None]:
    return partial(describe_refusal, JobQueueOutage(code))


def test_what_operators_read_names_the_server_and_no_secret() -> None:
    settings = Settings(environment="test", aws_endpoint="https://ana:secret@amazon:4566", job_queue="sns-sqs")
    assert describe_outage(JobQueueOutage("TimeoutError"), settings) == "SNS or SQS does not answer (amazon:4566)"
    assert refusing("AccessDenied")(settings) == "SNS or SQS refuses the credentials of the settings (amazon:4566)"
    assert refusing("TimeoutError")(settings) is None
    at_amazon = Settings(environment="test", s3_region="eu-north-1", aws_region="eu-west-3")
    line = "SNS or SQS does not answer (sqs.eu-west-3.amazonaws.com)"
    assert describe_outage(JobQueueOutage("TimeoutError"), at_amazon) == line


@pytest.mark.parametrize("fields", [{b"a": b"1", b"b": b"\n\x00"}, {}, {b"body": b"no JSON"}, {b"body": b"{"}])
def test_a_body_is_read_as_it_was_written(fields: dict[bytes, bytes]) -> None:
    assert fields_of(body_of(fields)) == fields


@pytest.mark.parametrize("body", ["", "null", "[1]", '{"task": 1}', '{"task": {"a": []}}'])
def test_a_body_of_another_form_is_kept_whole(body: str) -> None:
    assert fields_of(body) == {b"body": body.encode()}
    assert body_of(fields_of(body)) == body


def test_credentials_are_their_own_or_those_of_amazons_s3_or_the_machines() -> None:
    amazon = Settings(environment="test", s3_access_key="s3", s3_secret_key="secret")
    assert amazon.aws_credentials == ("s3", "secret")
    assert Settings(environment="test", s3_endpoint_url="http://weed:8333").aws_credentials is None
    assert Settings(environment="test", s3_access_key=None).aws_credentials is None
    own = Settings(environment="test", aws_access_key="a", aws_secret_key="b")
    assert own.aws_credentials == ("a", "b")
