"""Reports of people without an account: they count once the link in a mail was opened."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from config import Settings
from domain.ids import to_global_id
from domain.records.users import UserRecord
from tests.support.factories import World, now, opened, own_database
from tests.support.mail_server import MailServer, running_mail_server, text_of
from tests.support.maintenance import find_faults

REQUEST = "mutation ($input: RequestReportInput!) { requestReport(input: $input) { userErrors { code field } } }"
CONFIRM = "mutation ($input: ConfirmReportInput!) { confirmReport(input: $input) { reported userErrors { code } } }"


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with running_mail_server() as running:
        yield running


@pytest.fixture
async def mailing(shared_settings: Settings, server: MailServer) -> AsyncIterator[World]:
    """A world that sends mails."""
    with own_database(shared_settings) as settings:
        async with opened(server.settings(settings)) as world:
            yield world


def about(user: UserRecord, **more: Any) -> dict[str, Any]:
    """The input of `requestReport` about an account."""
    given = {"targetId": to_global_id("User", user.id), "reason": "ILLEGAL", "note": "look", "email": "eve@x.example"}
    return {**given, **more}


async def request(world: World, **given: Any) -> list[dict[str, Any]]:
    """Asks as a stranger; the user errors."""
    data = (await world.execute(REQUEST, None, input=given)).data
    assert data is not None
    errors: list[dict[str, Any]] = data["requestReport"]["userErrors"]
    return errors


async def confirm(world: World, token: str) -> Any:
    """Confirms as a stranger; the payload."""
    data = (await world.execute(CONFIRM, None, input={"token": token})).data
    assert data is not None
    return data["confirmReport"]


def token_in(mail: Any) -> str:
    """The token of a mail: its longest word."""
    return max(text_of(mail).split(), key=len).rpartition("=")[2]


async def test_a_report_counts_once_its_link_is_opened_and_the_address_is_not_kept(
    mailing: World, server: MailServer
) -> None:
    ana = await mailing.user()
    assert await request(mailing, **about(ana)) == []
    await mailing.drain()
    assert await mailing.sources.moderation.cases.open_about(ana.id) is None
    (mail,) = server.mails
    assert mail["To"] == "eve@x.example"
    for _ in range(2):  # a retry is answered as done
        assert await confirm(mailing, token_in(mail)) == {"reported": True, "userErrors": []}
    case = await mailing.sources.moderation.cases.open_about(ana.id)
    assert case is not None
    (report,) = await mailing.sources.moderation.reports.of_case(case.id)
    assert (report.reporter_id, report.reason, report.note) == (None, "ILLEGAL", "look")
    assert case.report_count == 1
    await mailing.drain()
    names = ("reports", "strangers_reports", "cases", "mails")
    assert "x.example" not in repr([await mailing.sources.database[name].find({}).to_list() for name in names])
    assert await find_faults(mailing) == []


async def test_only_what_a_stranger_sees_is_reported(mailing: World, server: MailServer) -> None:
    ana, bob = await mailing.user(is_private=True), await mailing.user()
    post = await mailing.post(ana)
    hidden = about(ana, targetId=to_global_id("Post", post.id))
    assert await request(mailing, **hidden) == [{"code": "NOT_FOUND", "field": ["targetId"]}]
    assert await request(mailing, **about(bob, email="nonsense")) == [{"code": "INVALID_INPUT", "field": ["email"]}]
    await mailing.drain()
    assert server.mails == []
    assert (await confirm(mailing, "nonsense"))["userErrors"] == [{"code": "TOKEN_EXPIRED"}]


async def test_of_a_deleted_account_no_report_waits(mailing: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.handlers.delete_account.final_check_delay", lambda _settings: now() - now())
    ana = await mailing.user()
    await request(mailing, **about(ana))
    await mailing.sources.users.delete(ana.id, now())
    await mailing.drain()
    assert await mailing.sources.database["strangers_reports"].count_documents({}) == 0


async def test_without_mails_it_is_refused(own: World) -> None:
    ana = await own.user()
    assert await request(own, **about(ana)) == [{"code": "NOT_ALLOWED", "field": None}]
