"""deactivateAccount: others see nothing of the account, and a login brings everything back."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from domain.ids import from_global_id
from tests.e2e.conftest import Register
from tests.support.client import PASSWORD, Api, Person
from tests.support.factories import World, opened
from tests.support.stack import Stack
from tests.support.waiting import eventually

SEEN = """query ($name: String!, $post: ID!, $own: ID!) {
  user(username: $name) { id }
  post(id: $post) { id }
  own: post(id: $own) { likes(first: 5) { edges { node { id } } } comments(first: 5) { edges { node { id } } } }
  feed(first: 10) { edges { node { id } } }
  viewer { user { followers(first: 5) { edges { node { id } } } } unreadNotificationCount }
  notifications(first: 10) { edges { node { __typename } } }
}"""
FILES = "query ($id: ID!) { post(id: $id) { images { renditions { url } } } }"
DEACTIVATE = """mutation ($password: String!) {
  deactivateAccount(input: {password: $password}) { userErrors { code field } }
}"""
TOKENS = "tokens { accessToken refreshToken }"


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    """The stores below the running processes."""
    async with opened(stack.settings) as world:
        yield world


async def befriended(register: Register) -> tuple[Person, Person, str, str]:
    """Two people who follow each other, with a post each; the first has liked and commented on the second's."""
    ana, bob = await register(), await register()
    await ana.done("followUser", userId=bob.id)
    await bob.done("followUser", userId=ana.id)
    hers, his = await ana.ready_post(), await bob.ready_post()
    await ana.done("likePost", postId=his)
    await ana.done("addComment", postId=his, text="hello")
    return ana, bob, hers, his


async def deactivate(person: Person) -> None:
    await person.done("deactivateAccount", password=PASSWORD)


async def log_in(person: Person) -> Any:
    payload = await Api(person.http).done("login", TOKENS, login=person.username, password=PASSWORD)
    person.token = payload["tokens"]["accessToken"]
    return payload


async def test_nothing_is_shown_until_a_login_brings_all_of_it_back(
    register: Register, http: httpx2.AsyncClient
) -> None:
    ana, bob, hers, his = await befriended(register)
    given = {"name": ana.username, "post": hers, "own": his}

    async def is_notified() -> bool:
        shown = await bob.get(SEEN, **given)
        kinds = sorted(edge["node"]["__typename"] for edge in shown["notifications"]["edges"])
        has_post = hers in [edge["node"]["id"] for edge in shown["feed"]["edges"]]
        return has_post and kinds == ["FollowNotification", *["PostNotification"] * 3]

    await eventually(is_notified, seconds=30)
    before = await bob.get(SEEN, **given)
    addresses = [each["url"] for each in (await bob.get(FILES, id=hers))["post"]["images"][0]["renditions"]]
    await deactivate(ana)
    away = await bob.get(SEEN, **given)
    assert (away["user"], away["post"]) == (None, None)
    assert away["own"] == {"likes": {"edges": []}, "comments": {"edges": []}}
    assert [edge["node"]["id"] for edge in away["feed"]["edges"]] == [his]
    assert away["viewer"] == {"user": {"followers": {"edges": []}}, "unreadNotificationCount": 0}
    assert [edge["node"]["__typename"] for edge in away["notifications"]["edges"]] == ["PostNotification"]  # his own

    async def are_gone() -> bool:
        return {(await http.get(address)).status_code for address in addresses} <= {403, 404}

    await eventually(are_gone, seconds=30)
    await log_in(ana)
    assert await bob.get(SEEN, **given) == before

    async def are_back() -> bool:
        urls = [each["url"] for each in (await bob.get(FILES, id=hers))["post"]["images"][0]["renditions"]]
        return all("?" not in url for url in urls) and {(await http.get(url)).status_code for url in urls} == {200}

    await eventually(are_back, seconds=30)


async def test_its_sessions_and_sockets_end_at_once(register: Register) -> None:
    ana = await register()
    other = Api(
        ana.http,
        (await Api(ana.http).done("login", TOKENS, login=ana.username, password=PASSWORD))["tokens"]["accessToken"],
    )
    async with ana.socket() as socket:
        await socket.subscribe("subscription { feedUpdated { newPostCount } }")
        await deactivate(ana)
        assert await socket.closed() == 4403
    for client in (ana, other):
        assert (await client.ask('mutation { updateProfile(input: {biography: "!"}) { user { id } } }')).codes == [
            "UNAUTHENTICATED"
        ]
    assert await Api(ana.http).refused("refreshSession", refreshToken=ana.refresh_token) == (
        "INVALID_CREDENTIALS",
        None,
    )


async def test_a_repetition_answers_as_done_until_the_account_is_back(register: Register) -> None:
    ana = await register()
    first_token = ana.token
    answers = await asyncio.gather(*(ana.ask(DEACTIVATE, password=PASSWORD) for _ in range(3)))
    again = await ana.ask(DEACTIVATE, password=PASSWORD)
    assert [answer.data for answer in (*answers, again)] == [{"deactivateAccount": {"userErrors": []}}] * 4
    await log_in(ana)
    assert (await Api(ana.http, first_token).ask(DEACTIVATE, password=PASSWORD)).codes == ["UNAUTHENTICATED"]
    assert await ana.refused("deactivateAccount", password=PASSWORD) == ("QUOTA_EXCEEDED", None)
    assert (await ana.get("{ viewer { user { username } } }"))["viewer"]["user"]["username"] == ana.username


async def test_it_takes_the_password_or_a_fresh_proof(register: Register, world: World) -> None:
    ana = await register()
    for password in ("not the password", ""):
        assert await ana.refused("deactivateAccount", password=password) == ("INVALID_CREDENTIALS", ["password"])
    sessions = {"user_id": from_global_id(ana.id)[1]}
    await world.sources.database["sessions"].update_many(sessions, {"$unset": {"confirmed_at": ""}})
    assert await ana.refused("deactivateAccount") == ("IDENTITY_NOT_CONFIRMED", None)
    await ana.done("confirmIdentity", password=PASSWORD)
    await ana.done("deactivateAccount")

    async def is_logged_out() -> bool:
        return (await ana.ask("{ viewer { email } }")).data in (None, {"viewer": None})

    await eventually(is_logged_out)  # another process may know the session for two seconds


async def test_no_access_token_can_deactivate_and_none_outlives_it(register: Register) -> None:
    ana = await register()
    made = await ana.done("createAccessToken", "text", name="a program", scopes=["READ", "WRITE"])
    program = Api(ana.http, made["text"])
    assert (await program.ask(DEACTIVATE, password=PASSWORD)).codes == ["INSUFFICIENT_SCOPE"]
    await ana.done("deactivateAccount")
    assert (await program.ask('mutation { likePost(input: {postId: "x"}) { userErrors { code } } }')).codes == [
        "UNAUTHENTICATED"
    ]


async def test_a_wrong_password_brings_nothing_back_and_the_handle_stays_taken(register: Register) -> None:
    ana, bob = await register(), await register()
    await deactivate(ana)
    nobody = Api(ana.http)
    assert (await nobody.refused("login", login=ana.username, password="not the password"))[0] == "INVALID_CREDENTIALS"
    taken = {"username": ana.username, "email": "elsewhere@example.com", "password": PASSWORD}
    assert (await nobody.refused("register", **taken))[0] == "USERNAME_TAKEN"
    assert await bob.refused("followUser", userId=ana.id) == ("NOT_FOUND", ["userId"])
