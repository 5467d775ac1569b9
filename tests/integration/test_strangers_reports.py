"""Reports of people without an account: they count once the link in a mail was opened."""

import asyncio
from typing import Any

import pytest

from domain.ids import to_global_id
from domain.records.moderation import ModerationAction
from domain.records.users import UserRecord
from tests.support.factories import World, now
from tests.support.mail_server import MailServer, text_of
from tests.support.maintenance import find_faults
from tests.support.moderating import decide, report

REQUEST = "mutation ($input: RequestReportInput!) { requestReport(input: $input) { userErrors { code field } } }"
CONFIRM = "mutation ($input: ConfirmReportInput!) { confirmReport(input: $input) { reported userErrors { code } } }"


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
    assert (report.reason, report.note) == ("ILLEGAL", "look")
    assert report.reporter_id is not None
    assert await mailing.sources.users.by_ids([report.reporter_id]) == [None]
    assert case.report_count == 1
    await mailing.drain()
    names = ("reports", "strangers_reports", "cases", "mails")
    assert "x.example" not in repr([await mailing.sources.database[name].find({}).to_list() for name in names])
    assert await find_faults(mailing) == []


async def report_by_mail(mailing: World, server: MailServer, user: UserRecord, **given: Any) -> Any:
    """Requests a report about somebody, and confirms it; the payload."""
    assert await request(mailing, **about(user, **given)) == []
    await mailing.drain()
    return await confirm(mailing, token_in(server.mails[-1]))


async def count(world: World, user: UserRecord) -> int | None:
    """How many reports the open case about somebody has; None if there is none."""
    case = await world.sources.moderation.cases.open_about(user.id)
    return None if case is None else case.report_count


async def reporters(world: World) -> list[Any]:
    """Who has reported, in the order of the reports."""
    return [row["reporter_id"] for row in await world.sources.database["reports"].find({}, sort=[("_id", 1)]).to_list()]


async def test_an_address_has_one_open_report_of_a_target(mailing: World, server: MailServer) -> None:
    ana, bob = await mailing.users(2)
    for email, counted in (("eve@x.example", 1), ("Eve@X.example", 1), ("fay@x.example", 2)):
        payload = await report_by_mail(mailing, server, ana, email=email)
        assert payload == {"reported": True, "userErrors": []}
        assert await count(mailing, ana) == counted
    assert await report_by_mail(mailing, server, bob) == {"reported": True, "userErrors": []}
    assert await count(mailing, bob) == 1
    assert len(set(await reporters(mailing))) == 3  # an address cannot be followed from case to case
    await decide(mailing, ana, ModerationAction.DISMISS)
    assert await mailing.sources.database["cases"].count_documents({"reporter_key": {"$exists": True}}) == 1
    await report_by_mail(mailing, server, ana)
    assert await count(mailing, ana) == 1
    assert await find_faults(mailing) == []


async def test_confirmations_at_once_of_one_address_are_one_report(mailing: World, server: MailServer) -> None:
    ana = await mailing.user()
    for _ in range(3):
        assert await request(mailing, **about(ana)) == []
    await mailing.drain()
    payloads = await asyncio.gather(*(confirm(mailing, token_in(mail)) for mail in server.mails))
    assert [payload["reported"] for payload in payloads] == [True] * 3
    assert (await count(mailing, ana), len(await reporters(mailing))) == (1, 1)


async def test_a_verified_address_of_an_account_counts_as_the_account(mailing: World, server: MailServer) -> None:
    ana, bob, cat = await mailing.users(3)
    users = mailing.sources.database["users"]
    await users.update_one({"_id": bob.id}, {"$set": {"email_verified_at": now()}})
    await users.update_one({"_id": cat.id}, {"$unset": {"email_verified_at": ""}})
    await report(mailing, bob, ana)
    addresses = [(await users.find_one({"_id": user.id}) or {})["email"] for user in (bob, cat)]
    for email, counted in zip(addresses, (1, 2), strict=True):
        payload = await report_by_mail(mailing, server, ana, email=email)
        assert payload == {"reported": True, "userErrors": []}
        assert await count(mailing, ana) == counted
    assert (await reporters(mailing))[0] == bob.id
    assert cat.id not in await reporters(mailing)
    assert await report_by_mail(mailing, server, bob, email=addresses[0]) == {"reported": True, "userErrors": []}
    assert await count(mailing, bob) is None  # nobody reports themselves


async def test_the_text_is_kept_as_it_was_when_the_report_was_requested(mailing: World, server: MailServer) -> None:
    ana = await mailing.user()
    post = await mailing.post(ana, caption="rude")
    await mailing.drain()
    assert await request(mailing, **about(ana, targetId=to_global_id("Post", post.id))) == []
    await mailing.sources.posts.update(post.id, ana.id, {"caption": "nice"}, now())
    await mailing.drain()
    await confirm(mailing, token_in(server.mails[-1]))
    case = await mailing.sources.moderation.cases.open_about(post.id)
    assert case is not None
    assert await mailing.sources.moderation.reports.text_of_case(case.id) == "rude"


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
