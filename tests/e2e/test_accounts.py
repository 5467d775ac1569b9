"""register, login, refreshSession, logout, revokeSession, updateProfile, viewer."""

import asyncio
import secrets
import time
import unicodedata
import uuid
from collections.abc import Awaitable, Callable

import pytest
from graphql import GraphQLField, get_named_type, is_composite_type, is_required_argument

from domain.ids import from_global_id
from resolvers.api import schema as graphql_schema
from tests.e2e.conftest import Register
from tests.support.client import PASSWORD, WITHOUT_SESSION, Api, Person
from tests.support.factories import opened
from tests.support.stack import BalancedStack, Stack
from tests.support.waiting import eventually

TOKENS = "tokens { accessToken refreshToken accessTokenExpiresAt }"
VIEWER = "{ viewer { email user { username } sessions { id clientName isCurrent } } }"


async def signed_in(client: Api) -> bool:
    """Whether the client's token is valid."""
    answer = await client.ask("{ viewer { email } }")
    return answer.data is not None and answer.data["viewer"] is not None


@pytest.fixture
def expect_signed_out(stack: Stack) -> Callable[[Api], Awaitable[None]]:
    """Asserts that a token is not valid: at once, or soon where another process may still read for its session."""

    async def expect(client: Api) -> None:
        async def is_signed_out() -> bool:
            return not await signed_in(client)

        if isinstance(stack, BalancedStack):
            await eventually(is_signed_out)
        else:
            assert await is_signed_out()

    return expect


async def test_a_new_account_is_signed_in(register: Register) -> None:
    ana = await register()
    viewer = (await ana.get(VIEWER))["viewer"]
    assert viewer["email"] == f"{ana.username}@example.com"
    assert viewer["user"] == {"username": ana.username}
    assert [session["isCurrent"] for session in viewer["sessions"]] == [True]


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"password": "short"}, "WEAK_PASSWORD", "password"),
        ({"password": "passwordpassword"}, "WEAK_PASSWORD", "password"),
        ({"password": "Password12345"}, "WEAK_PASSWORD", "password"),
        ({"password": "Refused_Name2026"}, "WEAK_PASSWORD", "password"),
        ({"username": "Photogram.Support"}, "USERNAME_TAKEN", "username"),
        ({"clientName": "x" * 101}, "INVALID_INPUT", "clientName"),
        ({"idempotencyKey": "too short"}, "INVALID_INPUT", "idempotencyKey"),
        ({"username": "a b"}, "INVALID_INPUT", "username"),
        ({"username": "x"}, "INVALID_INPUT", "username"),
        ({"email": "nowhere"}, "INVALID_INPUT", "email"),
        ({"displayName": "x" * 61}, "INVALID_INPUT", "displayName"),
    ],
)
async def test_registering_is_refused_with_the_field_at_fault(
    nobody: Api, given: dict[str, str], code: str, field: str
) -> None:
    good = {"username": "refused_name", "email": "refused@example.com", "password": PASSWORD}
    assert await nobody.refused("register", **{**good, **given}) == (code, [field])
    assert (await nobody.get('{ user(username: "refused_name") { id } }'))["user"] is None


async def test_a_taken_name_and_a_taken_address_are_told_apart(nobody: Api, people: list[Person]) -> None:
    ana = people[0]
    new = {"username": "free_one", "email": "free@example.com", "password": PASSWORD}
    assert await nobody.refused("register", **{**new, "username": ana.username.upper()}) == (
        "USERNAME_TAKEN",
        ["username"],
    )
    address = f"{ana.username}@EXAMPLE.com"
    assert await nobody.refused("register", **{**new, "email": address}) == ("EMAIL_TAKEN", ["email"])


async def test_login_takes_name_or_address(nobody: Api, people: list[Person]) -> None:
    ana = people[0]
    address = f"{ana.username}@example.com"
    typed = (f" {ana.username}", f"{ana.username} ", f"@{ana.username}", f" {address.upper()} ")
    for login in (ana.username, ana.username.upper(), address, *typed):
        payload = await nobody.done("login", f"{TOKENS} viewer {{ user {{ id }} }}", login=login, password=PASSWORD)
        assert payload["viewer"]["user"]["id"] == ana.id


async def test_a_password_typed_decomposed_is_the_same(register: Register, nobody: Api) -> None:
    ana = await register(password="Zażółć gęślą jaźń")
    typed = unicodedata.normalize("NFD", "Zażółć gęślą jaźń")
    await nobody.done("login", login=ana.username, password=typed)
    assert (await nobody.get(f'{{ user(username: "@{ana.username} ") {{ id }} }}'))["user"]["id"] == ana.id


def registration(**given: str) -> dict[str, str]:
    name = f"once_{secrets.token_hex(6)}"
    key = str(uuid.uuid4())
    return {"username": name, "email": f"{name}@example.com", "password": PASSWORD, "idempotencyKey": key, **given}


async def test_registering_again_with_its_key_repeats_the_answer(nobody: Api) -> None:
    given, selection = registration(), f"{TOKENS} viewer {{ user {{ id }} sessions {{ id }} }}"
    answers = await asyncio.gather(*(nobody.done("register", selection, **given) for _ in range(5)))
    assert answers == answers[:1] * 5
    assert await nobody.done("register", selection, **given) == answers[0]
    ana = Api(nobody.http, answers[0]["tokens"]["accessToken"])
    assert await signed_in(ana)
    renewed = (await ana.done("refreshSession", TOKENS, refreshToken=answers[0]["tokens"]["refreshToken"]))["tokens"]
    again = await nobody.done("register", selection, **given)
    assert again["viewer"]["user"] == answers[0]["viewer"]["user"]
    assert len(again["viewer"]["sessions"]) == 2
    assert await signed_in(Api(nobody.http, again["tokens"]["accessToken"]))
    assert await signed_in(Api(nobody.http, renewed["accessToken"]))


async def test_the_key_of_a_registration_is_good_for_that_alone(nobody: Api) -> None:
    given = registration()
    await nobody.done("register", TOKENS, **given)
    reused = ("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])
    for other in ({"username": "another_one"}, {"email": "other@example.com"}, {"password": f"{PASSWORD}!"}):
        assert await nobody.refused("register", **{**given, **other}) == reused
    assert await nobody.refused("register", **{**given, "idempotencyKey": str(uuid.uuid4())}) == (
        "USERNAME_TAKEN",
        ["username"],
    )


async def test_a_wrong_password_and_an_unknown_name_look_the_same(nobody: Api, people: list[Person]) -> None:
    answers = [
        await nobody.do("login", TOKENS, login=login, password="not the password")
        for login in (people[0].username, "nobody_at_all")
    ]
    assert answers[0] == answers[1]
    assert answers[0]["userErrors"][0]["code"] == "INVALID_CREDENTIALS"
    assert answers[0]["tokens"] is None


async def test_without_a_token_there_is_no_viewer(nobody: Api) -> None:
    assert not await signed_in(nobody)


async def test_a_session_that_ends_without_notice_does_nothing_more_and_reads_for_two_seconds(
    register: Register, stack: Stack
) -> None:
    ana = await register()
    assert await signed_in(ana)
    async with opened(stack.settings) as world:
        await world.sources.database["sessions"].delete_many({"user_id": from_global_id(ana.id)[1]})
    answer = await ana.ask('mutation { updateProfile(input: {displayName: "A thief"}) { userErrors { code } } }')
    assert answer.codes == ["UNAUTHENTICATED"]

    async def is_refused() -> bool:
        return (await ana.ask("{ viewer { email } }")).codes == ["UNAUTHENTICATED"]

    await eventually(is_refused, seconds=30)


@pytest.mark.parametrize("token", ["nonsense", "A" * 59])
async def test_an_invalid_token_is_refused_before_anything_is_done(people: list[Person], token: str) -> None:
    stranger = Api(people[0].http, token)
    for document in (
        "{ viewer { email } }",
        "{ feed { edges { cursor } } }",
        f'{{ node(id: "{people[0].id}") {{ id }} }}',
    ):
        answer = await stranger.ask(document)
        assert (answer.codes, answer.data) == (["UNAUTHENTICATED"], None)


async def test_logging_out_twice_is_done_twice_and_needs_a_session_that_is_over(
    register: Register, expect_signed_out: Callable[[Api], Awaitable[None]]
) -> None:
    ana = await register()
    stale = Api(ana.http, ana.token)
    renewed = (await ana.done("refreshSession", TOKENS, refreshToken=ana.refresh_token))["tokens"]
    again = (await ana.done("refreshSession", TOKENS, refreshToken=renewed["refreshToken"]))["tokens"]
    refused = await stale.ask("mutation { logout(input: {}) { userErrors { code } } }")
    assert (refused.codes, refused.data) == (["UNAUTHENTICATED"], None)
    latest = Api(ana.http, again["accessToken"])
    assert await signed_in(latest)
    for _ in range(2):
        await latest.done("logout")
    await expect_signed_out(latest)


async def test_a_bad_token_is_no_hindrance_to_logging_in(
    register: Register, expect_signed_out: Callable[[Api], Awaitable[None]]
) -> None:
    ana = await register()
    stranger = Api(ana.http, "nonsense")
    document = """mutation ($login: String!, $password: String!) {
      ...In
      logout(input: {}) { userErrors { code } }
    }
    fragment In on Mutation { login(input: {login: $login, password: $password}) { tokens { accessToken } } }"""
    answer = await stranger.ask(document, login=ana.username, password=PASSWORD)
    assert answer.codes == ["UNAUTHENTICATED"]  # what is not a token at all was never logged in
    stranger.token = "A" * 59
    answer = await stranger.ask(document, login=ana.username, password=PASSWORD)
    assert answer.errors == []
    gone = Api(ana.http, answer.data["login"]["tokens"]["accessToken"])
    await expect_signed_out(gone)
    payload = await stranger.done("login", TOKENS, login=ana.username, password=PASSWORD)
    assert await signed_in(Api(ana.http, payload["tokens"]["accessToken"]))


async def test_fields_that_need_a_viewer_say_so(nobody: Api, people: list[Person]) -> None:
    feed = await nobody.ask("{ feed { edges { cursor } } }")
    assert (feed.codes, feed.data) == (["UNAUTHENTICATED"], None)
    follow = await nobody.ask(
        "mutation ($id: ID!) { followUser(input: {userId: $id}) { userErrors { code } } }", id=people[0].id
    )
    assert (follow.codes, follow.data) == (["UNAUTHENTICATED"], None)


async def test_a_lost_answer_to_refreshing_is_given_again_while_requests_go_on(register: Register, nobody: Api) -> None:
    ana = await register()
    sent = [nobody.done("refreshSession", TOKENS, refreshToken=ana.refresh_token) for _ in range(4)]
    answers = [payload["tokens"] for payload in await asyncio.gather(*sent)]
    assert answers == answers[:1] * 4
    assert await signed_in(ana)
    assert await signed_in(Api(ana.http, answers[0]["accessToken"]))
    latest = await nobody.done("refreshSession", TOKENS, refreshToken=answers[0]["refreshToken"])
    assert await signed_in(Api(ana.http, latest["tokens"]["accessToken"]))
    again = await nobody.refused("refreshSession", refreshToken=ana.refresh_token)
    assert again == ("INVALID_CREDENTIALS", None)


@pytest.mark.parametrize("verb", ["logout", "revoke", "everywhere"])
async def test_the_end_of_a_session_ends_its_sockets_within_two_seconds(
    register: Register, verb: str, expect_signed_out: Callable[[Api], Awaitable[None]]
) -> None:
    ana = await register()
    payload = await ana.done("login", TOKENS, login=ana.username, password=PASSWORD, clientName="second")
    second = Api(ana.http, payload["tokens"]["accessToken"])
    async with ana.socket() as socket:
        await socket.subscribe("subscription { notificationAdded { seq } }")
        await asyncio.sleep(0)
        begun = time.monotonic()
        if verb == "logout":
            await ana.done("logout")
        elif verb == "everywhere":
            await second.done("logout", everywhere=True)
        else:
            sessions = (await second.get(VIEWER))["viewer"]["sessions"]
            (first,) = [session["id"] for session in sessions if not session["isCurrent"]]
            await second.done("revokeSession", sessionId=first)
        assert await socket.closed() == 4403
        assert time.monotonic() - begun < 2
    await expect_signed_out(ana)
    if verb == "everywhere":
        await expect_signed_out(second)
    else:
        assert await signed_in(second)


async def test_only_the_owner_revokes_a_session(people: list[Person]) -> None:
    ana, eve, _ = people
    (session,) = [each["id"] for each in (await ana.get(VIEWER))["viewer"]["sessions"] if each["isCurrent"]]
    assert await eve.refused("revokeSession", sessionId=session) == ("NOT_FOUND", ["sessionId"])
    assert await eve.refused("revokeSession", sessionId="nonsense") == ("NOT_FOUND", ["sessionId"])
    assert await signed_in(ana)


async def test_a_profile_is_changed_as_a_whole_or_not_at_all(register: Register) -> None:
    ana = await register()
    fields = "user { displayName biography website isPrivate }"
    changed = await ana.done("updateProfile", fields, displayName="Ana A.", biography="Hi", website="https://a.example")
    expected = {"displayName": "Ana A.", "biography": "Hi", "website": "https://a.example", "isPrivate": False}
    assert changed["user"] == expected
    assert await ana.refused("updateProfile", biography="New", website="javascript:1") == ("INVALID_INPUT", ["website"])
    assert (await ana.done("updateProfile", fields))["user"] == expected
    assert await ana.refused("updateProfile", avatarUploadId="nonsense") == ("NOT_FOUND", ["avatarUploadId"])


def minimal(kind: str, name: str, field: GraphQLField) -> str:
    """A valid document of one root field, without values for its variables: it is refused before they matter."""
    needed = {each: argument.type for each, argument in field.args.items() if is_required_argument(argument)}
    variables = ", ".join(f"${each}: {type_}" for each, type_ in needed.items())
    arguments = ", ".join(f"{each}: ${each}" for each in needed)
    selection = " { __typename }" if is_composite_type(get_named_type(field.type)) else ""
    return f"{kind} {f'({variables})' if needed else ''} {{ {name}{f'({arguments})' if needed else ''}{selection} }}"


async def test_every_root_field_refuses_a_token_that_is_over_but_those_that_need_none(register: Register) -> None:
    ana = await register()
    await ana.done("logout")
    queries, mutations = graphql_schema._schema.query_type, graphql_schema._schema.mutation_type
    assert queries is not None
    assert mutations is not None
    documents = {name: minimal("query", name, field) for name, field in queries.fields.items()}
    documents |= {name: minimal("mutation", name, field) for name, field in mutations.fields.items()}
    answers = await asyncio.gather(*(ana.ask(document) for document in documents.values()))
    refused = {name for name, answer in zip(documents, answers, strict=True) if answer.codes == ["UNAUTHENTICATED"]}
    assert set(documents) - refused == WITHOUT_SESSION | {"logout"}
    assert all(answer.data is None for answer in answers)
