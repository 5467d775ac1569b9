"""register, verifyEmail and requestEmailVerification where addresses have to be verified; requestEmailChange."""

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pymongo import MongoClient
from pymongo.database import Database

from config import Settings
from datasources.sources import prepare
from domain.ids import from_global_id
from tests.support.auditing import audit
from tests.support.client import PASSWORD, Api, Person
from tests.support.factories import now, opened
from tests.support.mail_server import mail_to, mails_to, text_of, token_in
from tests.support.own_databases import own_database
from tests.support.stack import Stack, stack_on, start_all
from tests.support.waiting import eventually

CONFIRM, IN_USE, CHANGED = "Confirm your address", "You have an account already", "Your address was changed"
EXPIRED = ("TOKEN_EXPIRED", ["token"])
SESSION = "tokens { accessToken refreshToken } viewer { email isEmailVerified user { id username } }"
REGISTER = (
    f"mutation ($input: RegisterInput!) {{ register(input: $input) {{ {SESSION} userErrors {{ code field }} }} }}"
)
NOTHING: dict[str, Any] = {"data": {"register": {"tokens": None, "viewer": None, "userErrors": []}}}


@pytest.fixture(scope="module")
async def stack(
    shared_settings: Settings, mails: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """The API and workers, with verification required."""
    with own_database(
        shared_settings, mail="folder", mail_folder=mails, unverified_refused=("followUser",)
    ) as settings:
        assert settings.verification == "required"
        await prepare(settings)
        with stack_on(settings, tmp_path_factory.mktemp("logs")) as running:
            await start_all(running)
            yield running
            async with opened(settings) as world:
                await audit(world)


@pytest.fixture(scope="module")
async def nobody(stack: Stack) -> AsyncIterator[Api]:
    async with httpx2.AsyncClient(base_url=stack.url, timeout=20) as client:
        yield Api(client)


@pytest.fixture
def database(stack: Stack) -> Any:
    with MongoClient[dict[str, Any]](stack.settings.mongo_url, tz_aware=True) as client:
        yield client[stack.settings.mongo_database]


def given(**other: str) -> dict[str, str]:
    name = f"new_{secrets.token_hex(6)}"
    return {"username": name, "email": f"{name}@example.com", "password": PASSWORD, **other}


async def registered(nobody: Api, mails: Path, **other: str) -> Person:
    """Somebody who has registered and verified their address."""
    new = given(**other)
    device = (await nobody.done("register", "deviceToken", **new))["deviceToken"]
    token = token_in(await mail_to(mails, new["email"], CONFIRM))
    payload = await nobody.done("verifyEmail", SESSION, token=token, deviceToken=device)
    person = Person(nobody.http, payload["tokens"]["accessToken"])
    person.id, person.username = payload["viewer"]["user"]["id"], new["username"]
    return person


async def all_sent(database: Database[dict[str, Any]]) -> None:
    """Waits until no mail waits."""
    waiting: dict[str, Any] = {"outbox": {"$exists": True}}
    await eventually(lambda: asyncio.sleep(0, database["mails"].count_documents(waiting) == 0))


async def test_an_account_comes_into_being_when_its_address_is_verified(nobody: Api, mails: Path) -> None:
    new = given(language="de-AT", displayName="Ana")
    answer = await nobody.ask(REGISTER, input=new)
    assert {"data": answer.data} == NOTHING
    profile = f'{{ user(username: "{new["username"]}") {{ displayName }} }}'
    assert (await nobody.get(profile))["user"] is None
    assert await nobody.refused("login", login=new["email"], password=PASSWORD) == ("INVALID_CREDENTIALS", None)
    mail = await mail_to(mails, new["email"], "Bestätige deine Adresse")
    assert new["username"] not in text_of(mail)
    token = f" {token_in(mail)} "
    assert await nobody.refused("verifyEmail", token=token) == ("IDENTITY_NOT_CONFIRMED", ["password"])
    payload = await nobody.done("verifyEmail", SESSION, token=token, password=PASSWORD, clientName="phone")
    assert payload["viewer"] == {
        "email": new["email"],
        "isEmailVerified": True,
        "user": {"id": payload["viewer"]["user"]["id"], "username": new["username"]},
    }
    ana = Api(nobody.http, payload["tokens"]["accessToken"])
    sessions = await ana.get("{ viewer { sessions { clientName isCurrent } } }")
    assert sessions["viewer"]["sessions"] == [{"clientName": "phone", "isCurrent": True}]
    assert (await nobody.get(profile))["user"] == {"displayName": "Ana"}
    assert (await ana.get("{ viewer { language } }"))["viewer"]["language"] == "de-at"
    await ana.done("updateProfile", language=None)
    assert (await ana.get("{ viewer { language } }"))["viewer"]["language"] is None
    for wrong in ("x", "de_AT", "../en", ""):
        assert await ana.refused("updateProfile", language=wrong) == ("INVALID_INPUT", ["language"])
    await nobody.done("login", login=new["email"], password=PASSWORD)


async def test_a_token_verifies_once_and_a_retry_gets_the_same_answer(
    nobody: Api, mails: Path, database: Database[dict[str, Any]]
) -> None:
    new = given()
    await nobody.done("register", **new)
    token = token_in(await mail_to(mails, new["email"], CONFIRM))
    proof = {"token": token, "password": PASSWORD}
    answers = await asyncio.gather(*(nobody.done("verifyEmail", SESSION, **proof) for _ in range(4)))
    assert answers == answers[:1] * 4
    assert await nobody.done("verifyEmail", SESSION, **proof) == answers[0]
    assert database["users"].count_documents({"username": new["username"]}) == 1
    _, user_id = from_global_id(answers[0]["viewer"]["user"]["id"])
    past = {"$set": {"expires_at": datetime(2026, 1, 1, tzinfo=UTC)}}
    assert database["mail_tokens"].update_many({"user_id": user_id}, past).matched_count == 1
    assert await nobody.refused("verifyEmail", token=token) == EXPIRED
    for wrong in ("", "x", token[:-3] + "AAA"):
        assert await nobody.refused("verifyEmail", token=wrong) == EXPIRED


async def test_registering_does_not_tell_whether_somebody_has_the_address(
    nobody: Api, mails: Path, database: Database[dict[str, Any]]
) -> None:
    ana = await registered(nobody, mails)
    taken, free = given(email=f"{ana.username}@EXAMPLE.com"), given()
    answers = []
    for new in (taken, free):
        response = await nobody.http.post("/graphql", json={"query": REGISTER, "variables": {"input": new}})
        names = {name for name in response.headers if name != "x-request-id"}
        answers.append((response.status_code, response.json()["data"], names))
        again = {**new, "email": f"other_{new['email']}"}  # the handle is reserved either way
        assert await nobody.refused("register", **again) == ("USERNAME_TAKEN", ["username"])
    assert answers[0] == answers[1]
    assert answers[0][1] == NOTHING["data"]
    told = await mail_to(mails, f"{ana.username}@example.com", IN_USE)
    assert f"@{ana.username}" in text_of(told)
    await all_sent(database)
    assert len(mails_to(mails, f"{ana.username}@example.com")) == 2
    assert database["mail_tokens"].count_documents({"email": taken["email"]}) == 0
    assert (await nobody.get(f'{{ user(username: "{taken["username"]}") {{ id }} }}'))["user"] is None


async def test_of_two_who_register_with_one_address_the_first_to_verify_gets_it(nobody: Api, mails: Path) -> None:
    first, second = given(), given()
    second["email"] = first["email"]
    await nobody.done("register", **first)
    token = token_in(await mail_to(mails, first["email"], CONFIRM))
    await nobody.done("register", **second)
    await eventually(lambda: asyncio.sleep(0, len(mails_to(mails, first["email"])) == 2))
    later = token_in(mails_to(mails, first["email"])[-1])
    payload = await nobody.done("verifyEmail", SESSION, token=later, password=PASSWORD)
    assert payload["viewer"]["user"]["username"] == second["username"]
    taken = await nobody.refused("verifyEmail", token=token, password=PASSWORD)
    assert taken == ("EMAIL_TAKEN", ["email"])


async def test_a_retry_of_a_registration_repeats_its_answer_and_sends_no_mail(
    nobody: Api, mails: Path, database: Database[dict[str, Any]]
) -> None:
    new = given(idempotencyKey=str(uuid.uuid4()))
    answers = await asyncio.gather(*(nobody.ask(REGISTER, input=new) for _ in range(4)))
    assert [{"data": answer.data} for answer in answers] == [NOTHING] * 4
    token = token_in(await mail_to(mails, new["email"], CONFIRM))
    reused = ("IDEMPOTENCY_KEY_REUSED", ["idempotencyKey"])
    assert await nobody.refused("register", **{**new, "email": "other@example.com"}) == reused
    assert await nobody.refused("register", **{**new, "password": f"{PASSWORD} 2"}) == reused
    await nobody.done("verifyEmail", SESSION, token=token, password=PASSWORD)
    assert {"data": (await nobody.ask(REGISTER, input=new)).data} == NOTHING
    await all_sent(database)
    assert len(mails_to(mails, new["email"])) == 1


async def test_another_mail_can_be_asked_for_and_all_its_tokens_make_one_account(
    nobody: Api, mails: Path, database: Database[dict[str, Any]]
) -> None:
    new = given()
    await nobody.done("register", **new)
    await mail_to(mails, new["email"], CONFIRM)
    await nobody.done("requestEmailVerification", email=new["email"].upper().replace("EXAMPLE.COM", "example.com"))
    await eventually(lambda: asyncio.sleep(0, len(mails_to(mails, new["email"])) == 2))
    first, second = map(token_in, mails_to(mails, new["email"]))
    await nobody.done("verifyEmail", SESSION, token=first, password=PASSWORD)
    assert await nobody.refused("verifyEmail", token=second, password=PASSWORD) == EXPIRED
    await nobody.done("requestEmailVerification", email=new["email"])  # it is verified
    await nobody.done("requestEmailVerification", email="nobody.at.all@example.com")
    await all_sent(database)
    assert len(mails_to(mails, new["email"])) == 2
    assert mails_to(mails, "nobody.at.all@example.com") == []
    assert await nobody.refused("requestEmailVerification") == ("INVALID_INPUT", ["email"])


async def test_a_registration_that_nobody_verifies_frees_its_handle(
    nobody: Api, mails: Path, database: Database[dict[str, Any]]
) -> None:
    new = given(idempotencyKey=str(uuid.uuid4()))
    await nobody.done("register", **new)
    token = token_in(await mail_to(mails, new["email"], CONFIRM))
    past = {"$set": {"expires_at": datetime(2026, 1, 1, tzinfo=UTC)}}
    (registration,) = database["registrations"].find({"username": new["username"]})
    database["registrations"].update_one({"_id": registration["_id"]}, past)
    database["claims"].update_many({"registration_id": registration["_id"]}, past)
    assert await nobody.refused("verifyEmail", token=token) == EXPIRED
    await nobody.done("register", **{**given(), "username": new["username"]})


async def test_an_address_is_changed_when_the_new_one_is_verified(
    nobody: Api, mails: Path, database: Database[dict[str, Any]]
) -> None:
    ana = await registered(nobody, mails)
    old, new = f"{ana.username}@example.com", f"{ana.username}@new.example"
    await nobody.done("requestPasswordReset", email=old)
    reset = token_in(await mail_to(mails, old, "Choose a new password"))
    asked = await ana.done("requestEmailChange", "viewer { email }", email=new)
    assert asked["viewer"]["email"] == old
    mail = await mail_to(mails, new, CONFIRM)
    assert ana.username not in text_of(mail)
    assert await nobody.refused("verifyEmail", token=token_in(mail)) == ("IDENTITY_NOT_CONFIRMED", ["password"])
    eve = await registered(nobody, mails)
    assert await eve.refused("verifyEmail", token=token_in(mail)) == ("IDENTITY_NOT_CONFIRMED", ["password"])
    by_nobody = await nobody.done("verifyEmail", SESSION, token=token_in(mail), password=PASSWORD)
    assert by_nobody["tokens"] is None
    assert by_nobody["viewer"] is None
    changed = await ana.done("verifyEmail", SESSION, token=token_in(mail))  # a retry
    assert changed["tokens"] is None
    assert changed["viewer"]["email"] == new
    assert f"@{ana.username}" in text_of(await mail_to(mails, old, CHANGED))
    assert await nobody.refused("resetPassword", token=reset, newPassword=f"{PASSWORD} 2") == EXPIRED
    await nobody.done("login", login=new, password=PASSWORD)
    assert await nobody.refused("login", login=old, password=PASSWORD) == ("INVALID_CREDENTIALS", None)
    ben = given(email=old)
    await nobody.done("register", **ben)
    await all_sent(database)
    assert mails_to(mails, new)[-1]["Subject"] == IN_USE  # it can still be put back
    undo = token_in(await mail_to(mails, old, CHANGED))
    await nobody.done("undoEmailChange", token=undo, newPassword=f"{PASSWORD} 2")
    await nobody.done("login", login=old, password=f"{PASSWORD} 2")
    assert await nobody.refused("login", login=new, password=f"{PASSWORD} 2") == ("INVALID_CREDENTIALS", None)


async def test_asking_for_another_ones_address_tells_only_its_owner(nobody: Api, mails: Path) -> None:
    ana, ben = await registered(nobody, mails), await registered(nobody, mails)
    bens = f"{ben.username}@example.com"
    await ana.done("requestEmailChange", email=bens)
    assert f"@{ben.username}" in text_of(await mail_to(mails, bens, IN_USE))
    assert (await ana.get("{ viewer { email } }"))["viewer"]["email"] == f"{ana.username}@example.com"


async def test_an_address_that_was_taken_meanwhile_is_refused(
    nobody: Api, mails: Path, database: Database[dict[str, Any]]
) -> None:
    ana, ben = await registered(nobody, mails), await registered(nobody, mails)
    wanted = f"{ana.username}@new.example"
    tokens = []
    for person in (ana, ben):
        await person.done("requestEmailChange", email=wanted)
        await all_sent(database)
        tokens.append(token_in(mails_to(mails, wanted)[-1]))
    await ben.done("verifyEmail", token=tokens[1])
    assert await ana.refused("verifyEmail", token=tokens[0]) == ("EMAIL_TAKEN", ["email"])
    assert (await ana.get("{ viewer { email } }"))["viewer"]["email"] == f"{ana.username}@example.com"


async def test_changing_the_address_needs_a_fresh_proof(
    nobody: Api, mails: Path, database: Database[dict[str, Any]]
) -> None:
    ana = await registered(nobody, mails)
    _, user_id = from_global_id(ana.id)
    database["sessions"].update_many({"user_id": user_id}, {"$set": {"confirmed_at": datetime(2026, 1, 1, tzinfo=UTC)}})
    assert await ana.refused("requestEmailChange", email="x@new.example") == ("IDENTITY_NOT_CONFIRMED", None)


async def unverified(nobody: Api, stack: Stack) -> Person:
    """Somebody whose account a version has made that did not verify addresses."""
    name = f"old_{secrets.token_hex(6)}"
    async with opened(stack.settings) as world:
        password_hash = await world.sources.passwords.hash(PASSWORD)
        await world.sources.users.register(name, f"{name}@example.com", password_hash, name, now())
    payload = await nobody.done("login", "tokens { accessToken }", login=name, password=PASSWORD)
    person = Person(nobody.http, payload["tokens"]["accessToken"])
    person.username = name
    return person


async def test_who_has_not_verified_is_refused_what_the_settings_say(nobody: Api, mails: Path, stack: Stack) -> None:
    """As an account of a version that did not verify addresses."""
    ben, ana = await registered(nobody, mails), await unverified(nobody, stack)
    assert await ana.refused("followUser", userId=ben.id) == ("EMAIL_NOT_VERIFIED", None)
    assert not (await ana.get("{ viewer { isEmailVerified } }"))["viewer"]["isEmailVerified"]
    await ana.done("muteUser", userId=ben.id)
    await ana.done("requestEmailVerification")
    address = f"{ana.username}@example.com"
    await ana.done("verifyEmail", token=token_in(await mail_to(mails, address, CONFIRM)))
    await ana.done("followUser", userId=ben.id)
    assert (await ana.get("{ viewer { isEmailVerified } }"))["viewer"]["isEmailVerified"]


async def test_a_reset_password_verifies_the_address_too(
    nobody: Api, mails: Path, database: Database[dict[str, Any]]
) -> None:
    ana = await registered(nobody, mails)
    _, user_id = from_global_id(ana.id)
    database["users"].update_one({"_id": user_id}, {"$unset": {"email_verified_at": ""}})
    await nobody.done("requestPasswordReset", email=f"{ana.username}@example.com")
    reset = token_in(await mail_to(mails, f"{ana.username}@example.com", "Choose a new password"))
    assert await nobody.refused("verifyEmail", token=reset) == EXPIRED
    await nobody.done("resetPassword", token=reset, newPassword=f"{PASSWORD} 2")
    assert "email_verified_at" in (database["users"].find_one({"_id": user_id}) or {})


async def test_no_address_password_or_token_is_in_a_log(nobody: Api, mails: Path, stack: Stack) -> None:
    new = given()
    await nobody.done("register", **new)
    token = token_in(await mail_to(mails, new["email"], CONFIRM))
    await nobody.done("verifyEmail", token=token, password=PASSWORD)
    for process in stack.living:
        log = process.log.read_bytes()
        for secret in (new["email"], PASSWORD, token):
            assert secret.encode() not in log, process.log
