"""GraphiQL's example operations: each runs as it is against a demo that was just seeded."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from graphql import OperationDefinitionNode, OperationType, parse, print_ast
from httpx2 import AsyncClient

from deploy.demo.people import fixed_id, user_id
from deploy.demo.seed import DemoLogin
from deploy.demo.story import EXAMPLE, EXAMPLE_AT
from domain.ids import from_global_id, to_global_id
from domain.records.users import Role
from resolvers.transport.graphiql import FILES
from tests.e2e.conftest import Register
from tests.e2e.test_delete_account import finish
from tests.support.client import Api, Person
from tests.support.factories import now, opened
from tests.support.mail_server import mail_to, token_in
from tests.support.stack import Stack


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
STEPS = {"VerifyEmail", "ResetPassword", "DeactivateAccount", "DeleteAccount"}
STEPS |= {"ReportContent", "Queue", "ClaimCase", "Moderate", "Log", "AppealDecision"}  # need what a step before answers
STEPS |= {"TrendingHashtags"}  # what no three people of the demo write about in a day
ANSWERED = [each for each in EXAMPLES.values() if not each.is_subscription and each.operation not in STEPS]


@pytest.fixture
def ana(demo: DemoLogin, http: AsyncClient) -> Person:
    """The demo's user, signed in."""
    return Person(http, demo.access_token)


def test_operations_have_names_of_their_own_and_tabs_and_first_lines_fit_the_page() -> None:
    assert len(EXAMPLES) == len(list(examples())) >= 12
    assert len(list(tabs())) <= 12
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
        if isinstance(value, list):
            assert value
            continue
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


async def run(person: Api, operation: str, **variables: str) -> dict[str, Any]:
    """The only root field of an example's answer, with the variables of its tab but for these."""
    (answer,) = (await person.get(text_of(operation), **{**EXAMPLES[operation].variables, **variables})).values()
    assert answer.get("userErrors", []) == []
    return dict(answer)


async def test_account_examples_lead_from_a_registration_to_a_deletion(
    http: AsyncClient, mails: Path, stack: Stack, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, password = {"username": "starter", "email": "starter@example.com"}, "eight loud lighthouses"
    made = await run(Api(http), "Register", **account, key="graphiql-starter")
    newcomer = Api(http, made["tokens"]["accessToken"])
    await run(newcomer, "RequestPasswordReset", **account)
    token = token_in(await mail_to(mails, account["email"], "Choose a new password"))
    await run(newcomer, "ResetPassword", token=token, newPassword=password)
    tokens = (await Api(http).done("login", "tokens { accessToken }", login="starter", password=password))["tokens"]
    await run(Api(http, tokens["accessToken"]), "DeactivateAccount")
    await Api(http).done("login", login="starter", password=password)  # brings it back
    leaving = await register()
    assert (await run(leaving, "DeleteAccount"))["deletedUserId"] == leaving.id
    async with opened(stack.settings) as world:
        await finish(world, leaving, monkeypatch)


async def test_moderation_examples_lead_from_a_report_to_an_appeal(
    ana: Person, register: Register, stack: Stack
) -> None:
    author, moderator = await register(), await register()
    async with opened(stack.settings) as world:
        await world.sources.moderation.deciding.set_role(from_global_id(moderator.id)[1], Role.MODERATOR, now())
    await run(ana, "ReportContent", target=author.id)
    queue = (await run(moderator, "Queue"))["queue"]["edges"]
    case = next(edge["node"]["id"] for edge in queue if edge["node"]["targetId"] == author.id)
    await run(moderator, "ClaimCase", case=case)
    await run(moderator, "Moderate", case=case)
    log = (await run(moderator, "Log"))["log"]["edges"][:2]  # in any order: two processes made them in a second
    assert {edge["node"]["action"] for edge in log} == {"SET_ROLE", "WARN"}
    (decision,) = (await run(author, "Decisions"))["decisions"]["edges"]
    await run(author, "AppealDecision", decision=decision["node"]["id"])
    assert not (await run(author, "Decisions"))["decisions"]["edges"][0]["node"]["canAppeal"]


def test_examples_name_what_every_demo_has() -> None:
    assert EXAMPLES["Post"].variables["id"] == to_global_id("Post", fixed_id(EXAMPLE_AT, EXAMPLE))
    assert EXAMPLES["FollowUser"].variables["id"] == to_global_id("User", user_id("hugo"))
    assert EXAMPLES["ReportContent"].variables["target"] == to_global_id("User", user_id("hugo"))
