"""Personal access tokens: what their scopes allow, over HTTP, forms and sockets, and how they end."""

from datetime import timedelta
from typing import Any

import pytest
from graphql import OperationType

from domain.access_scopes import AccessScope
from domain.ids import from_global_id
from domain.limits import ACCESS_TOKENS_MAX
from resolvers.api import schema
from schema.field_metadata import needs_session, scope_of
from tests.e2e.conftest import Register
from tests.e2e.test_accounts import minimal, signed_in
from tests.support.client import PASSWORD, Api, Person, small_jpeg
from tests.support.factories import now, opened
from tests.support.stack import Stack
from tests.support.waiting import eventually

TOKEN = "text accessToken { id name scopes expiresAt }"
LISTED = "{ viewer { accessTokens { id name scopes } sessions { id } } }"
PROFILE = 'mutation { updateProfile(input: {biography: "by a program"}) { user { biography } userErrors { code } } }'


async def made(owner: Person, *scopes: str, **given: Any) -> tuple[Person, dict[str, Any]]:
    """A client with a new token of the owner's, and what createAccessToken said of it."""
    payload = await owner.done("createAccessToken", TOKEN, **{"name": "a program", "scopes": scopes, **given})
    return Person(owner.http, payload["text"]), payload["accessToken"]


async def test_a_token_does_what_its_scopes_allow(register: Register) -> None:
    ana = await register()
    reader, _ = await made(ana, "READ")
    writer, _ = await made(ana, "WRITE")
    for token in (reader, writer):
        assert await signed_in(token)
    answer = await reader.ask(PROFILE)
    assert (answer.status, answer.codes, answer.data) == (200, ["INSUFFICIENT_SCOPE"], None)
    assert (await writer.get(PROFILE))["updateProfile"]["user"]["biography"] == "by a program"


async def test_a_form_with_a_file_needs_the_scope_to_write(register: Register) -> None:
    ana = await register()
    for scope, codes in (("READ", ["INSUFFICIENT_SCOPE"]), ("WRITE", [])):
        program, _ = await made(ana, scope)
        assert (await program.upload_image(small_jpeg())).codes == codes


async def test_sockets_keep_to_the_scopes_and_end_with_the_token(register: Register) -> None:
    ana = await register()
    reader, token = await made(ana, "READ")
    async with reader.socket() as socket:
        await socket.subscribe("subscription { notificationAdded { seq } }")
        await socket.subscribe(PROFILE, "2")
        message = await socket.hear()
        assert (message["id"], message["type"]) == ("2", "error")
        assert message["payload"][0]["extensions"]["code"] == "INSUFFICIENT_SCOPE"
        await ana.done("revokeAccessToken", accessTokenId=token["id"])
        assert await socket.closed() == 4403
    await eventually(lambda: _is_refused(reader), seconds=30)


async def _is_refused(client: Api) -> bool:
    return (await client.ask("{ viewer { email } }")).codes == ["UNAUTHENTICATED"]


def test_what_has_to_do_with_accounts_is_closed_to_every_token() -> None:
    kinds = (schema._schema.query_type, schema._schema.mutation_type, schema._schema.subscription_type)
    queries, mutations, subscriptions = (kind.fields for kind in kinds if kind is not None)
    assert {scope_of(field) for field in (*queries.values(), *subscriptions.values())} <= {
        AccessScope.READ,
        AccessScope.MODERATE,
    }
    public = {name for name, field in mutations.items() if not needs_session(field)}
    assert {scope_of(mutations[name]) for name in public} == {None}
    assert {name for name, field in mutations.items() if scope_of(field) is None} >= {
        "changeUsername",
        "changePassword",
        "deactivateAccount",
        "deleteAccount",
        "acceptTerms",
        "requestExport",
        "revokeSession",
        "revokeOtherSessions",
        "confirmIdentity",
        "beginSecondFactor",
        "confirmSecondFactor",
        "renewRecoveryCodes",
        "disableSecondFactor",
        "beginPasskey",
        "confirmPasskey",
        "removePasskey",
        "linkIdentity",
        "unlinkIdentity",
        "createAccessToken",
        "revokeAccessToken",
    }


@pytest.mark.parametrize("scopes", [["READ"], ["READ", "WRITE", "MODERATE"]])
async def test_no_token_logs_in_or_touches_the_account(register: Register, scopes: list[str]) -> None:
    ana = await register()
    program, _ = await made(ana, *scopes)
    fields = schema._schema.get_root_type(OperationType.MUTATION)
    assert fields is not None
    for name, field in fields.fields.items():
        if scope_of(field) is None:
            assert (await program.ask(minimal("mutation", name, field))).codes == ["INSUFFICIENT_SCOPE"], name
    mixed = f"mutation {{ logout(input: {{}}) {{ userErrors {{ code }} }} ...W }} fragment W on Mutation {PROFILE[9:]}"
    assert (await program.ask(mixed)).codes == ["INSUFFICIENT_SCOPE"]
    assert (await program.get("{ __typename }"))["__typename"] == "Query"
    assert await signed_in(ana)


async def test_tokens_and_sessions_are_listed_apart_and_belong_to_their_owner(register: Register) -> None:
    ana, eve = await register(), await register()
    _, token = await made(ana, "MODERATE", "WRITE", name="Robot", days=1)
    viewer = (await ana.get(LISTED))["viewer"]
    assert viewer["accessTokens"] == [{"id": token["id"], "name": "Robot", "scopes": ["READ", "WRITE", "MODERATE"]}]
    assert len(viewer["sessions"]) == 1
    node = "query ($id: ID!) { node(id: $id) { ... on AccessToken { name } ... on Session { clientName } } }"
    assert (await ana.get(node, id=token["id"]))["node"] == {"name": "Robot"}
    assert (await eve.get(node, id=token["id"]))["node"] is None
    assert await eve.refused("revokeAccessToken", accessTokenId=token["id"]) == ("NOT_FOUND", ["accessTokenId"])
    (session,) = viewer["sessions"]
    assert await ana.refused("revokeAccessToken", accessTokenId=session["id"]) == ("NOT_FOUND", ["accessTokenId"])
    await ana.done("revokeAccessToken", accessTokenId=token["id"])
    assert (await ana.get(LISTED))["viewer"]["accessTokens"] == []


async def test_an_account_has_a_bounded_number_of_tokens_of_bounded_life(register: Register) -> None:
    ana = await register()
    for _ in range(ACCESS_TOKENS_MAX):
        await made(ana, "READ")
    assert await ana.refused("createAccessToken", name="one more", scopes=["READ"]) == ("NOT_ALLOWED", None)
    assert len((await ana.get(LISTED))["viewer"]["accessTokens"]) == ACCESS_TOKENS_MAX
    for days in (0, 367):
        refused = await ana.refused("createAccessToken", name="robot", scopes=["READ"], days=days)
        assert refused == ("INVALID_INPUT", ["days"])
    assert await ana.refused("createAccessToken", name=" ", scopes=["READ"]) == ("INVALID_INPUT", ["name"])


async def test_an_expired_token_is_refused(register: Register, stack: Stack) -> None:
    ana = await register()
    async with opened(stack.settings) as world:
        sources = world.sources
        login = await sources.sessions.authenticate(ana.token or "")
        assert login is not None
        long_ago = now() - timedelta(days=2)
        _, text = await sources.access_tokens.create(login, "old", [], lifetime=timedelta(days=1), now=long_ago)
    assert not await signed_in(Api(ana.http, text))
    assert (await ana.get(LISTED))["viewer"]["accessTokens"] == []


async def test_making_a_token_needs_a_fresh_proof(register: Register, stack: Stack) -> None:
    ana = await register()
    async with opened(stack.settings) as world:
        sessions = world.sources.database["sessions"]
        stale = {"$set": {"confirmed_at": now() - timedelta(minutes=11)}}
        await sessions.update_many({"user_id": from_global_id(ana.id)[1]}, stale)
    asked = {"name": "a program", "scopes": ["READ"]}
    assert await ana.refused("createAccessToken", **asked) == ("IDENTITY_NOT_CONFIRMED", None)
    assert await ana.refused("confirmIdentity", password="not the password") == ("INVALID_CREDENTIALS", ["password"])
    assert await ana.refused("createAccessToken", **asked) == ("IDENTITY_NOT_CONFIRMED", None)
    assert (await ana.done("confirmIdentity", "confirmedUntil", password=PASSWORD))["confirmedUntil"]
    await ana.done("createAccessToken", **asked)


async def test_a_session_from_before_proofs_were_noted_has_none(register: Register, stack: Stack) -> None:
    ana = await register()
    async with opened(stack.settings) as world:
        query = {"user_id": from_global_id(ana.id)[1]}
        await world.sources.database["sessions"].update_many(query, {"$unset": {"confirmed_at": ""}})
    refused = await ana.refused("createAccessToken", name="a program", scopes=["READ"])
    assert refused == ("IDENTITY_NOT_CONFIRMED", None)


async def test_sessions_tell_device_and_network_and_all_others_are_revoked(register: Register) -> None:
    ana = await register(clientName="My app", platform="iPhone 17")
    others = [await ana.done("login", "tokens { accessToken }", login=ana.username, password=PASSWORD) for _ in "ab"]
    program, _ = await made(ana, "READ")
    selection = "viewer { sessions { clientName platform network isCurrent } }"
    *rest, first = (await ana.get(f"{{ {selection} }}"))["viewer"]["sessions"]
    device = {"clientName": "My app", "platform": "iPhone 17", "network": "127.0.0.0/24", "isCurrent": True}
    assert first == device
    assert [each["platform"] for each in rest] == [None, None]
    assert (await ana.done("revokeOtherSessions", selection))["viewer"]["sessions"] == [device]
    for other in others:
        assert (await Api(ana.http, other["tokens"]["accessToken"]).ask(PROFILE)).codes == ["UNAUTHENTICATED"]
    assert await signed_in(program)
    await ana.done("revokeOtherSessions", accessTokens=True)
    assert not (await ana.get(LISTED))["viewer"]["accessTokens"]
    assert await signed_in(ana)
