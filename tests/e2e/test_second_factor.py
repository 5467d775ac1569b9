"""One-time codes as a second factor, over HTTP: turned on, asked for, spent, guessed, turned off."""

import asyncio
from base64 import urlsafe_b64encode
from datetime import timedelta
from secrets import token_hex, token_urlsafe
from typing import Any

import pytest

from datasources.accounts.challenges import Purpose
from domain.ids import from_global_id
from domain.limits import CODE_TRIES, RECOVERY_CODES
from tests.e2e.conftest import Register
from tests.e2e.test_accounts import signed_in
from tests.support.authenticator import Authenticator
from tests.support.authenticator_app import AuthenticatorApp
from tests.support.client import PASSWORD, Api, Person
from tests.support.factories import now, opened
from tests.support.stack import Stack

SESSION = "tokens { accessToken } viewer { user { id } }"
STEP = f"{SESSION} secondFactor {{ challenge expiresAt methods }}"
WRONG = ("INVALID_CREDENTIALS", ["oneTimeCode"])


async def protected(person: Person) -> tuple[AuthenticatorApp, list[str]]:
    """Turns one-time codes on. Returns the app and the recovery codes."""
    begun = await person.done("beginSecondFactor", "secret otpauthUrl", password=PASSWORD)
    assert begun["otpauthUrl"] == (
        f"otpauth://totp/Photogram:{person.username}?secret={begun['secret']}&issuer=Photogram"
    )
    app = AuthenticatorApp(begun["secret"])
    confirmed = await person.done(
        "confirmSecondFactor", "recoveryCodes viewer { hasSecondFactor recoveryCodesLeft }", oneTimeCode=app.code()
    )
    assert confirmed["viewer"] == {"hasSecondFactor": True, "recoveryCodesLeft": RECOVERY_CODES}
    return app, confirmed["recoveryCodes"]


async def step_of(person: Person) -> dict[str, Any]:
    """The second step that a login with the right password answers."""
    payload = await Api(person.http).do("login", STEP, login=person.username, password=PASSWORD)
    assert [error["code"] for error in payload["userErrors"]] == ["SECOND_FACTOR_REQUIRED"]
    assert payload["tokens"] is None
    assert payload["viewer"] is None
    step: dict[str, Any] = payload["secondFactor"]
    return step


async def test_a_login_needs_a_code_once_codes_are_on_and_each_code_is_good_once(register: Register) -> None:
    ana = await register()
    app, _ = await protected(ana)
    nobody, step = Api(ana.http), await step_of(ana)
    assert step["methods"] == ["ONE_TIME_CODE", "RECOVERY_CODE"]
    challenge, code = step["challenge"], app.code()
    assert await nobody.refused("completeLogin", challenge=challenge, oneTimeCode=app.wrong()) == WRONG
    payload = await nobody.done("completeLogin", SESSION, challenge=challenge, oneTimeCode=f" {code[:3]} {code[3:]}")
    assert payload["viewer"]["user"]["id"] == ana.id
    assert await signed_in(Api(ana.http, payload["tokens"]["accessToken"]))
    again = await step_of(ana)
    assert await nobody.refused("completeLogin", challenge=again["challenge"], oneTimeCode=code) == WRONG
    spent = await nobody.refused("completeLogin", challenge=challenge, oneTimeCode=app.code())
    assert spent == ("INVALID_CREDENTIALS", ["challenge"])


async def test_a_registration_sent_again_does_not_get_around_the_second_factor(nobody: Api) -> None:
    name, key = f"ana_{token_hex(4)}", token_urlsafe(16)
    given = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, "idempotencyKey": key}
    ana = await Person.register(nobody.http, **given)
    await protected(ana)
    assert await nobody.refused("register", **given) == ("SECOND_FACTOR_REQUIRED", None)
    await ana.done("refreshSession", refreshToken=ana.refresh_token)
    assert await nobody.refused("register", **given) == ("SECOND_FACTOR_REQUIRED", None)


async def test_a_wrong_password_says_nothing_of_a_second_factor(register: Register) -> None:
    ana = await register()
    await protected(ana)
    nobody = Api(ana.http)
    answers = [
        await nobody.do("login", STEP, login=login, password="not the password")
        for login in (ana.username, "nobody_at_all")
    ]
    assert answers[0] == answers[1]
    assert answers[0]["secondFactor"] is None


async def test_of_concurrent_logins_with_one_code_one_succeeds(register: Register) -> None:
    ana = await register()
    app, recovery_codes = await protected(ana)
    for code in (app.code(), recovery_codes[0]):
        steps = [await step_of(ana) for _ in range(4)]
        tries = [Api(ana.http).do("completeLogin", SESSION, challenge=s["challenge"], oneTimeCode=code) for s in steps]
        assert sum(payload["tokens"] is not None for payload in await asyncio.gather(*tries)) == 1


async def test_guesses_are_few_and_do_not_keep_the_owner_out(register: Register) -> None:
    ana = await register()
    app, recovery_codes = await protected(ana)
    nobody, wrong = Api(ana.http), app.wrong()
    steps = [(await step_of(ana))["challenge"] for _ in range(3)]
    guesses = [
        nobody.do("completeLogin", challenge=steps[number % 3], oneTimeCode=wrong) for number in range(3 * CODE_TRIES)
    ]
    errors = [payload["userErrors"][0] for payload in await asyncio.gather(*guesses)]
    codes = [error["code"] for error in errors]
    assert (codes.count("INVALID_CREDENTIALS"), codes.count("RATE_LIMITED")) == (CODE_TRIES, 2 * CODE_TRIES)
    assert all(error["retryAfterMs"] > 3_000_000 for error in errors if error["code"] == "RATE_LIMITED")
    assert (await nobody.refused("completeLogin", challenge=steps[0], oneTimeCode=app.code()))[0] == "RATE_LIMITED"
    await nobody.done("completeLogin", SESSION, challenge=steps[0], oneTimeCode=recovery_codes[0].upper())


async def test_a_right_code_starts_the_count_of_wrong_ones_again(register: Register) -> None:
    ana = await register()
    app, _ = await protected(ana)
    for _ in range(2):
        for _ in range(CODE_TRIES - 1):
            assert await ana.refused("confirmIdentity", oneTimeCode=app.wrong()) == WRONG
        await ana.done("confirmIdentity", oneTimeCode=app.code())


async def test_a_recovery_code_is_good_once_and_new_ones_replace_the_old(register: Register) -> None:
    ana = await register()
    app, codes = await protected(ana)
    assert len(set(codes)) == RECOVERY_CODES
    await ana.done("confirmIdentity", oneTimeCode=codes[0])
    assert await ana.refused("confirmIdentity", oneTimeCode=codes[0]) == WRONG
    selection = "recoveryCodes viewer { recoveryCodesLeft }"
    renewed = await ana.done("renewRecoveryCodes", selection, oneTimeCode=app.code())
    assert renewed["viewer"]["recoveryCodesLeft"] == RECOVERY_CODES
    assert await ana.refused("confirmIdentity", oneTimeCode=codes[1]) == WRONG
    await ana.done("confirmIdentity", oneTimeCode=renewed["recoveryCodes"][1].replace("-", ""))


async def test_codes_are_turned_off_by_a_code_and_cannot_be_replaced_without(register: Register) -> None:
    ana = await register()
    app, _ = await protected(ana)
    assert await ana.refused("beginSecondFactor", password=PASSWORD) == ("NOT_ALLOWED", None)
    assert await ana.refused("disableSecondFactor", password=PASSWORD, oneTimeCode=app.wrong()) == WRONG
    wrong = await ana.refused("disableSecondFactor", password="not the password", oneTimeCode=app.code())
    assert wrong == ("INVALID_CREDENTIALS", ["password"])
    selection = "viewer { hasSecondFactor recoveryCodesLeft }"
    off = await ana.done("disableSecondFactor", selection, password=PASSWORD, oneTimeCode=app.code())
    assert off["viewer"] == {"hasSecondFactor": False, "recoveryCodesLeft": 0}
    await Api(ana.http).done("login", SESSION, login=ana.username, password=PASSWORD)
    await protected(ana)


async def test_without_a_fresh_proof_nothing_of_factors_changes(register: Register, stack: Stack) -> None:
    ana = await register()
    app, _ = await protected(ana)
    async with opened(stack.settings) as world:
        stale = {"$set": {"confirmed_at": now() - timedelta(minutes=11)}}
        await world.sources.database["sessions"].update_many({"user_id": from_global_id(ana.id)[1]}, stale)
    needed = {
        "beginSecondFactor": {},
        "confirmSecondFactor": {"oneTimeCode": app.code()},
        "renewRecoveryCodes": {"oneTimeCode": "000000"},
        "disableSecondFactor": {"oneTimeCode": "000000"},
        "beginPasskey": {},
        "confirmPasskey": {"name": "phone", "passkey": "{}"},
        "removePasskey": {"passkeyId": "nonsense"},
    }
    for name, given in needed.items():
        assert await ana.refused(name, **given) == ("IDENTITY_NOT_CONFIRMED", None), name
    await ana.done("confirmIdentity", oneTimeCode=app.code())
    assert (await ana.refused("removePasskey", passkeyId="nonsense"))[0] == "NOT_FOUND"


async def test_a_password_that_comes_with_a_mutation_is_a_fresh_proof_for_the_next(
    register: Register, stack: Stack
) -> None:
    ana, key = await register(), Authenticator()
    async with opened(stack.settings) as world:
        stale = {"$set": {"confirmed_at": now() - timedelta(minutes=11)}}
        await world.sources.database["sessions"].update_many({"user_id": from_global_id(ana.id)[1]}, stale)
    wrong = await ana.refused("beginPasskey", password="not the password")
    assert wrong == ("INVALID_CREDENTIALS", ["password"])
    assert await ana.refused("beginPasskey") == ("IDENTITY_NOT_CONFIRMED", None)
    begun = await ana.done("beginPasskey", "options", password=PASSWORD)
    await ana.done("confirmPasskey", name="key", passkey=key.create(begun["options"]))


async def test_a_challenge_is_of_its_account_and_its_purpose_and_ends(register: Register, stack: Stack) -> None:
    ana, eve = await register(), await register()
    app, _ = await protected(ana)
    await protected(eve)
    nobody, bad = Api(ana.http), ("INVALID_CREDENTIALS", ["challenge"])
    eves = (await step_of(eve))["challenge"]
    assert await nobody.refused("completeLogin", challenge=eves, oneTimeCode=app.code()) == WRONG
    for challenge in ("", "nonsense", "A" * 100, eves[:-4] + "AAAA", "\u00e9"):
        assert await nobody.refused("completeLogin", challenge=challenge, oneTimeCode="000000") == bad
    async with opened(stack.settings) as world:
        challenges = world.sources.factors.challenges
        subject = from_global_id(ana.id)[1].binary
        expired = challenges.issue(Purpose.SECOND_FACTOR, subject, expires_at=now() - timedelta(seconds=1))
        other = challenges.issue(Purpose.PASSKEY, subject, expires_at=now() + timedelta(minutes=1))
    for challenge in (expired, other):
        text = urlsafe_b64encode(challenge).decode()
        assert await nobody.refused("completeLogin", challenge=text, oneTimeCode=app.code()) == bad


async def test_a_new_password_ends_logins_that_wait_for_their_second_step(register: Register) -> None:
    ana = await register()
    app, _ = await protected(ana)
    challenge = (await step_of(ana))["challenge"]
    await ana.done("changePassword", currentPassword=PASSWORD, newPassword=f"{PASSWORD} 2")
    for name, given in (("completeLogin", {"oneTimeCode": app.code()}), ("beginPasskeyLogin", {})):
        refused = await Api(ana.http).refused(name, challenge=challenge, **given)
        assert refused == ("INVALID_CREDENTIALS", ["challenge"])


@pytest.mark.parametrize("given", [{}, {"oneTimeCode": "000000", "passkey": "{}"}])
async def test_the_second_step_takes_one_factor(register: Register, given: dict[str, str]) -> None:
    ana = await register()
    await protected(ana)
    challenge = (await step_of(ana))["challenge"]
    refused = await Api(ana.http).refused("completeLogin", challenge=challenge, **given)
    assert refused == ("INVALID_INPUT", ["oneTimeCode"])


async def test_a_security_key_without_a_pin_completes_a_login_and_opens_none_alone(register: Register) -> None:
    ana = await register()
    key = Authenticator()
    begun = await ana.done("beginPasskey", "options")
    await ana.done("confirmPasskey", name="key", passkey=key.create(begun["options"]))
    await protected(ana)
    key.flags, nobody = 0x01, Api(ana.http)  # touched, and no more
    step = await step_of(ana)
    assert step["methods"] == ["ONE_TIME_CODE", "RECOVERY_CODE", "PASSKEY"]
    asked = await nobody.done("beginPasskeyLogin", "options", challenge=step["challenge"])
    alone = await nobody.refused("loginWithPasskey", passkey=key.use(asked["options"]))
    assert alone == ("INVALID_CREDENTIALS", ["passkey"])
    key.user_handle = None  # older keys do not tell it
    answer = key.use(asked["options"])
    payload = await nobody.done("completeLogin", SESSION, challenge=step["challenge"], passkey=answer)
    assert payload["viewer"]["user"]["id"] == ana.id
