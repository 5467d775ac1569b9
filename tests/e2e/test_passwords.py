"""changePassword, requestPasswordReset, resetPassword."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from domain.ids import from_global_id
from tests.e2e.conftest import Register
from tests.support.client import PASSWORD, Api, Person
from tests.support.mail_server import mail_to, token_in
from tests.support.stack import Stack
from tests.support.waiting import eventually

NEW = "another horse, another battery"
RESET, CHANGED = "Choose a new password", "Your password was changed"
EXPIRED = ("TOKEN_EXPIRED", ["token"])


def address_of(person: Person) -> str:
    return f"{person.username}@example.com"


async def signed_in(client: Api) -> bool:
    answer = await client.ask("{ viewer { email } }")
    return answer.data is not None and answer.data["viewer"] is not None


async def log_in(nobody: Api, person: Person, password: str) -> Person | None:
    """A client with a new session; None if the password is wrong."""
    payload = await nobody.do("login", "tokens { accessToken }", login=person.username, password=password)
    assert {error["code"] for error in payload["userErrors"]} <= {"INVALID_CREDENTIALS"}
    return None if payload["tokens"] is None else Person(nobody.http, payload["tokens"]["accessToken"])


async def asked_token(nobody: Api, mails: Path, person: Person) -> str:
    """The token of a mail that was asked for just now."""
    await nobody.done("requestPasswordReset", email=f" {address_of(person).upper()}")
    return token_in(await mail_to(mails, address_of(person), RESET))


async def all_signed_out(*clients: Api) -> None:
    """Fails unless these sessions are over, at the latest when each process has looked again."""

    async def are_over() -> bool:
        return not any(await asyncio.gather(*map(signed_in, clients)))

    await eventually(are_over)


async def test_a_new_password_ends_the_other_sessions_and_is_told_by_mail(
    register: Register, nobody: Api, mails: Path
) -> None:
    ana = await register()
    phone, tablet = await log_in(nobody, ana, PASSWORD), await log_in(nobody, ana, PASSWORD)
    assert phone is not None
    assert tablet is not None
    async with ana.socket() as kept, phone.socket() as other:
        changed = await ana.done("changePassword", "viewer { sessions { isCurrent } }", **change(PASSWORD, NEW))
        assert changed["viewer"]["sessions"] == [{"isCurrent": True}]
        assert await other.closed() == 4403
        await kept.subscribe("{ viewer { email } }")
        assert (await kept.next())["viewer"]["email"] == address_of(ana)
    await all_signed_out(phone, tablet)
    assert await log_in(nobody, ana, PASSWORD) is None
    assert await log_in(nobody, ana, NEW)
    assert await mail_to(mails, address_of(ana), CHANGED)
    again = await ana.done("changePassword", "viewer { user { id } }", **change(PASSWORD, NEW))
    assert again["viewer"]["user"]["id"] == ana.id


def change(current: str, new: str) -> dict[str, str]:
    return {"currentPassword": current, "newPassword": new}


async def test_a_password_is_changed_only_to_a_good_one_by_who_knows_it(register: Register, nobody: Api) -> None:
    ana = await register()
    wrong = ("INVALID_CREDENTIALS", ["currentPassword"])
    assert await ana.refused("changePassword", **change("a wrong one, a wrong one", NEW)) == wrong
    for weak in ("short", "passwordpassword", f"{ana.username.title()}2026"):
        refused = await ana.refused("changePassword", **change(PASSWORD, weak))
        assert refused == ("WEAK_PASSWORD", ["newPassword"])
    document = "mutation ($input: ChangePasswordInput!) { changePassword(input: $input) { userErrors { code } } }"
    assert (await nobody.ask(document, input=change(PASSWORD, NEW))).codes == ["UNAUTHENTICATED"]
    assert await log_in(nobody, ana, PASSWORD)


async def test_of_two_changes_at_once_one_is_made(register: Register, nobody: Api) -> None:
    ana = await register()
    passwords = [f"{NEW} {number}" for number in range(4)]
    answers = await asyncio.gather(*(ana.do("changePassword", **change(PASSWORD, each)) for each in passwords))
    made = [each for each, answer in zip(passwords, answers, strict=True) if not answer["userErrors"]]
    assert len(made) == 1
    assert await log_in(nobody, ana, made[0])


async def test_a_lost_password_is_replaced_by_a_mail(register: Register, nobody: Api, mails: Path) -> None:
    ana = await register()
    token = await asked_token(nobody, mails, ana)
    assert await signed_in(ana)
    weak = await nobody.refused("resetPassword", token=token, newPassword="passwordpassword")
    assert weak == ("WEAK_PASSWORD", ["newPassword"])
    await nobody.done("resetPassword", token=token, newPassword=NEW)
    await all_signed_out(ana)
    assert await log_in(nobody, ana, PASSWORD) is None
    assert await log_in(nobody, ana, NEW)
    assert await mail_to(mails, address_of(ana), CHANGED)
    await nobody.done("resetPassword", token=token, newPassword=NEW)  # a retry
    assert await nobody.refused("resetPassword", token=token, newPassword=f"{NEW} 2") == EXPIRED
    assert await log_in(nobody, ana, NEW)


async def test_a_token_is_used_once_by_whoever_comes_first(register: Register, nobody: Api, mails: Path) -> None:
    ana = await register()
    token = await asked_token(nobody, mails, ana)
    passwords = [f"{NEW} {number}" for number in range(4)]
    answers = await asyncio.gather(
        *(nobody.do("resetPassword", token=token, newPassword=password) for password in passwords)
    )
    made = [each for each, answer in zip(passwords, answers, strict=True) if not answer["userErrors"]]
    assert len(made) == 1
    assert await log_in(nobody, ana, made[0])


async def test_a_changed_password_ends_tokens_that_were_mailed_before(
    register: Register, nobody: Api, mails: Path
) -> None:
    ana = await register()
    token = await asked_token(nobody, mails, ana)
    await ana.done("changePassword", **change(PASSWORD, NEW))
    assert await nobody.refused("resetPassword", token=token, newPassword=f"{NEW} 2") == EXPIRED


async def test_an_expired_token_and_what_is_no_token_are_the_same(
    register: Register, nobody: Api, mails: Path, stack: Stack
) -> None:
    ana = await register()
    token = await asked_token(nobody, mails, ana)
    with MongoClient[dict[str, Any]](stack.settings.mongo_url) as client:
        tokens = client[stack.settings.mongo_database]["mail_tokens"]
        _, user_id = from_global_id(ana.id)
        tokens.update_many({"user_id": user_id}, {"$set": {"expires_at": datetime(2026, 1, 1, tzinfo=UTC)}})
    changed_end = token[:-2] + ("AA" if token[-2:] != "AA" else "BA")
    for wrong in (token, changed_end, "", "x", "ä" * 59, "A" * 59, token + "A"):
        assert await nobody.refused("resetPassword", token=wrong, newPassword=NEW) == EXPIRED
    assert await log_in(nobody, ana, PASSWORD)


async def test_asking_for_a_mail_does_not_tell_who_has_an_account(
    register: Register, nobody: Api, mails: Path, stack: Stack
) -> None:
    ana = await register()
    document = (
        "mutation ($input: RequestPasswordResetInput!) {"
        " requestPasswordReset(input: $input) { userErrors { code field message } } }"
    )
    answers = []
    for email in (address_of(ana), "nobody.at.all@example.com"):
        body = {"query": document, "variables": {"input": {"email": email}}}
        response = await nobody.http.post("/graphql", json=body)
        names = {name for name in response.headers if name != "x-request-id"}
        answers.append((response.status_code, response.content, names))
    assert answers[0] == answers[1]
    assert await mail_to(mails, address_of(ana), RESET)
    with MongoClient[dict[str, Any]](stack.settings.mongo_url) as client:
        waiting = client[stack.settings.mongo_database]["mails"]
        await eventually(lambda: asyncio.sleep(0, waiting.count_documents({"outbox": {"$exists": True}}) == 0))
    assert [path for path in mails.glob("*.eml") if b"nobody.at.all" in path.read_bytes()] == []
    assert await nobody.refused("requestPasswordReset", email="nowhere") == ("INVALID_INPUT", ["email"])


async def test_no_password_token_or_address_is_in_a_log_and_no_token_in_the_database(
    register: Register, nobody: Api, mails: Path, stack: Stack
) -> None:
    ana = await register()
    token = await asked_token(nobody, mails, ana)
    await nobody.refused("resetPassword", token=token, newPassword="passwordpassword")
    await nobody.done("resetPassword", token=token, newPassword=NEW)
    await mail_to(mails, address_of(ana), CHANGED)
    for process in stack.living:
        log = process.log.read_bytes()
        for secret in (token, NEW, PASSWORD, address_of(ana)):
            assert secret.encode() not in log, process.log
    with MongoClient[dict[str, Any]](stack.settings.mongo_url) as client:
        database = client[stack.settings.mongo_database]
        rows = [repr(row) for name in database.list_collection_names() for row in database[name].find()]
    assert [row for row in rows if token in row or NEW in row] == []


@pytest.mark.parametrize("mutation", ["requestPasswordReset", "resetPassword"])
async def test_a_client_with_a_bad_token_may_reset_its_password(nobody: Api, mutation: str) -> None:
    stale = Api(nobody.http, "A" * 59)
    given = {"email": "x@example.com"} if mutation == "requestPasswordReset" else {"token": "x", "newPassword": NEW}
    payload = await stale.do(mutation, **given)
    assert {error["code"] for error in payload["userErrors"]} <= {"TOKEN_EXPIRED"}
