"""Registrations beside other versions, other settings and one another; alerts of logins on new devices."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from config import Settings
from datasources.accounts.mail_tokens import MailToken
from datasources.mail.letters import texts_of
from domain.errors import Refusal
from domain.mails import MailKind, TokenPurpose
from domain.records.users import UserRecord
from resolvers.api import schema
from schema.context import Context
from tests.support.client import PASSWORD
from tests.support.factories import World, changed_sources, now, opened
from tests.support.mail_server import MailServer, html_of, text_of, token_in
from tests.support.maintenance import find_faults
from tests.support.operation_counter import OperationCounter
from tests.support.own_databases import own_database

REGISTER = """mutation ($input: RegisterInput!) {
  register(input: $input) { userErrors { code } tokens { accessToken } viewer { isEmailVerified } deviceToken }
}"""
VERIFY = "mutation ($input: VerifyEmailInput!) { verifyEmail(input: $input) { userErrors { code } deviceToken } }"
LOGIN = "mutation ($input: LoginInput!) { login(input: $input) { userErrors { code } deviceToken } }"


async def run(world: World, document: str, **given: Any) -> Any:
    """The payload of a mutation."""
    context = Context(world.sources, None, "test", "192.0.2.1")
    result = await schema.execute(document, {"input": given}, context_value=context)
    assert result.errors is None, result.errors
    assert result.data is not None
    (payload,) = result.data.values()
    return payload


def with_verification(world: World, mode: str) -> World:
    """The same stores with another setting."""
    settings = world.sources.settings.model_copy(update={"email_verification": mode})
    return World(changed_sources(world.sources, settings=settings))


async def begun(world: World, name: str, email: str) -> None:
    await world.sources.account.registrations.begin(name, email, "no hash", name, None, None)


async def token_of(world: World, server: MailServer, email: str) -> MailToken:
    """The token that was sent to an address."""
    await world.drain()
    mail = next(mail for mail in reversed(server.mails) if mail["To"] == email)
    return await world.sources.mail_tokens.find(token_in(mail))


async def test_an_account_that_must_be_verified_later_is_there_at_once(world: World, server: MailServer) -> None:
    later = with_verification(world, "later")
    given = {"username": "ana", "email": "ana@example.com", "password": PASSWORD, "idempotencyKey": "k" * 20}
    first, again = [await run(later, REGISTER, **given) for _ in range(2)]
    assert first == again
    assert first["viewer"] == {"isEmailVerified": False}
    await world.drain()
    (mail,) = server.mails
    assert "ana" not in text_of(mail).replace("ana@example.com", "")
    unproven = {"userErrors": [{"code": "IDENTITY_NOT_CONFIRMED"}], "deviceToken": None}
    assert await run(later, VERIFY, token=token_in(mail)) == unproven  # else who has the address verifies it for others
    assert await run(later, VERIFY, token=token_in(mail), deviceToken=first["deviceToken"]) == unproven
    wrong = await run(later, VERIFY, token=token_in(mail), password=f"{PASSWORD}!")
    assert wrong["userErrors"] == [{"code": "INVALID_CREDENTIALS"}]
    assert (await run(later, VERIFY, token=token_in(mail), password=PASSWORD))["userErrors"] == []
    user = await world.sources.users.by_username("ana")
    assert user is not None
    assert await world.sources.account.emails.is_verified(user.id)


async def test_nobody_sends_words_to_an_address_that_they_have_not_verified(world: World, server: MailServer) -> None:
    later = with_verification(world, "later")
    address, words = "victim@example.com", "casino.example"
    await run(later, REGISTER, username=words, email=address, password=PASSWORD)
    await run(later, LOGIN, login=words, password=PASSWORD, clientName=words)
    user = await world.sources.users.by_username(words)
    assert user is not None
    await world.sources.account.renaming.rename(user.id, f"new.{words}", now())
    await world.sources.mails.add(MailKind.PASSWORD_RESET, to=address)
    await world.sources.mails.add(MailKind.DECIDED, user_id=user.id, values={"statement": "spam"})
    await world.drain()
    await world.sources.password_changes.change(user.id, "another hash")
    await world.drain()
    assert sorted(mail["Subject"] for mail in server.mails) == sorted(
        texts_of("en")[kind]["subject"]
        for kind in (MailKind.VERIFY_EMAIL, MailKind.PASSWORD_RESET, MailKind.DECIDED, MailKind.PASSWORD_CHANGED)
    )
    assert words not in "".join(text_of(mail) + html_of(mail) for mail in server.mails)


async def test_an_account_without_verification_counts_as_verified(world: World, server: MailServer) -> None:
    off = with_verification(world, "off")
    made = await run(off, REGISTER, username="ana", email="ana@example.com", password=PASSWORD)
    assert made["viewer"] == {"isEmailVerified": True}
    await world.drain()
    assert server.mails == []
    user = await world.sources.users.by_username("ana")
    assert user is not None
    assert await world.sources.account.emails.is_verified(user.id)


async def test_a_handle_goes_to_one_of_those_who_register_at_once(world: World) -> None:
    outcomes = await asyncio.gather(
        *(begun(world, "Ana", f"{number}@example.com") for number in range(5)), return_exceptions=True
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    assert len(refused) == 4
    assert {refusal.code for refusal in refused} == {"USERNAME_TAKEN"}
    assert await world.sources.database["registrations"].count_documents({}) == 1
    assert await world.sources.database["mails"].count_documents({}) == 1


async def test_a_reserved_handle_is_nobodys_and_nobody_else_gets_it(world: World) -> None:
    await begun(world, "ana", "ana@example.com")
    assert await world.sources.users.by_username("ana") is None
    assert await world.sources.users.ids_by_username(["ana"]) == {}
    bob = await world.user()
    for take in (
        lambda: world.sources.users.register("ANA", "x@example.com", "no hash", "Ana", now()),
        lambda: world.sources.account.renaming.rename(bob.id, "ana", now()),
        lambda: begun(world, "Ana", "y@example.com"),
    ):
        with pytest.raises(Refusal) as refused:
            await take()
        assert refused.value.code == "USERNAME_TAKEN"


async def test_an_address_that_was_taken_meanwhile_makes_no_account(world: World, server: MailServer) -> None:
    await begun(world, "ana", "ana@example.com")
    token = await token_of(world, server, "ana@example.com")
    await world.sources.users.register("other", "ANA@example.com", "no hash", "Other", now())
    with pytest.raises(Refusal) as refused:
        await world.sources.account.registrations.complete(token, password_hash="another hash")
    assert refused.value.code == "EMAIL_TAKEN"
    assert await world.sources.users.by_username("ana") is None
    assert not (await world.sources.mail_tokens._tokens.find_one({"_id": token.id}) or {}).get("used")


async def test_what_a_registration_leaves_is_right(world: World, server: MailServer) -> None:
    """Before and after it is completed `verify` finds nothing, and all claims are the account's."""
    await begun(world, "ana", "ana@example.com")
    assert await find_faults(world) == []
    token = await token_of(world, server, "ana@example.com")
    assert await world.sources.account.registrations.complete(token, password_hash="another hash")
    assert await find_faults(world) == []
    claims = await world.sources.database["claims"].find().to_list()
    assert {claim["user_id"] for claim in claims} == {token.user_id}
    assert await world.sources.database["registrations"].count_documents({}) == 0
    assert not await world.sources.account.registrations.complete(token, password_hash="another hash")


async def test_a_token_of_a_deleted_account_does_nothing(world: World, server: MailServer) -> None:
    ana = await world.user()
    await world.sources.mails.add(MailKind.VERIFY_EMAIL, user_id=ana.id, to="new@example.com")
    token = await token_of(world, server, "new@example.com")
    await world.sources.users.delete(ana.id, now())
    assert not await world.sources.account.emails.verify(token)


async def test_a_changed_address_is_claimed_and_the_old_one_is_told(world: World, server: MailServer) -> None:
    ana, tokens = await world.user(), world.sources.mail_tokens
    made = await tokens.make(TokenPurpose.EMAIL, "New@example.com", ana.id)
    assert await world.sources.account.emails.verify(await tokens.find(made))
    assert await find_faults(world) == []
    assert await world.sources.users.email_of(ana.id) == "New@example.com"
    await world.drain()
    assert [mail["To"] for mail in server.mails] == [f"{ana.username}@example.com"]


async def test_a_login_on_a_new_device_is_told_by_mail(world: World, server: MailServer) -> None:
    made = await run(world, REGISTER, username="ana", email="ana@example.com", password=PASSWORD)
    token = token_in((await sent(world, server))[-1])
    proof = {"token": token, "deviceToken": made["deviceToken"]}
    first, retried = [await run(world, VERIFY, **proof) for _ in range(2)]
    assert first["deviceToken"] == made["deviceToken"]
    assert first == retried
    assert (await run(world, VERIFY, token=token, deviceToken="x"))["userErrors"] == [{"code": "TOKEN_EXPIRED"}]
    given = {"login": "ana", "password": PASSWORD, "clientName": "A phone"}
    known = await run(world, LOGIN, **given, deviceToken=first["deviceToken"])
    assert known["deviceToken"] == first["deviceToken"]
    assert len(await sent(world, server)) == 1
    new = await run(world, LOGIN, **given)
    assert new["deviceToken"] != first["deviceToken"]
    alert = (await sent(world, server))[-1]
    assert alert["To"] == "ana@example.com"
    assert "A phone, 192.0.2" in text_of(alert)
    await run(world, LOGIN, **given, deviceToken=new["deviceToken"])
    assert (await run(world, LOGIN, **{**given, "password": "a wrong one"}))["userErrors"]
    assert len(await sent(world, server)) == 2


async def test_nobody_gets_the_tokens_of_a_login_without_its_alert(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the process dies, or MongoDB is away, between the session and the mail."""
    await run(with_verification(world, "off"), REGISTER, username="ana", email="ana@example.com", password=PASSWORD)

    async def fail(*_given: Any, **_rest: Any) -> None:
        raise AutoReconnect("away")

    monkeypatch.setattr(world.sources.mails, "add", fail)
    context = Context(world.sources, None, "test", "192.0.2.1")
    given = {"input": {"login": "ana", "password": PASSWORD}}
    result = await schema.execute(LOGIN, given, context_value=context)
    assert (result.data, bool(result.errors)) == ({"login": None}, True)


async def test_who_registers_with_anothers_address_does_not_know_the_password(world: World, server: MailServer) -> None:
    given = {"username": "ana", "email": "victim@example.com", "password": PASSWORD}
    thiefs = await run(world, REGISTER, **given, idempotencyKey="k" * 20)
    token = token_in((await sent(world, server))[-1])
    for wrong in ({}, {"deviceToken": ""}, {"deviceToken": "x"}, {"deviceToken": f"{thiefs['deviceToken']}x"}):
        unproven = await run(world, VERIFY, token=token, **wrong)
        assert unproven == {"userErrors": [{"code": "IDENTITY_NOT_CONFIRMED"}], "deviceToken": None}
    assert (await run(world, VERIFY, token=token, password="short"))["userErrors"] == [{"code": "WEAK_PASSWORD"}]
    assert await world.sources.users.by_username("ana") is None
    own = "the password of the victim"
    first, retried = [await run(world, VERIFY, token=token, password=own) for _ in range(2)]
    assert first["userErrors"] == []
    assert first == retried
    assert (await run(world, VERIFY, token=token, password=PASSWORD))["userErrors"] == [{"code": "TOKEN_EXPIRED"}]
    given = {"login": "ana", "clientName": "x", "deviceToken": thiefs["deviceToken"]}
    assert (await run(world, LOGIN, **given, password=PASSWORD))["userErrors"] == [{"code": "INVALID_CREDENTIALS"}]
    assert (await run(world, LOGIN, **given, password=own))["userErrors"] == []
    alert = (await sent(world, server))[-1]
    assert alert["Subject"] == texts_of("en")[MailKind.NEW_LOGIN]["subject"]  # the thief's device was never known
    stored = await world.sources.database["users"].find_one({"username": "ana"})
    assert stored is not None
    assert "registered_on" not in stored


async def test_concurrent_duplicates_of_a_confirmation_make_one_account(world: World, server: MailServer) -> None:
    """Each with another password: one of them is the account's, and only who sent that one gets in."""
    await run(world, REGISTER, username="ana", email="ana@example.com", password=PASSWORD)
    token = token_in((await sent(world, server))[-1])
    answers = await asyncio.gather(*(run(world, VERIFY, token=token, password=f"{PASSWORD} {n}") for n in range(4)))
    in_ = [number for number, answer in enumerate(answers) if answer["userErrors"] == []]
    assert len(in_) == 1
    for number in range(4):
        logged_in = await run(world, LOGIN, login="ana", password=f"{PASSWORD} {number}")
        assert (logged_in["userErrors"] == []) is (number in in_)


async def test_a_registration_without_a_key_gets_a_device_token_of_its_account(
    world: World, server: MailServer
) -> None:
    made = await run(world, REGISTER, username="ana", email="ana@example.com", password=PASSWORD)
    (mail,) = await sent(world, server)
    verified = await run(world, VERIFY, token=token_in(mail), deviceToken=made["deviceToken"])
    assert verified == {"userErrors": [], "deviceToken": made["deviceToken"]}
    user = await world.sources.users.by_username("ana")
    assert user is not None
    assert world.sources.known_devices.account_of(made["deviceToken"]) == user.id


async def test_a_retried_registration_gets_the_same_device_token(world: World, server: MailServer) -> None:
    given = {"username": "ana", "email": "ana@example.com", "password": PASSWORD, "idempotencyKey": "k" * 20}
    answers = await asyncio.gather(*(run(world, REGISTER, **given) for _ in range(3)))
    assert answers == answers[:1] * 3
    assert answers[0]["tokens"] is None
    stored = repr(await world.sources.database["registrations"].find().to_list())
    assert answers[0]["deviceToken"] not in stored
    (registration,) = await world.sources.database["registrations"].find().to_list()
    assert world.sources.known_devices.account_of(answers[0]["deviceToken"]) == registration["_id"]
    token = await token_of(world, server, "ana@example.com")
    assert token.user_id == registration["_id"], "so it is signed for the account that is to be"


async def test_passwords_with_one_token_are_limited(shared_settings: Settings, server: MailServer) -> None:
    """Each costs a hash; the right one is given back."""
    with own_database(shared_settings, rate_limit_factor=1.0, rate_limits={"proof.name": "8/1000000"}) as settings:
        async with opened(server.settings(settings)) as limited:
            await run(limited, REGISTER, username="ana", email="ana@example.com", password=PASSWORD)
            token = token_in((await sent(limited, server))[-1])
            for _ in range(12):
                assert (await run(limited, VERIFY, token=token, password=PASSWORD))["userErrors"] == []
            wrong = [await run(limited, VERIFY, token=token, password=f"{PASSWORD} {n}") for n in range(10)]
    codes = [answer["userErrors"][0]["code"] for answer in wrong]
    assert codes == ["TOKEN_EXPIRED"] * 8 + ["RATE_LIMITED"] * 2


async def sent(world: World, server: MailServer) -> list[Any]:
    """All mails, those that wait too."""
    await world.drain()
    return server.mails


async def test_who_is_verified_is_not_looked_up_again(counted: World, operations: OperationCounter) -> None:
    ana: UserRecord = await counted.user()
    assert await counted.sources.account.emails.is_verified(ana.id)
    before = operations.counts.total()
    assert await counted.sources.account.emails.is_verified(ana.id)
    assert operations.counts.total() == before


async def test_a_mail_token_is_good_for_its_time(world: World) -> None:
    ana, tokens = await world.user(), world.sources.mail_tokens
    for purpose in TokenPurpose:
        text = await tokens.make(purpose, "x@example.com", ana.id)
        token = await tokens.find(text)
        (row,) = await tokens._tokens.find({"_id": token.id}).to_list()
        assert abs(row["expires_at"] - now() - purpose.life) < timedelta(seconds=30)
        assert text not in repr(row)
        with pytest.raises(Refusal):
            await tokens.find(text, next(other for other in TokenPurpose if other is not purpose))
