"""changeUsername: both handles lead to the account, for everybody and at once."""

import secrets

import pytest

from tests.e2e.conftest import Register
from tests.support.client import PASSWORD, Api

USER = "query ($name: String!) { user(username: $name) { id username } }"
MENTIONS = "query ($id: ID!) { post(id: $id) { author { username } mentions { username } } }"


def fresh() -> str:
    return f"new_{secrets.token_hex(6)}"


async def test_links_mentions_and_login_by_either_handle(register: Register) -> None:
    ana, bob = await register(), await register()
    earlier = await bob.ready_post(caption=f"with @{ana.username}")
    assert (await bob.get(USER, name=ana.username))["user"] == {"id": ana.id, "username": ana.username}
    name = fresh()
    payload = await ana.done("changeUsername", "user { id username }", username=f" @{name.title()}")
    assert payload["user"] == {"id": ana.id, "username": name.title()}
    for each in (ana.username, name, f"@{name.upper()}"):
        assert (await bob.get(USER, name=each))["user"] == {"id": ana.id, "username": name.title()}
        tokens = (await Api(ana.http).done("login", "tokens { accessToken }", login=each, password=PASSWORD))["tokens"]
        assert tokens["accessToken"]
    later = await bob.create_post(await bob.upload(b"no picture"), caption=f"@{ana.username} and @{name}")
    for post in (earlier, later):
        assert (await bob.get(MENTIONS, id=post))["post"]["mentions"] == [{"username": name.title()}]
    hers = await ana.ready_post()
    assert (await bob.get(MENTIONS, id=hers))["post"]["author"] == {"username": name.title()}


async def test_nobody_else_gets_either_handle(register: Register) -> None:
    ana, bob = await register(), await register()
    name = fresh()
    await ana.done("changeUsername", username=name)
    await ana.done("changeUsername", username=name)  # a retry
    for taken in (ana.username, name):
        assert await bob.refused("changeUsername", username=taken) == ("USERNAME_TAKEN", ["username"])
        given = {"username": taken, "email": f"{fresh()}@example.com", "password": PASSWORD}
        assert await Api(ana.http).refused("register", **given) == ("USERNAME_TAKEN", ["username"])
    await ana.done("changeUsername", username=ana.username)
    assert await ana.refused("changeUsername", username=fresh()) == ("QUOTA_EXCEEDED", ["username"])


@pytest.mark.parametrize(
    ("name", "code"), [("x", "INVALID_INPUT"), ("a b c", "INVALID_INPUT"), ("Photogram.Support", "USERNAME_TAKEN")]
)
async def test_a_handle_must_be_one(register: Register, name: str, code: str) -> None:
    ana = await register()
    assert await ana.refused("changeUsername", username=name) == (code, ["username"])
