"""Reports in the stores: cases, what they keep of the reported text, and for how long."""

import asyncio

import pytest

from domain.records.moderation import (
    ModerationAction,
)
from tests.support.factories import World, now
from tests.support.full_account import remove_final_check_delay
from tests.support.moderating import decide, report


async def test_concurrent_reports_make_one_case_and_a_reporter_counts_once(own: World) -> None:
    ana, *reporters = await own.users(5)
    await asyncio.gather(*(report(own, reporter, ana) for reporter in reporters for _ in range(3)))
    case = await own.sources.moderation.cases.open_about(ana.id)
    assert case is not None
    assert case.report_count == len(await own.sources.moderation.reports.of_case(case.id)) == 4
    assert await own.sources.database["cases"].count_documents({}) == 1


async def test_a_case_keeps_a_bounded_number_of_reports_and_counts_the_others(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasources.moderation.reports.CASE_REPORTS_KEPT", 3)
    ana, *reporters = await own.users(6)
    await asyncio.gather(*(report(own, reporter, ana) for reporter in reporters))
    case = await own.sources.moderation.cases.open_about(ana.id)
    assert case is not None
    assert case.report_count == 5
    assert len(await own.sources.moderation.reports.of_case(case.id)) == 3
    await decide(own, ana, ModerationAction.DISMISS)
    assert await own.sources.database["reports"].count_documents({"is_open": True}) == 0
    await report(own, reporters[0], ana)
    again = await own.sources.moderation.cases.open_about(ana.id)
    assert again is not None
    assert (again.report_count, again.id != case.id) == (1, True)


async def test_a_case_shows_the_text_as_it_was_at_the_first_report(own: World) -> None:
    ana, bob, cat = await own.users(3)
    await own.sources.users.update_profile(ana.id, {"display_name": "Ana", "biography": "rude"})
    post = await own.post(ana, caption="ruder")
    comment = await own.comment(post, ana, "rudest")
    for reporter in (bob, cat):
        for target in (ana, post, comment):
            await report(own, reporter, target)
        await own.sources.users.update_profile(ana.id, {"biography": None})
        await own.sources.posts.update(post.id, ana.id, {"caption": "nice"}, now())
        await own.sources.comments.delete(comment.id, now())
    texts = []
    for target in (ana, post, comment):
        case = await own.sources.moderation.cases.open_about(target.id)
        assert case is not None
        texts.append(await own.sources.moderation.reports.text_of_case(case.id))
    assert texts == ["Ana\nrude", "ruder", "rudest"]


async def test_reports_of_a_closed_case_are_deleted_in_the_end_also_those_of_deleted_accounts(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_final_check_delay(monkeypatch)
    ana, bob, cat = await own.users(3)
    for reporter in (bob, cat):
        await report(own, reporter, ana)
    await own.sources.users.delete(bob.id, now())
    await own.drain()
    assert await own.sources.database["reports"].count_documents({"expires_at": {"$exists": False}}) == 2
    await decide(own, ana, ModerationAction.DISMISS)
    assert await own.sources.database["reports"].count_documents({"expires_at": {"$gt": now()}}) == 2
