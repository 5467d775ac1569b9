"""What the log says of logins and refusals."""

import json
from collections.abc import Mapping
from typing import Any

from domain.ids import from_global_id
from tests.e2e.conftest import Register
from tests.support.client import PASSWORD, Api
from tests.support.stack import Stack
from tests.support.waiting import eventually


def lines(stack: Stack, event: str) -> list[Mapping[str, Any]]:
    """The lines of an event in the logs of all processes."""
    texts = [line for process in stack.living for line in process.log.read_text().splitlines() if event in line]
    return [line for text in texts if text.startswith("{") and (line := json.loads(text))["event"] == event]


async def test_each_login_and_each_refusal_has_a_line(register: Register, nobody: Api, stack: Stack) -> None:
    ana = await register()
    account = str(from_global_id(ana.id)[1])
    selection = "viewer { user { id } } tokens { refreshToken }"
    opened = await nobody.done("login", selection, login=ana.username, password=PASSWORD)
    assert opened["viewer"]["user"]["id"] == ana.id
    await nobody.done("refreshSession", refreshToken=opened["tokens"]["refreshToken"])  # without a session: no login
    await ana.refused("changePassword", currentPassword="not the password", newPassword="seven quiet lighthouses")

    async def logged() -> bool:
        sessions = [line for line in lines(stack, "session opened") if line["account"] == account]
        refusals = [line for line in lines(stack, "mutation refused") if line.get("account") == account]
        return {line["mutation"] for line in sessions} == {"register", "login"} and [
            (line["mutation"], line["code"]) for line in refusals
        ] == [("changePassword", "INVALID_CREDENTIALS")]

    await eventually(logged)


async def test_a_wrong_password_of_a_login_is_logged_without_what_was_typed(
    register: Register, nobody: Api, stack: Stack
) -> None:
    ana = await register()
    answer = await nobody.ask(
        "mutation ($input: LoginInput!) { login(input: $input) { userErrors { code } } }",
        input={"login": ana.username, "password": "not the password"},
    )
    assert answer.data["login"]["userErrors"] == [{"code": "INVALID_CREDENTIALS"}]

    async def logged() -> bool:
        return any(
            (line["mutation"], line["code"]) == ("login", "INVALID_CREDENTIALS")
            for line in lines(stack, "mutation refused")
        )

    await eventually(logged)
    assert not any(ana.username in line for process in stack.living for line in process.log.read_text().splitlines())
