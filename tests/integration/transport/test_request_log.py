"""Request ids, and the one log line of a request."""

import httpx2
import pytest
from structlog.testing import capture_logs

from tests.support.toy.http import ask
from tests.support.toy.server import Served


async def test_context_is_made_for_each_operation_with_the_request_id(client: httpx2.AsyncClient, toy: Served) -> None:
    first = await ask(client, "{hello}")
    second = await client.post("/graphql", json={"query": "{hello}"}, headers={"x-request-id": "from-balancer-1"})
    assert [context.request_id for context in toy.world.contexts] == [
        first.headers["x-request-id"],
        second.headers["x-request-id"],
    ]
    assert second.headers["x-request-id"] == "from-balancer-1"


@pytest.mark.parametrize("invalid", ["short", "x" * 65, "has space in it", "new\tline-here"])
async def test_an_invalid_request_id_is_replaced(shared_client: httpx2.AsyncClient, invalid: str) -> None:
    response = await shared_client.get("/livez", headers={"x-request-id": invalid})
    assert response.headers["x-request-id"] != invalid


async def test_one_log_line_tells_the_operation_and_no_secret(client: httpx2.AsyncClient) -> None:
    query = 'query Greet($n:String!){hello(name:$n) other:hello(name:"hunter2-literal") missing}'
    with capture_logs() as logs:
        await client.post(
            "/graphql?note=hunter2-query",
            json={"query": query, "variables": {"n": "hunter2-variable"}},
            headers={"authorization": "Bearer hunter2-token"},
        )
    [line] = logs
    assert "hunter2" not in str(logs)
    assert (line["event"], line["method"], line["path"], line["status"]) == ("request", "POST", "/graphql", 200)
    assert (line["operation"], line["operation_type"], line["cost"]) == ("Greet", "query", 3)
    assert line["codes"] == ["BAD_USER_INPUT"]
    assert line["bytes"] > 0
    assert line["duration_ms"] >= 0
