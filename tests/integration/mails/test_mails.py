"""Mails are sent at least once, to the right people, and the outbox holds no secret."""

import asyncio
import datetime as dt
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from datasources.mail.letters import texts_of
from datasources.mail.transport import MailOutageError, open_transport
from datasources.mongo import clock
from datasources.mongo.transactions import in_transaction
from domain.mails import MAILS, MailKind
from tests.support.factories import World, changed_sources, opened
from tests.support.mail_server import TAKEN, MailServer, html_of, mails_to, running_mail_server, text_of
from tests.support.waiting import eventually
from tests.support.workers import failures
from workers.handlers.send_mails import send_mails
from workers.runtime.handler import Tools
from workers.runtime.outbox_relay import relay_due

CHANGED = MailKind.PASSWORD_CHANGED
SUBJECT = texts_of("en")[CHANGED]["subject"]


async def rows(world: World) -> list[dict[str, Any]]:
    return await world.sources.database["mails"].find(sort=[("_id", 1)]).to_list()


async def pending(world: World) -> list[str]:
    return [str(row["_id"]) for row in await rows(world) if "outbox" in row]


async def test_a_mail_goes_to_the_address_that_the_account_has_by_then(world: World, server: MailServer) -> None:
    ana = await world.user()
    await world.sources.mails.add(CHANGED, user_id=ana.id)
    moved = {"$set": {"email": "new@x.example", "language": "de-AT"}}
    await world.sources.database["users"].update_one({"_id": ana.id}, moved)
    await world.drain()
    (mail,) = server.mails
    assert mail["To"] == "new@x.example"
    assert mail["Subject"] == texts_of("de")[CHANGED]["subject"]
    assert f"@{ana.username}" in text_of(mail)
    assert f"@{ana.username}" in html_of(mail)
    (row,) = await rows(world)
    assert row["outcome"] == "sent"
    assert row.keys() & {"to", "values", "outbox", "due_at", "lease", "leased_until"} == set()
    assert "x.example" not in repr(row)


async def test_a_mail_waits_while_the_server_is_away_and_is_no_dead_letter(world: World, server: MailServer) -> None:
    ana = await world.user()
    server.answer = "451 come back later"
    await world.sources.mails.add(CHANGED, user_id=ana.id)
    await world.drain()
    gone = world.sources.settings.model_copy(update={"smtp_port": 1})
    tools = Tools(sources=changed_sources(world.sources, settings=gone))
    await send_mails(tools, *await pending(world))
    assert server.mails == []
    assert await pending(world)
    assert await failures(world) == []
    server.answer = "250 OK"
    await relay_due(world.sources, clock.now() + timedelta(minutes=2))
    await world.drain()
    assert len(server.mails) == 1
    assert await pending(world) == []


@pytest.mark.parametrize("name", ["answer", "recipient_answer"])
async def test_a_mail_that_the_server_refuses_for_good_is_not_sent_again(
    world: World, server: MailServer, name: str
) -> None:
    ana, bob = await world.users(2)
    setattr(server, name, "550 no ana here: CANARY")
    await world.sources.mails.add(CHANGED, user_id=ana.id)
    with capture_logs() as logs:
        await world.drain()
    assert [row["outcome"] for row in await rows(world)] == ["refused"]
    setattr(server, name, "250 OK")
    await world.sources.mails.add(CHANGED, user_id=bob.id)
    await world.drain()
    assert [mail["To"] for mail in server.mails] == [f"{bob.username}@example.com"]
    output = repr(logs)
    assert "550" in output
    assert "CANARY" not in output
    assert "@example.com" not in output


async def test_a_mail_is_sent_again_by_another_worker_if_its_worker_dies(
    world: World, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await world.user()
    await world.sources.mails.add(CHANGED, user_id=ana.id)
    keys = await pending(world)

    async def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(world.sources.mails, "finish", die)
    monkeypatch.setattr(world.sources.mails, "release", die)
    with pytest.raises(KeyboardInterrupt):
        await send_mails(world.tools, *keys)
    monkeypatch.undo()
    assert await pending(world) == keys
    assert await world.sources.mails.claim([ObjectId(keys[0])], clock.now()) == []
    later = await world.sources.mails.claim([ObjectId(keys[0])], clock.now() + timedelta(seconds=61))
    await world.sources.mails.release(later)
    await send_mails(world.tools, *keys)
    assert len({mail["Message-ID"] for mail in server.mails}) == 1
    assert len(server.mails) == 2
    assert await pending(world) == []


async def test_a_kind_of_a_newer_version_is_left_to_it_and_holds_up_no_other(world: World, server: MailServer) -> None:
    ana = await world.user()
    for _ in range(3):
        await world.sources.mails.add(CHANGED, user_id=ana.id)
    keys = await pending(world)
    newer = {"_id": ObjectId(keys[1])}
    await world.sources.database["mails"].update_one(newer, {"$set": {"kind": "of a newer version"}})
    await send_mails(world.tools, *keys)
    assert len(server.mails) == 2
    (waiting,) = await world.sources.database["mails"].find({"outbox": {"$exists": True}}).to_list()
    assert waiting["_id"] == ObjectId(keys[1])
    assert waiting.keys() & {"lease", "leased_until"} == set()
    await world.sources.database["mails"].update_one(newer, {"$set": {"kind": CHANGED.value}})
    await send_mails(world.tools, *keys)
    assert len(server.mails) == 3


async def test_two_workers_at_once_send_a_mail_once(world: World, server: MailServer) -> None:
    people = await world.users(5)
    server.hanging = True
    for person in people:
        await world.sources.mails.add(CHANGED, user_id=person.id)
    keys = await pending(world)
    calls = [asyncio.create_task(send_mails(world.tools, *keys)) for _ in range(4)]

    async def is_leased() -> bool:
        return all("lease" in row for row in await rows(world))

    await eventually(is_leased)
    server.hanging = False
    await asyncio.gather(*calls)
    assert sorted(mail["To"] for mail in server.mails) == sorted(f"{each.username}@example.com" for each in people)


async def test_a_server_that_hangs_holds_up_no_mail_for_longer_than_its_time(
    world: World, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await world.user()
    server.hanging = True
    monkeypatch.setattr("workers.handlers.send_mails.SECONDS", 0.2)
    await world.sources.mails.add(CHANGED, user_id=ana.id)
    await send_mails(world.tools, *await pending(world))
    assert await pending(world)
    server.hanging = False
    monkeypatch.undo()
    await send_mails(world.tools, *await pending(world))
    assert await pending(world) == []


@pytest.mark.parametrize(
    ("address", "answer"),
    [("full@example.com", "452 mailbox full"), ("x@bücher.example", TAKEN), ("jürgen@example.com", TAKEN)],
)
async def test_a_mail_that_cannot_be_sent_holds_up_no_other(
    world: World, server: MailServer, address: str, answer: str
) -> None:
    ana, bob = await world.users(2)
    server.answers_to[address] = answer
    await world.sources.database["users"].update_one({"_id": ana.id}, {"$set": {"email": address}})
    for person in (ana, bob):
        await world.sources.mails.add(CHANGED, user_id=person.id)
    await send_mails(world.tools, *await pending(world))
    assert f"{bob.username}@example.com" in [mail["To"] for mail in server.mails]
    assert len(await pending(world)) == (answer != TAKEN)


async def test_a_mail_that_nobody_wants_any_more_is_dropped(world: World, server: MailServer) -> None:
    ana = await world.user()
    await world.sources.mails.add(CHANGED, user_id=ana.id)
    await world.sources.database["mails"].update_many({}, {"$set": {"give_up_at": clock.now() - timedelta(seconds=1)}})
    await world.drain()
    assert [row["outcome"] for row in await rows(world)] == ["dropped"]
    assert server.mails == []


async def test_nobody_fills_the_mailbox_of_another_one(world: World, server: MailServer) -> None:
    ana, bob = await world.users(2)
    limit = MAILS[MailKind.PASSWORD_RESET].per_hour
    for case in [str.lower, str.upper] * limit:
        await world.sources.mails.add(MailKind.PASSWORD_RESET, to=case(f"{ana.username}@example.com"))
    await world.sources.mails.add(MailKind.PASSWORD_RESET, to=f"{bob.username}@example.com")
    await world.sources.mails.add(CHANGED, user_id=ana.id)
    for key in await pending(world):
        await send_mails(world.tools, key)
    resets = [mail["To"] for mail in server.mails if mail["Subject"] != SUBJECT]
    assert sorted(resets) == sorted([f"{ana.username}@example.com"] * limit + [f"{bob.username}@example.com"])
    assert len(server.mails) == limit + 2
    earlier = {"$set": {"sent_at": {"$subtract": ["$sent_at", 3_601_000]}}}
    await world.sources.database["mails"].update_many({}, [earlier])
    await world.sources.mails.add(MailKind.PASSWORD_RESET, to=f"{ana.username}@example.com")
    await world.drain()
    assert len(server.mails) == limit + 3


async def test_mails_of_a_deleted_account_are_deleted_and_not_sent(world: World, server: MailServer) -> None:
    ana = await world.user()
    server.answer = "451 later"
    await world.sources.mails.add(CHANGED, user_id=ana.id)
    await world.drain()
    await world.sources.users.delete(ana.id, clock.now())
    server.answer = "250 OK"
    await send_mails(world.tools, *await pending(world))
    assert [row["outcome"] for row in await rows(world)] == ["dropped"]
    await world.drain()
    assert await rows(world) == []
    assert server.mails == []


async def test_a_mail_of_a_transaction_that_fails_is_not_sent(world: World, server: MailServer) -> None:
    ana = await world.user()

    async def apply(session: Any) -> None:
        await world.sources.mails.add(CHANGED, user_id=ana.id, session=session)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await in_transaction(world.sources.client, apply)
    await world.drain()
    assert await rows(world) == []
    assert server.mails == []


async def test_the_mail_of_a_fact_is_added_once(world: World, server: MailServer) -> None:
    ana = await world.user()
    for _ in range(2):
        await world.sources.mails.add(CHANGED, user_id=ana.id, mail_id=ana.id)
    await world.drain()
    assert len(server.mails) == 1


async def test_a_mail_without_its_values_is_a_mistake(world: World) -> None:
    with pytest.raises(ValueError, match="client"):
        await world.sources.mails.add(MailKind.NEW_LOGIN, user_id=ObjectId())


async def test_a_process_without_mails_adds_none_and_leaves_those_of_others(world: World, server: MailServer) -> None:
    ana = await world.user()
    await world.sources.mails.add(CHANGED, user_id=ana.id)
    async with opened(world.sources.settings.model_copy(update={"mail": "none"})) as silent:
        await silent.sources.mails.add(CHANGED, user_id=ana.id)
        await silent.drain()
    assert server.mails == []
    await world.drain()
    assert len(server.mails) == 1


async def test_a_folder_keeps_the_newest_mails(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasources.mail.transport.KEPT_IN_FOLDER", 3)
    settings = world.sources.settings.model_copy(update={"mail": "folder", "mail_folder": tmp_path / "mails"})
    async with opened(settings) as local:
        for person in await local.users(5):
            await local.sources.mails.add(CHANGED, user_id=person.id)
            await local.drain()
    assert len(list((tmp_path / "mails").iterdir())) == 3
    assert mails_to(tmp_path / "mails", f"{person.username}@example.com")


async def test_the_server_must_show_a_certificate_that_is_trusted(world: World, tmp_path: Path) -> None:
    async with running_mail_server(_self_signed(tmp_path)) as server:
        untrusted = server.settings(world.sources.settings).model_copy(update={"smtp_security": "starttls"})
        with pytest.raises(MailOutageError):
            async with open_transport(untrusted):
                pass


async def test_a_server_without_encryption_gets_no_mail_by_default(world: World, server: MailServer) -> None:
    plain = world.sources.settings.model_copy(update={"smtp_security": "starttls"})
    with pytest.raises(MailOutageError):
        async with open_transport(plain):
            pass


def _self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    start = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "pem").write_bytes(key.private_bytes(*form) + certificate.public_bytes(form[0]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pem")
    return context
