"""GraphiQL's example operations: each runs as it is against a demo that was just seeded."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from httpx2 import AsyncClient

from config import Settings
from deploy.demo.people import fixed_id, user_id
from deploy.demo.seed import DemoLogin, seed
from deploy.demo.story import EXAMPLE, EXAMPLE_AT
from domain.ids import to_global_id
from resolvers.transport.graphiql import FILES
from tests.client import Api, Person
from tests.stack import Stack

POSTS = 3


class Example(NamedTuple):
    """One tab of GraphiQL."""

    title: str
    document: str
    variables: dict[str, Any]

    @property
    def operation(self) -> str:
        return self.document.split("(")[0].split("{")[0].split()[1]


def examples() -> Iterator[Example]:
    """As the page reads them."""
    for block in ("\n" + (FILES / "examples.graphql").read_text()).split("\n### ")[1:]:
        title, *lines = block.rstrip().split("\n")
        variables = [line.removeprefix("#variables ") for line in lines if line.startswith("#variables ")]
        document = "\n".join(line for line in lines if not line.startswith("#variables "))
        yield Example(title, document.strip(), json.loads(variables[0]) if variables else {})


EXAMPLES = {example.operation: example for example in examples()}
ANSWERED = [example for example in EXAMPLES.values() if not example.document.startswith("subscription")]


@pytest.fixture(scope="module")
async def demo(stack: Stack, e2e_settings: Settings) -> DemoLogin:
    """A small demo in the shared database; the worker process that runs there does its part."""
    return await seed(e2e_settings, lambda _text: None, posts=POSTS)


@pytest.fixture
def ana(demo: DemoLogin, http: AsyncClient) -> Person:
    """The demo's user, signed in."""
    return Person(http, demo.access_token)


def test_every_tab_has_a_name_of_its_own() -> None:
    assert len(EXAMPLES) == len(list(examples())) >= 12


@pytest.mark.parametrize("example", ANSWERED, ids=lambda example: example.operation)
async def test_example_runs_as_it_is(example: Example, ana: Person) -> None:
    data = await ana.get(example.document, **example.variables)
    for name, value in data.items():
        assert value is not None, name
        assert value.get("userErrors", []) == []
        assert value.get("edges", ["some"]) != []


async def test_login_example_gives_a_token_that_works(demo: DemoLogin, http: AsyncClient) -> None:
    payload = (await Api(http).get(EXAMPLES["Login"].document))["login"]
    signed_in = Api(http, payload["tokens"]["accessToken"])
    assert (await signed_in.get("{ viewer { user { username } } }"))["viewer"]["user"]["username"] == demo.username


async def test_subscription_example_tells_from_the_beginning(ana: Person) -> None:
    async with ana.socket() as socket:
        await socket.subscribe(EXAMPLES["NotificationAdded"].document)
        heard = [(await socket.next())["notificationAdded"] for _ in range(5)]
    assert all(one["gap"] is None and one["notification"] for one in heard)
    assert [one["seq"] for one in heard] == sorted(one["seq"] for one in heard)


def test_examples_name_what_every_demo_has() -> None:
    post = to_global_id("Post", fixed_id(EXAMPLE_AT, EXAMPLE))
    given = {name: example.variables["id"] for name, example in EXAMPLES.items() if "id" in example.variables}
    assert given.pop("FollowUser") == to_global_id("User", user_id("hugo"))
    assert set(given.values()) == {post}
