"""Limits of proofs, factors and tokens as they are by default: alike for all, and no way to hold up an owner."""

from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from config import Settings
from datasources.sources import prepare
from domain.rate_limits import MEMBER, ROLE_FACTORS, Action, RateLimits
from tests.e2e.test_second_factor import SESSION, protected, step_of
from tests.support.authenticator import Authenticator
from tests.support.authenticator_app import AuthenticatorApp
from tests.support.client import Api, Person
from tests.support.own_databases import own_database
from tests.support.stack import stack_on


@pytest.fixture(scope="module")
def own_settings(shared_settings: Settings) -> Iterator[Settings]:
    with own_database(shared_settings) as settings:
        yield settings.model_copy(update={"rate_limit_factor": 1.0})


@pytest.fixture(scope="module")
async def http(own_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx2.AsyncClient]:
    await prepare(own_settings)
    with stack_on(own_settings, tmp_path_factory.mktemp("proofs")) as stack:
        await stack.api()
        async with httpx2.AsyncClient(base_url=stack.url, timeout=60) as client:
            yield client


@pytest.mark.parametrize("role", ROLE_FACTORS)
def test_proofs_are_limited_alike_for_every_role(role: str) -> None:
    limits = RateLimits({}, {})
    assert limits.of_action(Action.PROOF, role) == limits.of_action(Action.PROOF, MEMBER)


async def test_a_newcomer_may_mistype_while_setting_up_a_second_factor(http: httpx2.AsyncClient) -> None:
    ana = await Person.register(http)
    app = AuthenticatorApp((await ana.done("beginSecondFactor", "secret"))["secret"])
    for _ in range(3):
        assert (await ana.refused("confirmSecondFactor", oneTimeCode=app.wrong()))[0] == "INVALID_CREDENTIALS"
    await ana.done("confirmSecondFactor", oneTimeCode=app.code())


async def test_who_guesses_codes_does_not_hold_up_recovery_codes_and_passkeys(http: httpx2.AsyncClient) -> None:
    ana, key = await Person.register(http), Authenticator()
    begun = await ana.done("beginPasskey", "options")
    await ana.done("confirmPasskey", name="key", passkey=key.create(begun["options"]))
    app, recovery_codes = await protected(ana)
    nobody, challenge = Api(http), (await step_of(ana))["challenge"]
    guesses = [await nobody.refused("completeLogin", challenge=challenge, oneTimeCode=app.wrong()) for _ in range(12)]
    assert guesses[0][0] == "INVALID_CREDENTIALS"
    assert guesses[-1][0] == "RATE_LIMITED"
    http.headers["x-forwarded-for"] = "192.0.2.7"  # where the owner is
    await nobody.done("completeLogin", SESSION, challenge=challenge, oneTimeCode=recovery_codes[0])
    challenge = (await step_of(ana))["challenge"]
    asked = await nobody.done("beginPasskeyLogin", "options", challenge=challenge)
    await nobody.done("completeLogin", SESSION, challenge=challenge, passkey=key.use(asked["options"]))


async def test_access_tokens_and_handles_are_not_changed_without_end(http: httpx2.AsyncClient) -> None:
    ana = await Person.register(http)
    for name, given in (
        ("createAccessToken", {"name": "a program", "scopes": ["READ"]}),
        ("changeUsername", {"username": ana.username}),
    ):
        for _ in range(60):
            errors = (await ana.do(name, **given))["userErrors"]
            if errors:
                break
        assert [error["code"] for error in errors] == ["RATE_LIMITED"], name
