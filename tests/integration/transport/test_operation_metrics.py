"""What is counted of operations, over HTTP and over sockets."""

import re
from collections.abc import Callable

import httpx2
from prometheus_client import generate_latest

from datasources.telemetry.metrics import REGISTRY
from tests.support.toy.http import ask
from tests.support.toy.server import Served
from tests.support.toy.sockets import connected
from tests.support.waiting import eventually

SAMPLE = re.compile(r"^(photogram_\w+)\{(.*)\} (\S+)$", re.MULTILINE)


def counts() -> dict[tuple[str, str], float]:
    """All samples with labels, by name and labels."""
    return {(name, labels): float(value) for name, labels, value in SAMPLE.findall(generate_latest(REGISTRY).decode())}


def since(before: dict[tuple[str, str], float]) -> Callable[[str, str], float]:
    """How much a sample has grown."""
    return lambda name, labels: counts().get((name, labels), 0) - before.get((name, labels), 0)


def labels(operation: str, transport: str, code: str = "OK") -> str:
    return f'code="{code}",operation="{operation}",transport="{transport}"'


async def test_requests_are_counted_by_name_and_code(client: httpx2.AsyncClient) -> None:
    grown = since(counts())
    await ask(client, "query CountedHere { hello }")
    await ask(client, "{ hello }")
    await ask(client, "query CountedHere { hello")
    await client.post("/graphql", content=b"nonsense", headers={"content-type": "application/json"})
    await client.get("/livez")
    total = "photogram_operations_total"
    assert grown(total, labels("CountedHere", "http")) == 1
    assert grown(total, labels("unnamed", "http")) == 1
    assert grown(total, labels("unread", "http", "GRAPHQL_PARSE_FAILED")) == 1
    assert grown(total, labels("unread", "http", "BAD_REQUEST")) == 1
    assert grown("photogram_operation_seconds_count", 'operation="CountedHere"') == 1


async def test_operations_on_sockets_are_counted_when_they_end(socket_toy: Served) -> None:
    grown = since(counts())
    async with connected(socket_toy) as client:
        await client.start()
        await client.subscribe("query OnSocket { hello }", "q")
        await client.subscribe("subscription Counting { count(to: 2) }", "s")
        await client.subscribe("{ nothing }", "n")
        for _ in range(6):
            await client.hear()

    async def is_counted() -> bool:
        return grown("photogram_operations_total", labels("Counting", "websocket")) == 1

    await eventually(is_counted)
    assert grown("photogram_operations_total", labels("OnSocket", "websocket")) == 1
    assert grown("photogram_operations_total", labels("unread", "websocket", "GRAPHQL_VALIDATION_FAILED")) == 1
    assert grown("photogram_subscription_events_total", 'operation="Counting"') == 2
    assert grown("photogram_operation_seconds_count", 'operation="OnSocket"') == 1
    assert grown("photogram_operation_seconds_count", 'operation="Counting"') == 0, "a subscription lasts"
