"""Removing what opens an account beside its password: by its owner with a new password, or by an operator."""

import json
from datetime import timedelta

import pyotp

from datasources.mail.letters import texts_of
from domain.access_scopes import AccessScope
from domain.mails import MailKind
from domain.records.factors import PasskeyRecord
from domain.records.users import UserRecord
from tests.integration.test_factors import passkey
from tests.support.command_line import run_command
from tests.support.factories import World, now
from tests.support.mail_server import MailServer, text_of
from tests.support.maintenance import find_faults

ISSUER = "https://issuer.example"


async def guarded(world: World) -> UserRecord:
    """An account with one-time codes, two passkeys, a linked identity, a known device, a session and a token."""
    ana, factors = await world.user(), world.sources.factors
    secret = await factors.one_time_codes.begin(ana.id, now())
    await factors.one_time_codes.confirm(ana.id, pyotp.TOTP(secret).now(), now())
    for _ in range(2):
        await factors.stored.add_passkey(ana.id, passkey())
    await factors.identities.link(ana.id, ISSUER, str(ana.id), now())
    await world.sources.database["users"].update_one(
        {"_id": ana.id}, {"$set": {"known_devices": [{"hash": "0", "used_at": now()}]}}
    )
    session, _ = await world.sources.sessions.open(ana.id, None, now())
    lifetime = timedelta(days=1)
    await world.sources.access_tokens.create(session, "sync", [AccessScope.READ], lifetime=lifetime, now=now())
    return ana


async def passkeys(world: World, user: UserRecord) -> list[PasskeyRecord]:
    return (await world.sources.factors.stored.of_user(user.id)).passkeys


async def test_a_mail_says_what_else_opens_the_account(mailing: World, server: MailServer) -> None:
    ana = await guarded(mailing)
    await mailing.sources.password_changes.change(ana.id, "another hash")
    await mailing.drain()
    (mail,) = [each for each in server.mails if each["Subject"] == texts_of("en")[MailKind.PASSWORD_CHANGED]["subject"]]
    assert "passkeys: 2, linked identities: 1" in text_of(mail)
    assert len(await passkeys(mailing, ana)) == 2
    assert await mailing.sources.access_tokens.of_user(ana.id) == []


async def test_a_new_password_can_remove_all_but_the_codes(mailing: World, server: MailServer) -> None:
    ana = await guarded(mailing)
    await mailing.sources.password_changes.change(ana.id, "another hash", removes_other_ways=True)
    await mailing.drain()
    factors = await mailing.sources.factors.stored.of_user(ana.id)
    assert (factors.passkeys, factors.identities) == ([], [])
    assert factors.has_codes
    assert len(factors.recovery_hashes) == 10
    assert await mailing.sources.factors.identities.owner(ISSUER, str(ana.id)) is None
    assert "passkeys: 0, linked identities: 0" in text_of(server.mails[-1])
    assert await find_faults(mailing) == []


async def test_an_operator_lets_in_who_has_lost_everything(mailing: World, server: MailServer) -> None:
    ana = await guarded(mailing)
    given = {name: str(getattr(mailing.sources.settings, name)) for name in ("mail", "smtp_host", "smtp_port")}
    given["smtp_security"] = "none"
    for words in ((), ("--yes",), ("--reason", "asked by phone")):
        asked = await run_command(mailing, "reset-factors", ana.username, *words, **given)
        assert asked.code == 2
        assert "one-time codes on, passkeys 2, linked identities 1" in asked.err
    assert len(await passkeys(mailing, ana)) == 2
    given["log_format"] = "json"
    sure = ("--reason", "answered from the address", "--yes")
    done = await run_command(mailing, "reset-factors", f"@{ana.username}", *sure, **given)
    assert done.code == 0, done
    (line,) = [json.loads(each) for each in done.err.splitlines() if "account.factors_reset" in each]
    assert (line["account"], line["reason"]) == (str(ana.id), "answered from the address")
    assert line["operator"]
    factors = await mailing.sources.factors.stored.of_user(ana.id)
    assert (factors.has_codes, factors.passkeys, factors.identities, factors.recovery_hashes) == (False, [], [], [])
    assert await mailing.sources.factors.identities.owner(ISSUER, str(ana.id)) is None
    assert await mailing.sources.sessions.of_user(ana.id) == []
    assert await mailing.sources.access_tokens.of_user(ana.id) == []
    user = await mailing.sources.database["users"].find_one({"_id": ana.id})
    assert user is not None
    assert "known_devices" not in user
    await mailing.drain()
    mail = server.mails[-1]
    assert (mail["To"], mail["Subject"]) == (user["email"], texts_of("en")[MailKind.FACTORS_RESET]["subject"])
    assert await find_faults(mailing) == []


async def test_resetting_is_safe_to_repeat_and_says_who_is_not_there(mailing: World) -> None:
    ana = await mailing.user()
    removal = mailing.sources.factors.removal
    assert await removal.reset(ana.id)
    assert await removal.reset(ana.id)
    await mailing.sources.users.delete(ana.id, now())
    assert not await removal.reset(ana.id)
    answer = await run_command(mailing, "reset-factors", "nobody.here", "--yes", "--reason", "x")
    assert (answer.code, "there is no account nobody.here" in answer.err) == (1, True)
