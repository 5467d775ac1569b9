"""Who deletes a suspended or banned account does not register anew with what it had, until the time is over."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from config import Settings
from datasources.accounts.barred_identifiers import Barred, BarredIdentifiers
from datasources.mail.letters import texts_of
from datasources.mongo.client import Session
from datasources.mongo.transactions import in_transaction
from domain.errors import Refusal
from domain.limits import BAN_OUTLASTS
from domain.mails import MailKind, TokenPurpose
from domain.records.users import AccountStanding, UserRecord
from tests.support.command_line import run_command
from tests.support.factories import World, now, opened
from tests.support.mail_server import running_mail_server, token_in
from tests.support.maintenance import find_faults
from tests.support.own_databases import own_database

ISSUER = "https://issuer.example"
KEYS = ("A" * 43 + "=", "B" * 43 + "=")


async def bars(world: World) -> list[dict[str, Any]]:
    return list(await world.sources.database["barred_identifiers"].find().to_list())


async def deleted(world: World, standing: AccountStanding, until: datetime | None = None) -> UserRecord:
    """An account of this standing that its owner has deleted, with a linked identity."""
    ana = await world.user()
    await world.sources.factors.identities.link(ana.id, ISSUER, str(ana.id), now())
    await world.set_standing(ana, standing)
    await world.sources.database["users"].update_one({"_id": ana.id}, {"$set": {"standing_until": until}})
    assert await world.sources.users.delete(ana.id, now())
    return ana


async def register(world: World, username: str, email: str) -> None:
    await world.sources.users.register(username, email, "no hash", "Ana", now())


async def refused(world: World, username: str, email: str) -> tuple[str, list[str] | None]:
    with pytest.raises(Refusal) as refusal:
        await register(world, username, email)
    return refusal.value.code.value, refusal.value.field


async def test_a_banned_account_that_is_deleted_keeps_its_names_from_everybody(own: World) -> None:
    ana, bob = await deleted(own, AccountStanding.BANNED), await own.user()
    await own.drain()
    email = f"{ana.username}@example.com"
    assert await refused(own, ana.username.upper(), "new@example.com") == ("USERNAME_TAKEN", ["username"])
    assert await refused(own, "somebody", email.upper()) == ("EMAIL_TAKEN", ["email"])
    with pytest.raises(Refusal) as renamed:
        await own.sources.account.renaming.rename(bob.id, ana.username, now())
    assert renamed.value.code == "USERNAME_TAKEN"
    await own.sources.factors.identities.erase(ana.id)  # as the worker does
    with pytest.raises(Refusal) as linked:
        await own.sources.factors.identities.link(bob.id, ISSUER, str(ana.id), now())
    assert linked.value.code == "NOT_ALLOWED"
    assert not (await own.sources.factors.stored.of_user(bob.id)).identities
    with pytest.raises(Refusal) as begun:
        await own.sources.account.registrations.begin(ana.username, "x@example.com", "no hash", "Ana", None, None)
    assert begun.value.code == "USERNAME_TAKEN"
    assert await own.sources.database["claims"].count_documents({"registration_id": {"$exists": True}}) == 0
    assert await find_faults(own) == []


async def test_nothing_says_whose_a_bar_is(own: World) -> None:
    ana = await deleted(own, AccountStanding.BANNED)
    stored = await bars(own)
    assert len(stored) == 3
    for bar in stored:
        assert bar.keys() == {"_id", "expires_at"}
        assert len(bar["_id"]) == 32
        assert abs(bar["expires_at"] - now() - BAN_OUTLASTS) < timedelta(minutes=1)
    assert ana.username not in repr(stored)
    assert str(ana.id) not in repr(stored)


async def test_a_suspension_ends_when_it_would_have_ended(own: World) -> None:
    ana = await deleted(own, AccountStanding.SUSPENDED, now() + timedelta(days=3))
    assert {bar["expires_at"].date() for bar in await bars(own)} == {(now() + timedelta(days=3)).date()}
    assert (await refused(own, ana.username, "new@example.com"))[0] == "USERNAME_TAKEN"
    past = {"$set": {"expires_at": now() - timedelta(seconds=1)}}
    await own.sources.database["barred_identifiers"].update_many({}, past)
    await register(own, ana.username, f"{ana.username}@example.com")


@pytest.mark.parametrize(
    ("standing", "until"),
    [
        (AccountStanding.GOOD, None),
        (AccountStanding.LIMITED, None),
        (AccountStanding.SUSPENDED, datetime(2026, 1, 1).astimezone()),  # its end is pending
    ],
)
async def test_who_is_not_suspended_leaves_nothing(
    own: World, standing: AccountStanding, until: datetime | None
) -> None:
    ana = await deleted(own, standing, until)
    assert await bars(own) == []
    await register(own, ana.username, f"{ana.username}@example.com")


async def test_an_operator_makes_an_account_all_the_same(own: World) -> None:
    ana = await deleted(own, AccountStanding.BANNED)
    await own.sources.users.register(
        ana.username, f"{ana.username}@example.com", "no hash", "Ana", now(), may_be_barred=True
    )
    assert await own.sources.users.by_username(ana.username) is not None


async def test_an_operators_deletion_bars_too(own: World) -> None:
    ana = await own.user()
    await own.set_standing(ana, AccountStanding.BANNED)
    assert (await run_command(own, "delete-account", ana.username, "--yes")).code == 0
    assert (await refused(own, ana.username, "new@example.com"))[0] == "USERNAME_TAKEN"


async def test_handles_and_identities_given_up_before_are_barred_too(own: World) -> None:
    ana = await own.user()
    await own.sources.account.renaming.rename(ana.id, "another", now())
    await own.sources.factors.identities.link(ana.id, ISSUER, "given up", now())
    await own.set_standing(ana, AccountStanding.BANNED)
    (identity,) = (await own.sources.factors.stored.of_user(ana.id)).identities
    assert await own.sources.factors.identities.unlink(ana.id, identity.id)
    await own.sources.users.delete(ana.id, now())
    for username in (ana.username, "another"):
        assert (await refused(own, username, "new@example.com"))[0] == "USERNAME_TAKEN"
    with pytest.raises(Refusal):
        await own.sources.factors.identities.link((await own.user()).id, ISSUER, "given up", now())


async def test_an_address_changed_while_suspended_is_barred_and_can_be_put_back(own: World) -> None:
    ana, tokens = await own.user(), own.sources.mail_tokens
    old = f"{ana.username}@example.com"
    await own.set_standing(ana, AccountStanding.BANNED)
    for address in ("throwaway@example.com", old):
        made = await tokens.make(TokenPurpose.EMAIL, address, ana.id)
        assert await own.sources.account.emails.verify(await tokens.find(made))
    await own.sources.users.delete(ana.id, now())
    for address in ("throwaway@example.com", old):
        assert (await refused(own, "somebody", address))[0] == "EMAIL_TAKEN"


async def test_an_address_that_an_undo_gives_up_is_barred_too(own: World) -> None:
    ana, tokens = await own.user(), own.sources.mail_tokens
    old = f"{ana.username}@example.com"
    await own.set_standing(ana, AccountStanding.BANNED)
    made = await tokens.make(TokenPurpose.EMAIL, "throwaway@example.com", ana.id)
    assert await own.sources.account.emails.verify(await tokens.find(made))
    undo = await tokens.find(await tokens.make(TokenPurpose.EMAIL_UNDO, old, ana.id))
    await own.sources.database["barred_identifiers"].delete_many({})  # what the change has barred
    assert await own.sources.password_changes.change(ana.id, "another hash", token=undo)
    assert await own.sources.users.email_of(ana.id) == old
    assert await refused(own, "somebody", "throwaway@example.com") == ("EMAIL_TAKEN", ["email"])
    assert len(await bars(own)) == 1, "not the address that it has again"


async def test_an_address_that_was_never_verified_is_not_barred(own: World) -> None:
    """It may be somebody else's, whom nobody asked."""
    ana, bob = await own.users(2)
    for user in (ana, bob):
        await own.sources.database["users"].update_one({"_id": user.id}, {"$unset": {"email_verified_at": ""}})
        await own.set_standing(user, AccountStanding.BANNED)
    made = await own.sources.mail_tokens.make(TokenPurpose.EMAIL, "own@example.com", bob.id)
    assert await own.sources.account.emails.verify(await own.sources.mail_tokens.find(made))
    await register(own, "one", f"{bob.username}@example.com")
    await own.sources.users.delete(ana.id, now())
    await register(own, "two", f"{ana.username}@example.com")
    await own.sources.users.delete(bob.id, now())
    assert (await refused(own, "three", "own@example.com"))[0] == "EMAIL_TAKEN"


async def test_what_is_barred_gets_a_mail_that_says_so_and_no_account(shared_settings: Settings) -> None:
    subjects = {kind: texts_of("en")[kind]["subject"] for kind in (MailKind.ADDRESS_BARRED, MailKind.REGISTRATION)}
    async with running_mail_server() as server:
        with own_database(shared_settings) as settings:
            async with opened(server.settings(settings)) as world:
                ana, bob = await world.user(), await world.user()
                await world.set_standing(ana, AccountStanding.BANNED)
                email = f"{ana.username}@example.com"
                registrations = world.sources.account.registrations
                await registrations.begin("before", "other@example.com", "no hash", "Ana", None, None)
                await world.drain()
                token = await world.sources.mail_tokens.find(token_in(server.mails[-1]))
                await world.sources.users.delete(ana.id, now())
                await registrations.begin("later", email, "no hash", "Ana", None, None)
                await world.sources.mails.add(MailKind.VERIFY_EMAIL, user_id=bob.id, to=email)
                await world.drain()
                got = [mail["Subject"] for mail in server.mails if mail["To"] == email]
                assert got.count(subjects[MailKind.ADDRESS_BARRED]) == 2
                assert subjects[MailKind.REGISTRATION] not in got
                # A token that was sent before makes no account either.
                barred = world.sources.mail_recipients._barred
                document = {"_id": ana.id, "state": "SUSPENDED", "standing": "BANNED"}
                await in_transaction(
                    world.sources.client,
                    lambda session: barred.add(Barred.EMAIL, ["other@example.com"], document, session),
                )
                with pytest.raises(Refusal) as refusal:
                    await registrations.complete(token, password_hash="another hash")
                assert refusal.value.code == "EMAIL_TAKEN"


async def test_a_bar_outlasts_a_change_of_keys(own: World) -> None:
    def with_keys(*keys: str) -> BarredIdentifiers:
        settings = Settings.model_validate({"environment": "test", "secret_keys": ",".join(keys)})
        return BarredIdentifiers(own.sources.database, settings)

    async def bar(address: str, *keys: str) -> None:
        account = {"_id": ObjectId(), "state": "SUSPENDED", "standing": "BANNED"}

        async def work(session: Session) -> None:
            await with_keys(*keys).add(Barred.EMAIL, [address], account, session)

        await in_transaction(own.sources.client, work)

    for number, (before, after) in enumerate([((), KEYS[:1]), (KEYS[:1], KEYS[::-1])]):
        await bar(f"{number}@example.com", *before)
        assert await with_keys(*after).has(Barred.EMAIL, f"{number}@example.com")
        assert not await with_keys(*after).has(Barred.USERNAME, f"{number}@example.com")
    assert not await with_keys(KEYS[1]).has(Barred.EMAIL, "1@example.com")
