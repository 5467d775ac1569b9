"""An account whose address somebody else has changed is taken back from the address that it had."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from datasources.accounts.email_addresses import KEPT
from datasources.mail.letters import texts_of
from domain.errors import Refusal
from domain.limits import EMAIL_CHANGES_MAX
from domain.mails import MailKind, TokenPurpose
from domain.records.users import UserRecord
from resolvers.api import schema
from schema.context import Context
from tests.integration.test_factors import passkey
from tests.support.client import PASSWORD
from tests.support.factories import World, now
from tests.support.mail_server import MailServer, token_in
from tests.support.maintenance import find_faults

UNDO = "mutation ($input: UndoEmailChangeInput!) { undoEmailChange(input: $input) { userErrors { code field } } }"
NEW = "another horse, another battery"
DONE: dict[str, Any] = {"userErrors": []}
EXPIRED = {"userErrors": [{"code": "TOKEN_EXPIRED", "field": ["token"]}]}
TAKEN = {"userErrors": [{"code": "EMAIL_TAKEN", "field": ["email"]}]}


@pytest.fixture
def world(mailing: World) -> World:
    """A world of the test's own, which sends its mails to `server`."""
    return mailing


async def undo(world: World, token: str, password: str = NEW, **given: Any) -> Any:
    context = Context(world.sources, None, "test", "192.0.2.1")
    given = {"token": token, "newPassword": password, **given}
    result = await schema.execute(UNDO, {"input": given}, context_value=context)
    assert result.errors is None, result.errors
    assert result.data is not None
    return result.data["undoEmailChange"]


async def change_email(world: World, user: UserRecord, address: str) -> None:
    tokens = world.sources.mail_tokens
    made = await tokens.make(TokenPurpose.EMAIL, address, user.id)
    assert await world.sources.account.emails.verify(await tokens.find(made))


async def undo_token(world: World, server: MailServer, address: str) -> str:
    """The token of the latest mail to an address that it is no longer the account's."""
    await world.drain()
    subject = texts_of("en")[MailKind.EMAIL_MOVED]["subject"]
    return token_in([mail for mail in server.mails if (mail["To"], mail["Subject"]) == (address, subject)][-1])


def address_of(user: UserRecord) -> str:
    return f"{user.username}@example.com"


async def test_the_old_address_takes_the_account_back(world: World, server: MailServer) -> None:
    ana = await world.user()
    await world.sources.factors.stored.add_passkey(ana.id, passkey())
    await change_email(world, ana, "Thief@example.com")
    await world.sources.sessions.open(ana.id, None, now())
    token = await undo_token(world, server, address_of(ana))
    assert await undo(world, token, "short") == {"userErrors": [{"code": "WEAK_PASSWORD", "field": ["newPassword"]}]}
    assert await undo(world, token) == DONE  # and the thief's passkey is gone
    assert await undo(world, token) == DONE  # a retry
    assert await undo(world, token, f"{NEW} 2") == EXPIRED
    assert await world.sources.users.email_of(ana.id) == address_of(ana)
    assert await world.sources.sessions.of_user(ana.id) == []
    assert (await world.sources.factors.stored.of_user(ana.id)).passkeys == []
    credentials = await world.sources.users.credentials(address_of(ana).upper())
    assert credentials is not None
    assert await world.sources.passwords.verify(credentials.password_hash, NEW, ana.id, "")
    assert await world.sources.users.credentials("thief@example.com") is None
    await world.drain()
    told = {mail["To"]: mail["Subject"] for mail in server.mails}
    assert told["Thief@example.com"] == texts_of("en")[MailKind.EMAIL_RESTORED]["subject"]
    assert told[address_of(ana)] == texts_of("en")[MailKind.PASSWORD_CHANGED]["subject"]
    await world.sources.users.register("other", "thief@example.com", "no hash", "Other", now())  # it is free
    assert await find_faults(world) == []


async def test_a_thief_who_changes_it_again_and_again_keeps_nothing(world: World, server: MailServer) -> None:
    ana = await world.user()
    await change_email(world, ana, "one@example.com")
    token = await undo_token(world, server, address_of(ana))
    await change_email(world, ana, "two@example.com")
    thiefs = await undo_token(world, server, "one@example.com")
    await change_email(world, ana, "three@example.com")  # its mail waits while the account is taken back
    assert await undo(world, token) == DONE
    assert await undo(world, thiefs) == EXPIRED
    assert await undo(world, await undo_token(world, server, "two@example.com")) == EXPIRED
    assert await world.sources.users.email_of(ana.id) == address_of(ana)
    assert await find_faults(world) == []


async def test_nobody_gets_an_address_that_can_still_be_put_back(world: World, server: MailServer) -> None:
    ana = await world.user()
    await change_email(world, ana, "new@example.com")
    with pytest.raises(Refusal) as refused:
        await world.sources.users.register("other", address_of(ana), "no hash", "Other", now())
    assert refused.value.code == "EMAIL_TAKEN"
    assert await world.sources.users.credentials(address_of(ana)) is None  # nor does it log in
    token = await undo_token(world, server, address_of(ana))
    assert await find_faults(world) == []
    past = now() - timedelta(seconds=1)
    claim_id = f"email_key:{address_of(ana)}"
    await world.sources.database["users"].update_one({"_id": ana.id}, {"$set": {"former_emails.0.until": past}})
    await world.sources.database["claims"].update_one({"_id": claim_id}, {"$set": {"expires_at": past}})
    assert await undo(world, token) == EXPIRED
    await world.sources.database["claims"].delete_one({"_id": claim_id})  # as the TTL index does
    await world.sources.users.register("other", address_of(ana), "no hash", "Other", now())


async def test_its_owner_can_change_it_back_without_a_mail(world: World, server: MailServer) -> None:
    ana = await world.user()
    await change_email(world, ana, "new@example.com")
    token = await undo_token(world, server, address_of(ana))
    await change_email(world, ana, address_of(ana))
    assert await undo(world, token) == EXPIRED
    claims = await world.sources.database["claims"].find({"user_id": ana.id}).to_list()
    assert {claim["_id"]: "expires_at" in claim for claim in claims} == {
        f"username_key:{ana.username}": False,
        f"email_key:{address_of(ana)}": False,
        "email_key:new@example.com": True,
    }
    assert await find_faults(world) == []


async def test_an_address_that_was_never_verified_takes_nothing_back(world: World, server: MailServer) -> None:
    """A stranger may have it: somebody has mistyped their own."""
    ana = await world.user()
    await world.sources.database["users"].update_one({"_id": ana.id}, {"$unset": {"email_verified_at": ""}})
    await change_email(world, ana, "right@example.com")
    await world.drain()
    (mail,) = server.mails
    assert mail["To"] == address_of(ana)
    assert await world.sources.database["mail_tokens"].count_documents({"purpose": "email_undo"}) == 0
    await world.sources.users.register("other", address_of(ana), "no hash", "Other", now())
    assert await find_faults(world) == []


async def test_an_account_keeps_few_addresses(world: World) -> None:
    ana = await world.user()
    for number in range(EMAIL_CHANGES_MAX):
        await change_email(world, ana, f"{number}@example.com")
    with pytest.raises(Refusal) as refused:
        await change_email(world, ana, "one.more@example.com")
    assert refused.value.code == "QUOTA_EXCEEDED"
    assert refused.value.resets_at is not None
    assert timedelta(0) < refused.value.resets_at - now() <= KEPT
    await world.sources.users.delete(ana.id, now())
    claims = await world.sources.database["claims"].find({"_id": {"$regex": "^(email|username)"}}).to_list()
    assert claims == []


async def test_concurrent_duplicates_put_it_back_once(world: World, server: MailServer) -> None:
    ana = await world.user()
    await change_email(world, ana, "thief@example.com")
    token = await undo_token(world, server, address_of(ana))
    answers = await asyncio.gather(*(undo(world, token) for _ in range(4)))
    assert DONE in answers
    assert all(answer in (DONE, EXPIRED) for answer in answers)
    assert await world.sources.users.email_of(ana.id) == address_of(ana)
    assert await find_faults(world) == []


async def test_a_token_of_another_kind_does_nothing(world: World) -> None:
    ana, tokens = await world.user(), world.sources.mail_tokens
    await change_email(world, ana, "thief@example.com")
    for purpose in TokenPurpose:
        if purpose is not TokenPurpose.EMAIL_UNDO:
            assert await undo(world, await tokens.make(purpose, address_of(ana), ana.id), PASSWORD) == EXPIRED
