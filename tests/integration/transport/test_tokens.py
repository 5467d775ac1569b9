"""Bearer tokens over HTTP: who a request is, and what a bad token gets."""

import httpx2
import pytest

from tests.support.toy.http import GRAPHQL, ask, only_code
from tests.support.toy.server import Served


async def test_token_makes_the_viewer_and_none_is_anonymous(client: httpx2.AsyncClient) -> None:
    for header, viewer in (("Bearer ana", "ana"), ("Bearer", None), ("Basic YTpi", None)):
        response = await client.post("/graphql", json={"query": "{viewer}"}, headers={"authorization": header})
        assert response.json()["data"] == {"viewer": viewer}


@pytest.mark.parametrize("query", ["{viewer}", "{hello}", "{__typename}", "mutation{enter add(a:1,b:2)}"])
async def test_a_bad_token_is_unauthenticated_and_nothing_is_run(
    client: httpx2.AsyncClient, toy: Served, query: str
) -> None:
    bad = {"authorization": "Bearer bad"}
    response = await client.post("/graphql", json={"query": query}, headers={**bad, "accept": GRAPHQL})
    assert (response.status_code, only_code(response)) == (401, "UNAUTHENTICATED")
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    response = await client.post("/graphql", json={"query": query}, headers=bad)
    assert (response.status_code, response.json()["data"]) == (200, None)
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    if not query.startswith("mutation"):
        response = await client.get("/graphql", params={"query": query}, headers={**bad, "accept": GRAPHQL})
        assert (response.status_code, only_code(response)) == (401, "UNAUTHENTICATED")


async def test_a_bad_token_does_not_hinder_operations_that_need_no_session(client: httpx2.AsyncClient) -> None:
    headers = {"authorization": "Bearer bad", "accept": GRAPHQL}
    response = await client.post("/graphql", json={"query": "mutation{enter}"}, headers=headers)
    assert (response.status_code, response.json()["data"]) == (200, {"enter": None})


async def test_outage_while_authenticating_is_503(client: httpx2.AsyncClient, toy: Served) -> None:
    toy.world.authentication_down = True
    response = await ask(client, "{hello}")
    assert (response.status_code, only_code(response)) == (503, "UNAVAILABLE")
