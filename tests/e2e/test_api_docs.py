"""The examples of docs/api.md, taken from the page as it stands, do what it says."""

import asyncio
import json
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest
from graphql import OperationDefinitionNode, parse
from httpx2 import AsyncClient

from tests.e2e.conftest import Register
from tests.support.api_page import blocks
from tests.support.client import PASSWORD, Api, Person, small_jpeg
from tests.support.stack import Stack
from tests.support.toxic_proxy import Toxic, proxied
from tests.support.waiting import eventually

SignIn = Callable[[Any, Person], Awaitable[Any]]

SIGN_IN = """mutation ($login: String!, $password: String!) {
  login(input: {login: $login, password: $password}) {
    tokens { accessToken accessTokenExpiresAt refreshToken } userErrors { code }
  }
}"""


def program(address: str) -> Any:
    """The Python of the page, with the API at this address."""
    names: dict[str, Any] = {}
    source = "\n".join(block.text for block in blocks("python"))
    exec(compile(source, "docs/api.md", "exec"), names)  # noqa: S102  our own page
    names["API"] = address
    return SimpleNamespace(names=names, **names)


@pytest.fixture
def page(stack: Stack) -> Any:
    return program(f"{stack.url}/graphql")


@pytest.fixture
async def ana(register: Register) -> Person:
    return await register()


@pytest.fixture
async def sign_in() -> AsyncIterator[SignIn]:
    """Makes the page's client, with a session of its own."""
    clients = []

    async def client_of(page: Any, person: Person) -> Any:
        payload = (await Api(person.http).get(SIGN_IN, login=person.username, password=PASSWORD))["login"]
        clients.append(page.Client(payload["tokens"]))
        return clients[-1]

    yield client_of
    for client in clients:
        client.http.close()


@pytest.fixture
async def client(page: Any, ana: Person, sign_in: SignIn) -> Any:
    return await sign_in(page, ana)


def shape(value: Any) -> Any:
    """A value without what differs from one time to the next."""
    match value:
        case dict():
            return {name: each if name in ("code", "limit", "field") else shape(each) for name, each in value.items()}
        case list():
            return [shape(each) for each in value]
        case _:
            return type(value) if value is not None else None


@pytest.mark.parametrize("block", blocks("sh"), ids=lambda block: block.text[:40])
async def test_a_shell_example_prints_the_answer_of_the_page(block: Any, stack: Stack) -> None:
    environment = {"API": f"{stack.url}/graphql", "PATH": os.environ["PATH"]}
    shell = await asyncio.create_subprocess_exec(
        "bash", "-c", block.text, env=environment, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await asyncio.wait_for(shell.communicate(), 30)
    assert shape(json.loads(printed)) == shape(json.loads(block.answer))


@pytest.mark.parametrize("block", blocks("graphql"), ids=lambda block: block.text.split("(")[0])
async def test_a_graphql_example_is_answered(block: Any, ana: Person, http: AsyncClient) -> None:
    post_id = await ana.ready_post()
    (node,) = parse(block.text).definitions
    assert isinstance(node, OperationDefinitionNode)
    is_refused = "userErrors" in (block.answer or "")
    values = {
        "login": ana.username, "password": PASSWORD, "post": post_id, "key": "a key",
        "text": "" if is_refused else "Lovely!",
    }  # fmt: skip
    variables = {
        name: values[name] for each in node.variable_definitions or () if (name := each.variable.name.value) in values
    }
    body = {"query": block.text, "variables": variables}
    answer = (await http.post("/graphql", json=body, headers={"authorization": f"Bearer {ana.token}"})).json()
    assert "errors" not in answer
    if block.answer:
        assert shape(answer) == shape(json.loads(block.answer))
    assert all(payload.get("edges") != [] for payload in answer["data"].values())
    assert all(not payload.get("userErrors") for payload in answer["data"].values()) is not is_refused


async def test_an_expired_token_is_refreshed_once_by_all_threads_and_kept_first(
    page: Any, client: Any, ana: Person
) -> None:
    kept: list[Any] = []
    client.keep = kept.append
    client.tokens = {**client.tokens, "accessToken": "no such token"}
    ask = "{ viewer { user { username } } }"
    answers = await asyncio.gather(*(asyncio.to_thread(client.ask, ask) for _ in range(4)))
    assert [answer["viewer"]["user"]["username"] for answer in answers] == [ana.username] * 4
    assert kept == [client.tokens]


async def test_an_ended_session_is_reported(page: Any, client: Any) -> None:
    await asyncio.to_thread(page.do, client, "logout", "")
    with pytest.raises(page.SignedOut, match="INVALID_CREDENTIALS"):
        await asyncio.to_thread(client.ask, "{ notifications { edges { cursor } } }")


async def test_a_comment_with_a_key_is_made_once(page: Any, client: Any, ana: Person) -> None:
    post_id = await ana.ready_post()
    ids = {await asyncio.to_thread(page.add_comment, client, post_id, "Hello", "a key") for _ in range(2)}
    assert len(ids) == 1
    with pytest.raises(page.Refused) as refused:
        await asyncio.to_thread(page.add_comment, client, post_id, "Other words", "a key")
    assert refused.value.code == "IDEMPOTENCY_KEY_REUSED"


async def test_a_photograph_is_shared_with_progress_and_once_for_its_keys(page: Any, client: Any, ana: Person) -> None:
    data, steps = small_jpeg(size=(600, 600)) + bytes(100_000), list[Any]()
    upload_id = await asyncio.to_thread(page.upload, client, data, "JPEG", "a key", lambda *step: steps.append(step))
    assert steps[0] == (64 * 1024, len(data))
    assert steps[-1] == (len(data), len(data))
    assert await asyncio.to_thread(page.upload, client, data, "JPEG", "a key") == upload_id
    draft = {"uploadKey": "a key", "postKey": "another"}
    posts = {await asyncio.to_thread(page.share, client, data, "Hello", draft) for _ in range(2)}
    assert len(posts) == 1
    await ana.wait_for_status(posts.pop(), "READY")


async def test_a_put_that_has_arrived_is_done_and_wrong_bytes_are_given_up(page: Any, client: Any, ana: Person) -> None:
    data = small_jpeg()
    request = (await ana.announce(data))["request"]
    wrong = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(ValueError, match="40"):
        await asyncio.to_thread(page.put, client.http, request, wrong, print)
    assert [await asyncio.to_thread(page.put, client.http, request, data, lambda *_: None) for _ in range(2)] == [
        True
    ] * 2


async def test_an_upload_that_was_cancelled_is_given_up(page: Any, client: Any, ana: Person) -> None:
    data = small_jpeg()
    announced = await ana.announce(data, idempotencyKey="a key")
    await ana.done("cancelUpload", uploadId=announced["upload"]["id"])
    with pytest.raises(ValueError, match="new key"):
        await asyncio.to_thread(page.upload, client, data, "JPEG", "a key")


async def test_a_file_through_the_api_is_taken_once_for_its_key(page: Any, client: Any) -> None:
    data = small_jpeg()
    ids = {await asyncio.to_thread(page.upload_image, client, data, "a key") for _ in range(2)}
    assert len(ids) == 1


async def test_notifications_go_on_after_broken_connections_none_missing_none_twice(
    stack: Stack, ana: Person, register: Register, sign_in: SignIn
) -> None:
    followers = [await register() for _ in range(6)]
    async with proxied(f"{stack.url}/graphql") as proxy:
        page = program(proxy.url)
        client, heard = await sign_in(page, ana), list[Any]()
        listening = listen(page.notifications(client, 0), heard.append, count=len(followers))
        for number, follower in enumerate(followers, 1):
            await follower.done("followUser", userId=ana.id)
            if number % 2:
                await eventually(partial(is_heard, heard, number), seconds=30)
                proxy.become(Toxic.REFUSE)  # every connection breaks, and the next follow comes meanwhile
            else:
                proxy.become(Toxic.NONE)
        proxy.become(Toxic.NONE)
        await eventually(partial(is_heard, heard, len(followers)), seconds=40)
        await asyncio.to_thread(listening.join, 10)
    assert [event["seq"] for event in heard] == list(range(1, len(followers) + 1))
    assert [event["notification"]["actors"][0]["id"] for event in heard] == [each.id for each in followers]


async def test_notifications_go_on_with_a_new_token(page: Any, client: Any, ana: Person, register: Register) -> None:
    client.tokens = {**client.tokens, "accessToken": "no such token"}
    await (await register()).done("followUser", userId=ana.id)
    (event,) = await asyncio.to_thread(lambda: list(islice(page.notifications(client, 0), 1)))
    assert event["notification"]["kind"] == "FOLLOWED"


async def test_a_gap_is_an_event_like_others(page: Any, client: Any) -> None:
    (event,) = await asyncio.to_thread(lambda: list(islice(page.notifications(client, 1_000), 1)))
    assert event == {"seq": 0, "notification": None, "gap": {"oldestSeq": 0, "newestSeq": 0}}


async def is_heard(heard: list[Any], count: int) -> bool:
    return len(heard) >= count


def listen(events: Iterator[Any], take: Callable[[Any], None], *, count: int) -> threading.Thread:
    """Takes so many events in a thread, which ends with the test."""

    def run() -> None:
        for event in islice(events, count):
            take(event)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
