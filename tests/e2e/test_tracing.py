"""Traces: one from a request through its jobs to what they do, with little that a client wrote in it."""

import json
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from config import Settings
from datasources.jobs.origin import Origin
from datasources.sources import prepare
from datasources.telemetry.tracing import Tracing, call_part, current_traceparent, open_tracing, operation_part
from tests.support.client import Person
from tests.support.collector import Collector, Part, collecting
from tests.support.own_databases import own_database
from tests.support.stack import Stack, stack_on, start_all
from tests.support.waiting import eventually

SECRET = "hunter2 in a caption"
CLIENTS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
async def traced(
    shared_settings: Settings, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """An API and workers that trace everything."""
    with own_database(shared_settings, trace_endpoint=collector.url, trace_sample=1.0) as settings:
        await prepare(settings)
        with stack_on(settings, tmp_path_factory.mktemp("traced")) as stack:
            await start_all(stack)
            yield stack


@pytest.fixture(scope="module")
async def author(traced: Stack) -> AsyncIterator[Person]:
    async with httpx2.AsyncClient(base_url=traced.url, timeout=20) as http:
        yield await Person.register(http)


async def trace_with(collector: Collector, root: str, *names: str) -> list[Part]:
    """The parts of the one trace that begins with `root` and has parts of these names, once they were sent."""

    async def found() -> list[Part]:
        for trace in [part.trace for part in collector.parts if part.name == root]:
            parts = [part for part in collector.parts if part.trace == trace]
            if {part.name for part in parts}.issuperset(names):
                return parts
        return []

    return await eventually(found, seconds=30)


async def test_a_request_and_what_follows_from_it_are_one_trace(author: Person, collector: Collector) -> None:
    post_id = await author.ready_post(caption=SECRET)
    await author.get("mutation LikeIt($id: ID!) { likePost(input: {postId: $id}) { post { id } } }", id=post_id)
    parts = await trace_with(collector, "mutation LikeIt", "count post_like", "notify post_like")
    [request] = [part for part in parts if part.name == "mutation LikeIt"]
    jobs = [part for part in parts if part is not request]
    assert (request.service, request.parent, request.failure) == ("photogram-api", b"", None)
    assert {job.service for job in jobs} == {"photogram-worker"}
    assert {job.parent for job in jobs} == {request.id}
    assert {"account", "request_id", "cost"} <= request.attributes.keys()


async def test_an_image_is_traced_from_its_announcement_into_the_feeds(author: Person, collector: Collector) -> None:
    """Its bytes come later, past the API: the outbox keeps the place in the trace until then."""
    await author.ready_post(caption=SECRET)
    announced = await trace_with(collector, "mutation", "ingest upload")
    assert {part.service for part in announced} == {"photogram-api", "photogram-worker"}
    await trace_with(collector, "mutation", "complete_post post", "fan_out post", "count post")


async def test_of_what_a_client_wrote_a_trace_has_only_the_operations_name_and_the_requests_id(
    author: Person, collector: Collector
) -> None:
    refused = await author.ask("query Refused($name: String!) { user(username: $name) { nothing } }", name=SECRET)
    assert refused.errors
    await author.ask('query Bad { feed(first: 5, after: "hunter2 as a cursor") { edges { node { id } } } }')
    [bad, *_] = await trace_with(collector, "query Bad")
    assert bad.failure == "BAD_USER_INPUT"
    name, headers = "L" * 100, {"authorization": f"Bearer {author.token}"}
    for request_id in ("hunter2 as an id", "of-the-client"):
        body = {"query": f"query {name} {{ __typename }}"}
        await author.http.post("/graphql", json=body, headers={**headers, "x-request-id": request_id})

    async def ids() -> set[str]:
        named = [part for part in collector.parts if part.name == f"query {name[:64]}"]
        return {str(part.attributes["request_id"]) for part in named} if len(named) > 1 else set()

    assert "of-the-client" in await eventually(ids, seconds=30)
    assert "hunter2" not in repr(collector.parts)


async def test_a_client_cannot_join_its_trace_to_ours(author: Person, collector: Collector) -> None:
    headers = {"traceparent": CLIENTS, "authorization": f"Bearer {author.token}"}
    await author.http.post("/graphql", json={"query": "query Joined { __typename }"}, headers=headers)
    [part] = await trace_with(collector, "query Joined")
    assert part.trace.hex() != CLIENTS[3:35]
    assert [link.hex() for link in part.links] == [CLIENTS[3:35]]


async def test_the_log_line_of_a_request_names_its_account_and_its_trace(
    author: Person, collector: Collector, traced: Stack
) -> None:
    await author.get("query Logged { __typename }")
    [part] = await trace_with(collector, "query Logged")
    lines = [json.loads(line) for line in traced.living[0].log.read_bytes().splitlines()]
    [line] = [line for line in lines if line.get("operation") == "Logged"]
    assert line["account"] == part.attributes["account"]
    assert line["traceparent"].split("-")[1:3] == [part.trace.hex(), part.id.hex()]


async def test_what_is_not_sampled_is_not_sent_and_carries_nothing(
    shared_settings: Settings, collector: Collector
) -> None:
    settings = shared_settings.model_copy(update={"trace_endpoint": collector.url, "trace_sample": 0.0})
    async with open_tracing(settings, "unsampled"):
        with operation_part("A", "query"):
            assert current_traceparent() is None
        with call_part("count", "post_like", [None]):
            assert current_traceparent() is None
    assert "photogram-unsampled" not in {part.service for part in collector.parts}


async def test_a_collector_that_is_away_holds_nothing_up(shared_settings: Settings) -> None:
    settings = shared_settings.model_copy(update={"trace_endpoint": "http://127.0.0.1:1/", "trace_sample": 1.0})
    async with open_tracing(settings, "alone"):
        with operation_part("A", "query") as part:
            part.set(cost=1)
            assert current_traceparent() is not None
    assert Tracing.tracer is None


@pytest.mark.parametrize("broken", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "é" * 55])
async def test_a_malformed_place_in_a_trace_is_ignored(
    shared_settings: Settings, collector: Collector, broken: str
) -> None:
    settings = shared_settings.model_copy(update={"trace_endpoint": collector.url, "trace_sample": 1.0})
    origin = Origin.of({b"traceparent": broken.encode(), b"at": b"never"})
    assert origin.at is None
    async with open_tracing(settings, "malformed"):
        with operation_part("A", "query", broken), call_part("count", "post", [origin.traceparent, broken]):
            pass
