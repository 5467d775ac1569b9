"""No session that was opened with the old password survives a change of it."""

from typing import Any

import pytest
from bson import ObjectId

from config import Settings
from datasources.mail.letters import texts_of
from domain.errors import Refusal
from domain.mails import MailKind
from domain.records.users import Device
from resolvers.api import schema
from schema.context import Context
from tests.support.client import PASSWORD
from tests.support.factories import World, changed_sources, now, opened
from tests.support.mail_server import running_mail_server, token_in
from tests.support.own_databases import own_database

LOGIN = "mutation ($input: LoginInput!) { login(input: $input) { userErrors { code } tokens { accessToken } } }"


async def registered(world: World) -> tuple[ObjectId, str]:
    name = f"racer_{now():%H%M%S%f}"
    password_hash = await world.sources.passwords.hash(PASSWORD)
    user = await world.sources.users.register(name, f"{name}@example.com", password_hash, name, now())
    return user.id, name


async def test_a_login_during_the_change_gets_no_session(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The login has checked the old password; the change is over before it opens the session."""
    user_id, name = await registered(world)
    opens = world.sources.sessions.open

    async def open_late(*args: Any, **rest: Any) -> Any:
        assert await world.sources.password_changes.change(user_id, "another hash")
        return await opens(*args, **rest)

    monkeypatch.setattr(world.sources.sessions, "open", open_late)
    context = Context(changed_sources(world.sources), None, "test")
    given = {"input": {"login": name, "password": PASSWORD}}
    result = await schema.execute(LOGIN, given, context_value=context)
    assert result.data == {"login": {"userErrors": [{"code": "INVALID_CREDENTIALS"}], "tokens": None}}
    assert await world.sources.sessions.of_user(user_id) == []


async def test_a_session_that_the_transaction_has_not_seen_is_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_id, _ = await registered(world)
    adds = world.sources.mails.add

    async def add_late(*args: Any, **rest: Any) -> None:
        await world.sources.sessions.open(user_id, Device(client_name="late"), now())
        await adds(*args, **rest)

    monkeypatch.setattr(world.sources.mails, "add", add_late)
    assert await world.sources.password_changes.change(user_id, "another hash")
    assert await world.sources.sessions.of_user(user_id) == []


@pytest.mark.parametrize("is_sent", [True, False])
async def test_another_address_that_was_asked_for_before_is_not_taken(
    shared_settings: Settings, *, is_sent: bool
) -> None:
    """Whoever knew the old password may have asked for it. A token for the account's own address stays good."""
    async with running_mail_server() as server:
        with own_database(shared_settings) as settings:
            async with opened(server.settings(settings)) as world:
                ana = await world.user()
                own, subject = f"{ana.username}@example.com", texts_of("en")[MailKind.VERIFY_EMAIL]["subject"]
                await world.sources.mails.add(MailKind.VERIFY_EMAIL, user_id=ana.id, to="thief@example.com")
                await world.sources.mails.add(MailKind.VERIFY_EMAIL, user_id=ana.id)
                if is_sent:
                    await world.drain()
                assert await world.sources.password_changes.change(ana.id, "another hash")
                await world.drain()
                tokens = {mail["To"]: token_in(mail) for mail in server.mails if mail["Subject"] == subject}
                assert tokens.keys() == ({own, "thief@example.com"} if is_sent else {own})
                assert (await world.sources.mail_tokens.find(tokens[own])).email == own
                if is_sent:
                    with pytest.raises(Refusal):
                        await world.sources.mail_tokens.find(tokens["thief@example.com"])


async def test_the_sessions_end_with_the_change_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies after the transaction leaves no session."""
    user_id, _ = await registered(world)
    kept, _ = await world.sources.sessions.open(user_id, Device(client_name="kept"), now())
    _, tokens = await world.sources.sessions.open(user_id, None, now())
    ends = world.sources.sessions.end_others

    async def die(user_id: ObjectId, kept: ObjectId | None, session: Any = None) -> None:
        if session is None:
            raise KeyboardInterrupt
        await ends(user_id, kept, session)

    monkeypatch.setattr(world.sources.sessions, "end_others", die)
    with pytest.raises(KeyboardInterrupt):
        await world.sources.password_changes.change(user_id, "another hash", kept_session=kept.id)
    assert [session.id for session in await world.sources.sessions.of_user(user_id)] == [kept.id]
    assert await world.sources.sessions.authenticate(tokens.access_token) is None
