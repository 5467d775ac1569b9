"""GraphiQL's example operations: each runs as it is against a demo that was just seeded."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from graphql import OperationDefinitionNode, OperationType, parse, print_ast
from httpx2 import AsyncClient

from deploy.demo.people import fixed_id, user_id
from deploy.demo.seed import DemoLogin
from deploy.demo.story import EXAMPLE, EXAMPLE_AT
from domain.ids import to_global_id
from resolvers.transport.graphiql import FILES
from tests.support.client import Api, Person


class Example(NamedTuple):
    """One operation of a tab of GraphiQL, with the variables of the tab."""

    operation: str
    is_subscription: bool
    document: str
    variables: dict[str, Any]


def tabs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Documents and variables, as the page reads them."""
    for block in ("\n" + (FILES / "examples.graphql").read_text()).split("\n### Tab\n")[1:]:
        first, _, rest = block.partition("\n")
        if first.startswith("#variables "):
            yield rest.strip(), json.loads(first.removeprefix("#variables "))
        else:
            yield block.strip(), {}


def examples() -> Iterator[Example]:
    for document, variables in tabs():
        for node in parse(document).definitions:
            assert isinstance(node, OperationDefinitionNode)
            assert node.name is not None
            yield Example(node.name.value, node.operation is OperationType.SUBSCRIPTION, document, variables)


def text_of(operation: str) -> str:
    """The text of an example alone."""
    nodes = parse(EXAMPLES[operation].document).definitions
    return next(print_ast(node) for node in nodes if f" {operation}" in print_ast(node).split("{")[0])


EXAMPLES = {example.operation: example for example in examples()}
ANSWERED = [example for example in EXAMPLES.values() if not example.is_subscription]


@pytest.fixture
def ana(demo: DemoLogin, http: AsyncClient) -> Person:
    """The demo's user, signed in."""
    return Person(http, demo.access_token)


def test_operations_have_names_of_their_own_and_tabs_and_first_lines_fit_the_page() -> None:
    assert len(EXAMPLES) == len(list(examples())) >= 12
    assert len(list(tabs())) <= 9
    comments = [line for document, _ in tabs() for line in document.split("\n") if line.startswith("#")]
    assert max(map(len, comments)) <= 48


@pytest.mark.parametrize("example", ANSWERED, ids=lambda example: example.operation)
async def test_example_runs_as_it_is(example: Example, ana: Person) -> None:
    body = {"query": example.document, "variables": example.variables, "operationName": example.operation}
    headers = {"authorization": f"Bearer {ana.token}"}
    answer = (await ana.http.post("/graphql", json=body, headers=headers)).json()
    assert "errors" not in answer
    for name, value in answer["data"].items():
        assert value is not None, name
        assert value.get("userErrors", []) == []
        assert value.get("edges", ["some"]) != []


async def test_login_example_gives_a_token_that_works(demo: DemoLogin, http: AsyncClient) -> None:
    payload = (await Api(http).get(text_of("Login")))["login"]
    signed_in = Api(http, payload["tokens"]["accessToken"])
    assert (await signed_in.get("{ viewer { user { username } } }"))["viewer"]["user"]["username"] == demo.username


async def test_subscription_example_begins_with_the_first_notification(ana: Person) -> None:
    async with ana.socket() as socket:
        await socket.subscribe(text_of("NotificationAdded"))
        events = [(await socket.next())["notificationAdded"] for _ in range(5)]
    assert all(event["gap"] is None and event["notification"] for event in events)
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)


def test_examples_name_what_every_demo_has() -> None:
    assert EXAMPLES["Post"].variables["id"] == to_global_id("Post", fixed_id(EXAMPLE_AT, EXAMPLE))
    assert EXAMPLES["FollowUser"].variables["id"] == to_global_id("User", user_id("hugo"))
