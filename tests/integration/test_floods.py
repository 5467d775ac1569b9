"""Floods of small requests: queries, documents that are no queries, bad tokens.

The limits are the default ones, but nothing is restored meanwhile: a busy machine would give the flood time. What they
restore is arithmetic.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from websockets.asyncio.client import connect

from config import Settings
from datasources.sources import prepare
from domain.rate_limits import (
    OPERATION_POINTS,
    POINTS,
    POINTS_OF_STRANGER,
    POINTS_OF_TOKEN,
    REFUSED_REQUESTS,
    REFUSED_REQUESTS_OF_TOKEN,
    RateLimits,
)
from tests.support.client import PASSWORD, SOCKETS, Person, Socket
from tests.support.own_databases import own_database
from tests.support.stack import stack_on

SMALL = "{ __typename }"
SMALL_POINTS = OPERATION_POINTS + 1
COLD_START = 20  # operations with which an app starts
DEFAULTS = RateLimits({}, {})
REFUSED_MAX, REFUSED_OF_TOKEN_MAX = 20, 10
EVER = 1_000_000  # seconds: a limit that restores nothing during a test
LIMITS = {
    REFUSED_REQUESTS: f"{REFUSED_MAX}/{EVER}",
    REFUSED_REQUESTS_OF_TOKEN: f"{REFUSED_OF_TOKEN_MAX}/{EVER}",
    **{name: f"{DEFAULTS.of(name).maximum}/{EVER}" for name in (POINTS, POINTS_OF_TOKEN, POINTS_OF_STRANGER)},
}
NO_QUERIES = ["{ nothingOfThatName }", "{ viewer {", "query ($a: Nothing) { __typename }"]
NO_REQUESTS = [(b"{", "application/json"), (b"[]", "application/json"), (b"a", "text/plain")]
LOGIN = """mutation ($input: LoginInput!) {
  login(input: $input) { deviceToken tokens { accessToken } userErrors { code } }
}"""
ACCEPT = {"accept": "application/graphql-response+json"}
BAD_TOKEN = "x" * 59


@pytest.fixture(scope="module")
def own_settings(shared_settings: Settings) -> Iterator[Settings]:
    with own_database(shared_settings, rate_limit_factor=1.0, rate_limits=LIMITS) as settings:
        yield settings


@pytest.fixture(scope="module")
async def http(own_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx2.AsyncClient]:
    """One process behind a balancer, which names each client's address."""
    await prepare(own_settings)
    with stack_on(own_settings, tmp_path_factory.mktemp("api")) as stack:
        await stack.api()
        async with httpx2.AsyncClient(base_url=stack.url, timeout=60) as client:
            yield client


async def send(http: httpx2.AsyncClient, document: str = SMALL, *, address: str, **headers: str) -> int:
    named = {**ACCEPT, "x-forwarded-for": address}
    body = {"query": document}
    return (await http.post("/graphql", json=body, headers=named | headers)).status_code


async def log_in(http: httpx2.AsyncClient, person: Person, address: str, device: str | None = None) -> httpx2.Response:
    given = {"login": person.username, "password": PASSWORD} | ({} if device is None else {"deviceToken": device})
    headers = {**ACCEPT, "x-forwarded-for": address} | ({} if device is None else {"photogram-device": device})
    return await http.post("/graphql", json={"query": LOGIN, "variables": {"input": given}}, headers=headers)


async def person_at(http: httpx2.AsyncClient, address: str) -> Person:
    async with httpx2.AsyncClient(base_url=http.base_url, timeout=60, headers={"x-forwarded-for": address}) as client:
        person = await Person.register(client)
    person.http = http
    return person


def bearer(token: str | None) -> str:
    return f"Bearer {token}"


async def flood(http: httpx2.AsyncClient, count: int, document: str = SMALL, **sent: str) -> list[int]:
    """The statuses of so many requests, ten at a time."""
    statuses: list[int] = []
    while len(statuses) < count:
        statuses += await asyncio.gather(*(send(http, document, **sent) for _ in range(10)))
    return statuses


@pytest.mark.parametrize("name", [POINTS, POINTS_OF_TOKEN, POINTS_OF_STRANGER])
def test_a_hundred_small_queries_a_second_are_refused_within_seconds(name: str) -> None:
    limit = DEFAULTS.of(name)
    seconds = limit.maximum / (100 * SMALL_POINTS - limit.rate)
    assert seconds < 4
    assert limit.rate / SMALL_POINTS > 3, "but a few a second go on for ever"


async def test_of_three_hundred_small_queries_of_an_account_many_are_refused(http: httpx2.AsyncClient) -> None:
    ana, ben = await person_at(http, "10.9.0.1"), await person_at(http, "10.9.0.1")
    statuses = await flood(http, 300, address="10.9.0.1", authorization=bearer(ana.token))
    assert 6 * COLD_START <= Counter(statuses)[200] <= DEFAULTS.of(POINTS_OF_TOKEN).maximum // SMALL_POINTS
    assert set(statuses) == {200, 429}
    assert await send(http, address="10.9.0.1", authorization=bearer(ben.token)) == 200


async def test_of_an_address_too_and_who_is_signed_in_or_at_home_goes_on_behind_it(http: httpx2.AsyncClient) -> None:
    ana, ben = await person_at(http, "10.9.0.2"), await person_at(http, "10.9.0.2")
    device = (await log_in(http, ana, "10.9.0.2")).json()["data"]["login"]["deviceToken"]
    statuses = await flood(http, 300, address="10.9.0.3")
    assert 6 * COLD_START <= Counter(statuses)[200] <= DEFAULTS.of(POINTS_OF_STRANGER).maximum // SMALL_POINTS
    assert set(statuses) == {200, 429}
    assert await send(http, address="10.9.0.3", authorization=bearer(ben.token)) == 200
    assert (await log_in(http, ana, "10.9.0.3")).status_code == 429
    forged = device[:-3] + ("A" if device[-3] != "A" else "B") + device[-2:]
    for made_up in (forged, "made up", "x" * 5_000):
        assert await send(http, address="10.9.0.3", **{"photogram-device": made_up}) == 429
    at_home = (await log_in(http, ana, "10.9.0.3", device)).json()["data"]["login"]
    assert (at_home["userErrors"], at_home["deviceToken"]) == ([], device)
    statuses = await flood(http, 300, address="10.9.0.3", **{"photogram-device": device})
    assert 429 in statuses, "an account has points for its devices, not points without end"


@pytest.mark.parametrize("document", NO_QUERIES)
async def test_what_is_no_query_is_refused_unread_after_a_while(http: httpx2.AsyncClient, document: str) -> None:
    address = f"10.9.1.{NO_QUERIES.index(document)}"
    ana = await person_at(http, address)
    login = (await log_in(http, ana, "10.9.1.201")).json()["data"]["login"]
    device, unknown = login["deviceToken"], bearer(login["tokens"]["accessToken"])
    assert await send(http, address=address, authorization=bearer(ana.token)) == 200
    statuses = [await send(http, document, address=address) for _ in range(REFUSED_MAX + 5)]
    assert statuses == [400] * REFUSED_MAX + [429] * 5
    answer = await http.post("/graphql", json={"query": SMALL}, headers={**ACCEPT, "x-forwarded-for": address})
    assert answer.json()["errors"][0]["extensions"]["code"] == "RATE_LIMITED"
    assert int(answer.headers["retry-after"]) > 1
    assert await send(http, address="10.9.1.200") == 200
    assert await send(http, address=address, authorization=bearer(ana.token)) == 200
    assert await send(http, address=address, authorization=unknown) == 429  # as a refreshed one
    assert await send(http, address=address, authorization=unknown, **{"photogram-device": device}) == 200
    assert (await log_in(http, ana, address, device)).json()["data"]["login"]["userErrors"] == []


@pytest.mark.parametrize(("body", "content_type"), NO_REQUESTS)
async def test_so_is_what_is_no_request(http: httpx2.AsyncClient, body: bytes, content_type: str) -> None:
    address = f"10.9.2.{NO_REQUESTS.index((body, content_type))}"
    headers = {**ACCEPT, "content-type": content_type, "x-forwarded-for": address}
    statuses = [
        (await http.post("/graphql", content=body, headers=headers)).status_code for _ in range(REFUSED_MAX + 5)
    ]
    assert set(statuses[:REFUSED_MAX]) <= {400, 415}
    assert statuses[REFUSED_MAX:] == [429] * 5


async def test_pages_of_other_origins_use_up_nothing_of_their_visitors(http: httpx2.AsyncClient) -> None:
    for _ in range(REFUSED_MAX + 5):
        assert await send(http, address="10.9.2.200", origin="https://elsewhere.example") == 403
        styles = {"accept": "text/css", "sec-fetch-site": "cross-site"}  # as of <link rel="stylesheet">
        assert await send(http, address="10.9.2.200", **styles) == 403
    assert await send(http, address="10.9.2.200") == 200


async def test_bad_documents_with_a_token_count_to_it_alone(http: httpx2.AsyncClient) -> None:
    ana, ben = await person_at(http, "10.9.3.1"), await person_at(http, "10.9.3.1")
    sent = {"address": "10.9.3.1", "authorization": bearer(ana.token)}
    assert await send(http, **sent) == 200
    statuses = [await send(http, "{ a }", **sent) for _ in range(REFUSED_OF_TOKEN_MAX + 2)]
    assert statuses == [400] * REFUSED_OF_TOKEN_MAX + [429] * 2
    assert await send(http, address="10.9.3.1", authorization=bearer(ben.token)) == 200
    again = (await log_in(http, ana, "10.9.3.1")).json()["data"]["login"]["tokens"]["accessToken"]
    assert await send(http, address="10.9.3.1", authorization=bearer(again)) == 200


async def test_bad_tokens_are_looked_up_for_a_while_only(http: httpx2.AsyncClient) -> None:
    ana = await person_at(http, "10.9.4.1")
    assert await send(http, address="10.9.4.1", authorization=bearer(ana.token)) == 200
    statuses = [
        await send(http, address="10.9.4.1", authorization=bearer(f"{BAD_TOKEN}{number}"))
        for number in range(REFUSED_MAX + 5)
    ]
    assert statuses == [401] * REFUSED_MAX + [429] * 5
    assert await send(http, address="10.9.4.1", authorization=bearer(ana.token)) == 200
    assert await send(http, address="10.9.4.2", authorization=bearer(BAD_TOKEN)) == 401


async def test_an_old_token_of_an_account_cannot_hold_up_its_owner(http: httpx2.AsyncClient) -> None:
    ana = await person_at(http, "10.9.5.1")
    stolen = (await log_in(http, ana, "10.9.5.2")).json()["data"]["login"]["tokens"]["accessToken"]
    sent = {"address": "10.9.5.2", "authorization": bearer(stolen)}
    assert await send(http, **sent) == 200
    await ana.done("revokeOtherSessions")
    statuses = [await send(http, "mutation { __typename }", **sent) for _ in range(REFUSED_OF_TOKEN_MAX + 2)]
    assert statuses == [401] * REFUSED_OF_TOKEN_MAX + [429] * 2
    assert await send(http, address="10.9.5.1", authorization=bearer(ana.token)) == 200


async def test_an_old_device_token_of_an_account_cannot_either(http: httpx2.AsyncClient) -> None:
    """A thief who logged in once has it for ever, for its signature cannot be taken back."""
    ana, thiefs, owns = await person_at(http, "10.9.7.1"), "10.9.7.2", "10.9.7.3"
    stolen = (await log_in(http, ana, thiefs)).json()["data"]["login"]["deviceToken"]
    device = (await log_in(http, ana, owns)).json()["data"]["login"]["deviceToken"]
    await ana.done("changePassword", currentPassword=PASSWORD, newPassword=f"{PASSWORD} 2")
    await ana.done("changePassword", currentPassword=f"{PASSWORD} 2", newPassword=PASSWORD)
    statuses = await flood(http, 450, address=thiefs, **{"photogram-device": stolen})
    assert 2 * DEFAULTS.of(POINTS_OF_STRANGER).maximum // SMALL_POINTS >= Counter(statuses)[200]
    assert set(statuses) == {200, 429}
    assert (await log_in(http, ana, owns, device)).json()["data"]["login"]["userErrors"] == []
    noes = [
        await send(http, "{ a }", address=f"10.9.7.{4 + number % 3}", **{"photogram-device": stolen})
        for number in range(4 * REFUSED_MAX + 5)
    ]
    assert noes == [400] * 4 * REFUSED_MAX + [429] * 5, "the device's, and then each of three addresses'"
    assert (await log_in(http, ana, owns, device)).json()["data"]["login"]["userErrors"] == []


async def test_unknown_hashes_of_documents_do_not_count(http: httpx2.AsyncClient) -> None:
    """A client asks by the hash first, and sends the document if it is not known."""
    body = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}}
    for _ in range(REFUSED_MAX + 5):
        answer = await http.post("/graphql", json=body, headers={**ACCEPT, "x-forwarded-for": "10.9.8.1"})
        assert answer.json()["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_SUPPORTED"
    assert await send(http, address="10.9.8.1") == 200
    headers, url = {"x-forwarded-for": "10.9.8.2"}, str(http.base_url).replace("http", "ws", 1).rstrip("/") + "/graphql"
    async with connect(url, subprotocols=[SOCKETS], additional_headers=headers) as connection:
        socket = Socket(connection)
        await socket.say({"type": "connection_init"})
        assert (await socket.hear())["type"] == "connection_ack"
        for number in range(REFUSED_MAX + 5):
            await socket.say({"type": "subscribe", "id": str(number), "payload": body})
            (error,) = (await socket.hear())["payload"]
            assert error["extensions"]["code"] == "PERSISTED_QUERY_NOT_SUPPORTED"


def test_an_address_has_ten_times_as_many_refused_requests_as_a_token() -> None:
    """Behind it phones wake, each with twenty requests and a token that has expired meanwhile."""
    assert DEFAULTS.of(REFUSED_REQUESTS).rate == 10 * DEFAULTS.of(REFUSED_REQUESTS_OF_TOKEN).rate
    assert DEFAULTS.of(REFUSED_REQUESTS).maximum // 20 == 150  # phones in a minute


async def test_over_sockets_too(http: httpx2.AsyncClient) -> None:
    ana = await person_at(http, "10.9.6.1")
    url = str(http.base_url).replace("http", "ws", 1).rstrip("/") + "/graphql"

    async def close_code(address: str) -> int | None:
        """How a socket with a bad token is closed."""
        headers = {"x-forwarded-for": address}
        async with connect(url, subprotocols=[SOCKETS], additional_headers=headers) as connection:
            socket = Socket(connection)
            await socket.say({"type": "connection_init", "payload": {"authorization": bearer(BAD_TOKEN)}})
            return await socket.closed()

    headers = {"x-forwarded-for": "10.9.6.2"}
    async with connect(url, subprotocols=[SOCKETS], additional_headers=headers) as connection:
        socket = Socket(connection)
        await socket.say({"type": "connection_init"})
        assert (await socket.hear())["type"] == "connection_ack"
        for number in range(REFUSED_MAX - 2):
            await socket.subscribe("{ nothing }", str(number))
            (error,) = (await socket.hear())["payload"]
            assert error["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
        assert [await close_code("10.9.6.2") for _ in range(4)] == [4403, 4403, 1013, 1013]
        await socket.subscribe(SMALL)
        message = await socket.hear()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "RATE_LIMITED")
    assert await close_code("10.9.6.3") == 4403
    async with ana.socket() as socket:
        await socket.subscribe(SMALL)
        assert await socket.next() == {"__typename": "Query"}
