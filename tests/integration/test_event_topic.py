"""Public events on a topic of SNS: subscribers get those that they choose, and none is lost while SNS is away."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from bson import ObjectId

from config import Settings
from datasources.events.sns_topic import SnsEventTopic
from datasources.jobs.aws_clients import open_clients
from datasources.jobs.queue import JobQueueOutage
from domain.events import EventType, deletion_event
from domain.jobs import Task
from tests.support.amazon import Amazon, running_amazon
from tests.support.events import checked, names
from tests.support.factories import World, now, opened
from tests.support.own_databases import own_database


@pytest.fixture(scope="module")
def amazon(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of this module's own, which it may kill."""
    with running_amazon(tmp_path_factory.mktemp("amazon")) as amazon:
        yield amazon


@pytest.fixture(scope="module")
async def telling(shared_settings: Settings, amazon: Amazon) -> AsyncIterator[World]:
    """A world whose events go to SNS."""
    told = amazon.settings(shared_settings, job_queue="redis", events=("sns",))
    with own_database(told) as settings:
        async with opened(settings) as world:
            yield world


async def subscribe(world: World, name: str, *types: EventType) -> str:
    """A queue that gets these types of events, or all; its address."""
    settings = world.sources.settings
    async with open_clients(settings) as (sns, sqs):
        url = (await sqs.create_queue(QueueName=f"{settings.aws_prefix}{name}"))["QueueUrl"]
        queue = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"]))["Attributes"]["QueueArn"]
        rules = {"RawMessageDelivery": "true"}
        if types:
            rules["FilterPolicy"] = json.dumps({"type": [each.full_name for each in types]})
        topic = await SnsEventTopic(sns, settings).topic()
        await sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes=rules)
    return url


async def received(world: World, url: str) -> list[dict[str, Any]]:
    """The events in a queue, checked."""
    events = []
    async with open_clients(world.sources.settings) as (_, sqs):
        while messages := (await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)).get("Messages"):
            events += [checked(json.loads(message["Body"])) for message in messages]
    return events


async def test_subscribers_get_the_types_that_they_choose(telling: World) -> None:
    everything, likes = await subscribe(telling, "all"), await subscribe(telling, "likes", EventType.POST_LIKED)
    ana, *others = await telling.users(13)
    post = await telling.post(ana, caption="At the sea")
    for other in others:
        await telling.sources.post_likes.like(post.id, other.id, now())
    await telling.drain()
    told = await received(telling, likes)
    assert names(told) == ["post.liked"] * 12
    assert len({event["id"] for event in told}) == 12
    assert sorted(names(await received(telling, everything))) == ["post.liked"] * 12 + ["post.published"]


async def test_nothing_is_lost_while_sns_is_away(telling: World, amazon: Amazon) -> None:
    ana = await telling.user()
    await telling.drain()
    amazon.kill()
    post = await telling.post(ana)
    with pytest.raises(JobQueueOutage):
        await telling.drain()
    pending = await telling.sources.posts.pending(Task.PUBLISH_SNS, [post.id])
    assert [each["_id"] for each in pending] == [post.id]
    await amazon.start()  # empty: the topic is made again
    url = await subscribe(telling, "again")
    await telling.drain()
    assert names(await received(telling, url)) == ["post.published"]


class _Choosy:
    """SNS that refuses one event of the first batch."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    async def create_topic(self, **_: Any) -> dict[str, str]:
        return {"TopicArn": "arn:aws:sns:us-east-1:1:events"}

    async def publish_batch(self, **given: Any) -> dict[str, Any]:
        self.batches.append([each["Id"] for each in given["PublishBatchRequestEntries"]])
        return {"Failed": [{"Id": "1", "Code": "InternalError"}]} if len(self.batches) == 1 else {}


async def test_only_what_was_refused_is_sent_again(telling: World) -> None:
    choosy: Any = _Choosy()
    events = [deletion_event(ObjectId(), now()) for _ in range(3)]
    await SnsEventTopic(choosy, telling.sources.settings).send(events)
    assert choosy.batches == [["0", "1", "2"], ["1"]]
