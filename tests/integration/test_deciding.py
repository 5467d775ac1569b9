"""Decisions in the stores: one transaction each, what follows from them, their ends, and what stays of the deleted."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from config import Settings
from datasources.accounts.sessions import SessionStore
from datasources.jobs.idempotency import Idempotency
from datasources.jobs.outbox import add_pending
from domain.errors import NotFound, Refusal
from domain.jobs import Task
from domain.limits import REMOVED_KEPT
from domain.paging import PageRequest
from domain.records.moderation import (
    DecisionRecord,
    ModerationAction,
)
from domain.records.notifications import NotificationKind
from domain.records.posts import PostStatus
from domain.records.users import UserRecord, UserState
from tests.support.factories import World, items_of, now, opened
from tests.support.full_account import create_post_with_files, create_upload, remove_final_check_delay
from tests.support.mail_server import running_mail_server, text_of
from tests.support.maintenance import find_faults
from tests.support.moderating import appeal, decide, report
from tests.support.own_databases import own_database
from workers.handlers.notify_decisions import notify_decisions
from workers.runtime.outbox_relay import relay_due


async def log_of(world: World, user: UserRecord) -> list[str]:
    """The actions in the log about an account, latest first."""
    entries = await world.sources.moderation.decisions.log(PageRequest(limit=50), subject_id=user.id)
    return [entry.action.value for entry in items_of(entries)]


async def test_a_decision_about_what_is_gone_changes_nothing(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    await report(own, bob, post)
    await own.sources.posts.delete(post.id, ana.id, now())
    with pytest.raises(NotFound):
        await decide(own, post, ModerationAction.HIDE)
    assert await own.sources.moderation.cases.open_about(post.id) is not None
    assert await log_of(own, ana) == []
    await decide(own, post, ModerationAction.DISMISS)
    assert await own.sources.moderation.cases.open_about(post.id) is None


async def test_of_two_moderators_at_once_one_decides_a_case(own: World) -> None:
    ana, bob, mia, max_ = await own.users(4)
    await report(own, bob, ana)
    case = await own.sources.moderation.cases.open_about(ana.id)
    outcomes = await asyncio.gather(
        decide(own, ana, ModerationAction.WARN, moderator_id=mia.id, case=case),
        decide(own, ana, ModerationAction.WARN, moderator_id=max_.id, case=case),
        return_exceptions=True,
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == [DecisionRecord.__name__, Refusal.__name__]
    assert await log_of(own, ana) == ["WARN"]


@pytest.mark.parametrize("action", [ModerationAction.HIDE, ModerationAction.REMOVE])
async def test_what_follows_from_hiding_a_post_is_undone_by_restoring_it(own: World, action: ModerationAction) -> None:
    ana, bob, cat = await own.users(3)
    await own.follow(bob, ana)
    await own.open_feeds(bob)
    post = await create_post_with_files(own, ana, [await create_upload(own, ana)], [bob, cat])
    assert [len(await own.inbox(user)) for user in (bob, cat)] == [1, 1]
    await decide(own, post, action)
    await own.drain()
    hidden = await own.stored_post(post.id)
    assert hidden.status in {PostStatus.HIDDEN, PostStatus.REMOVED}
    assert {rendition.key.split("/")[0] for image in hidden.images for rendition in image.renditions} == {"private"}
    assert (await own.stored_user(ana.id)).post_count == 0
    assert [len(await own.inbox(user)) for user in (bob, cat)] == [0, 0]
    assert items_of(await own.sources.home_feed.page(bob.id, PageRequest(limit=9))) == []
    assert await find_faults(own) == []
    await decide(own, post, ModerationAction.RESTORE)
    await own.drain()
    restored = await own.stored_post(post.id)
    assert restored.status is PostStatus.READY
    assert {rendition.key.split("/")[0] for image in restored.images for rendition in image.renditions} == {"public"}
    assert (await own.stored_user(ana.id)).post_count == 1
    assert [len(await own.inbox(user)) for user in (bob, cat)] == [1, 1]
    assert items_of(await own.sources.home_feed.page(bob.id, PageRequest(limit=9))) == [post.id]
    assert await find_faults(own) == []


async def test_an_edit_of_a_hidden_post_notifies_nobody_new(own: World) -> None:
    ana, bob, cat = await own.users(3)
    post = await create_post_with_files(own, ana, [await create_upload(own, ana)], [bob])
    await decide(own, post, ModerationAction.HIDE)
    await own.sources.posts.update(post.id, ana.id, {"mention_ids": [bob.id, cat.id]}, now())
    await own.drain()
    assert [len(await own.inbox(user)) for user in (bob, cat)] == [0, 0]
    assert await find_faults(own) == []


async def test_a_hidden_comment_is_neither_counted_nor_notified(own: World) -> None:
    ana, bob = await own.users(2)
    post = await create_post_with_files(own, ana, [await create_upload(own, ana)], [])
    comment = await own.comment(post, bob)
    await own.drain()
    assert (await own.stored_post(post.id)).comment_count == 1
    for action, count in ((ModerationAction.REMOVE, 0), (ModerationAction.RESTORE, 1)):
        await decide(own, comment, action)
        await own.drain()
        assert (await own.stored_post(post.id)).comment_count == count
        assert (await own.stored_comment(comment.id)).removed is (count == 0)
        assert await find_faults(own) == []


async def test_a_worker_ends_the_sessions_if_the_process_dies_before_it_does(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await own.user()
    _, tokens = await own.sources.sessions.open(ana.id, None, now())

    async def die(*_: object, **__: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(SessionStore, "end_outdated", die)
        with pytest.raises(ConnectionError):
            await decide(own, ana, ModerationAction.BAN)
    assert await own.sources.sessions.authenticate(tokens.access_token) is not None
    await own.drain()
    assert await own.sources.sessions.authenticate(tokens.access_token) is None
    again, tokens = await own.sources.sessions.open(ana.id, None, now())
    await own.drain()
    assert again.is_restricted
    assert await own.sources.sessions.authenticate(tokens.access_token) is not None  # a later session stays


async def end(world: World, decision: DecisionRecord) -> None:
    """Lets the time of a decision come, and the relay notice it."""
    changes = {"$set": {"ends_at": now() - timedelta(seconds=1)}}
    assert (await world.sources.database["decisions"].update_one({"_id": decision.id}, changes)).matched_count == 1
    await relay_due(world.sources, now())
    await world.drain()


async def test_a_suspension_ends_by_itself_unless_a_later_decision_holds(own: World) -> None:
    ana, bob = await own.users(2)
    until = now() + timedelta(days=1)
    suspended = [await decide(own, user, ModerationAction.SUSPEND, until=until) for user in (ana, bob)]
    await decide(own, bob, ModerationAction.BAN)
    for decision in suspended:
        await end(own, decision)
    assert (await own.stored_user(ana.id)).state is UserState.ACTIVE
    assert (await own.stored_user(bob.id)).standing == "BANNED"
    assert await log_of(own, ana) == ["EXPIRE", "SUSPEND"]
    assert await log_of(own, bob) == ["BAN", "SUSPEND"]
    pending = await own.sources.moderation.decisions.pending(Task.END_DECISION, [each.id for each in suspended])
    assert pending == []


async def test_what_was_removed_is_deleted_when_nobody_can_appeal_any_more(own: World) -> None:
    ana, bob = await own.users(2)
    removed, appealed, restored = [await own.post(ana) for _ in range(3)]
    comment = await own.comment(restored, bob)
    decisions = [await decide(own, each, ModerationAction.REMOVE) for each in (removed, appealed, restored, comment)]
    await own.sources.moderation.decisions.appeal(decisions[1], "no", now())
    await decide(own, restored, ModerationAction.RESTORE)
    ends = await own.sources.database["decisions"].distinct("ends_at")
    assert all(abs(each - now() - REMOVED_KEPT) < timedelta(minutes=1) for each in ends)
    for decision in decisions:
        await end(own, decision)
    posts = await own.sources.posts.by_ids([removed.id, appealed.id, restored.id])
    assert [post and post.status for post in posts] == [None, PostStatus.REMOVED, PostStatus.READY]
    assert await own.sources.comments.by_ids([comment.id]) == [None]
    later = await own.sources.database["decisions"].find_one({"_id": decisions[1].id})
    assert later is not None
    assert later["ends_at"] > now() + timedelta(days=100)


async def test_what_is_removed_again_is_deleted_as_late_as_the_second_time_says(own: World) -> None:
    ana = await own.user()
    post = await own.post(ana)
    first = await decide(own, post, ModerationAction.REMOVE)
    await decide(own, post, ModerationAction.RESTORE)
    second = await decide(own, post, ModerationAction.REMOVE)
    for decision, left in ((first, PostStatus.REMOVED), (second, None)):
        await end(own, decision)
        (stored,) = await own.sources.posts.by_ids([post.id])
        assert (stored and stored.status) is left


async def test_of_decisions_at_once_none_weakens_another(own: World) -> None:
    ana = await own.user()
    limited = {"until": now() + timedelta(days=1)}
    outcomes = await asyncio.gather(
        decide(own, ana, ModerationAction.BAN),
        decide(own, ana, ModerationAction.LIMIT, **limited),
        return_exceptions=True,
    )
    assert (await own.stored_user(ana.id)).standing == "BANNED"
    assert [type(each) for each in outcomes if not isinstance(each, DecisionRecord)] in ([], [Refusal])
    with pytest.raises(Refusal):
        await decide(own, ana, ModerationAction.LIMIT, **limited)
    assert (await log_of(own, ana)).count("LIMIT") == (0 if isinstance(outcomes[1], Refusal) else 1)


async def test_the_log_outlives_an_account_without_naming_it(own: World, monkeypatch: pytest.MonkeyPatch) -> None:
    remove_final_check_delay(monkeypatch)
    ana, bob, mia = await own.users(3)
    await report(own, bob, ana)
    assert await own.sources.database["reports"].count_documents({"reported_text": {"$exists": True}}) == 1
    warned = await decide(own, ana, ModerationAction.WARN, moderator_id=mia.id, note="about ana")
    await own.sources.moderation.decisions.appeal(warned, "it was not me", now())
    for user in (ana, mia):
        await own.sources.users.delete(user.id, now())
    await own.drain()
    rows = await own.sources.database["decisions"].find({}, sort=[("_id", 1)]).to_list()
    assert [row["action"] for row in rows] == ["WARN", "APPEAL"]
    assert {row["statement"] for row in rows} | {row["note"] for row in rows} == {""}
    assert {ana.id, mia.id}.isdisjoint(value for row in rows for value in row.values() if isinstance(value, ObjectId))
    assert all(row["subject_id"] == row["target_id"] for row in rows)
    cases = await own.sources.database["cases"].find({}).to_list()
    assert {case["_id"]: case["subject_id"] for case in cases} == {row["case_id"]: row["subject_id"] for row in rows}
    assert {case["status"] for case in cases} == {"CLOSED"}
    (kept,) = await own.sources.database["reports"].find({}).to_list()
    assert kept["subject_id"] != ana.id
    assert "reported_text" not in kept
    assert kept["expires_at"] > now() + timedelta(days=300)
    assert await find_faults(own) == []


async def test_concurrent_duplicates_of_a_decision_are_one(own: World) -> None:
    ana, mia = await own.users(2)
    key = Idempotency.of("key", "moderate", {})
    more: dict[str, Any] = {"moderator_id": mia.id, "idempotency": key}
    made = await asyncio.gather(*(decide(own, ana, ModerationAction.WARN, **more) for _ in range(3)))
    assert len({decision.id for decision in made}) == 1
    assert await log_of(own, ana) == ["WARN"]


async def test_the_account_is_notified_of_what_it_is_told(own: World) -> None:
    ana = await own.user()
    post = await create_post_with_files(own, ana, [await create_upload(own, ana)], [])
    made = [await decide(own, post, action) for action in (ModerationAction.DISMISS, ModerationAction.REMOVE)]
    await own.drain()
    await notify_decisions(own.tools, *(str(decision.id) for decision in made))  # again
    await own.sources.database["decisions"].update_many({}, [add_pending([Task.NOTIFY], now())])
    await notify_decisions(own.tools, str(made[1].id))
    told = [each for each in await own.inbox(ana) if each.kind is NotificationKind.DECIDED]
    assert [(each.decision_id, each.actor_ids, each.post_id) for each in told] == [(made[1].id, [], None)]
    await own.drain()
    assert await find_faults(own) == []


async def test_nobody_is_notified_in_the_place_of_a_deleted_account(own: World) -> None:
    ana = await own.user()
    decision = await decide(own, ana, ModerationAction.WARN)
    changes = {"$set": {"subject_id": ObjectId()}}  # a pseudonym
    await own.sources.database["decisions"].update_one({"_id": decision.id}, changes)
    await own.drain()
    assert await own.sources.database["notifications"].count_documents({"kind": "DECIDED"}) == 0
    assert await own.sources.moderation.decisions.pending(Task.NOTIFY, [decision.id]) == []


async def test_a_mail_tells_the_account_the_reasons(shared_settings: Settings) -> None:
    async with running_mail_server() as server:
        with own_database(shared_settings) as settings:
            async with opened(server.settings(settings)) as world:
                ana = await world.user()
                await decide(world, ana, ModerationAction.WARN)
                await decide(world, ana, ModerationAction.DISMISS)
                await world.drain()
        (mail,) = server.mails
        assert mail["To"] == f"{ana.username}@example.com"
        assert "because" in text_of(mail)


@pytest.mark.parametrize(
    ("decided", "action", "told"),
    [
        (ModerationAction.HIDE, ModerationAction.DISMISS, "stays as it is"),
        (ModerationAction.HIDE, ModerationAction.RESTORE, "does not hold any more."),
        (ModerationAction.WARN, ModerationAction.RESTORE, "There was nothing to undo"),
    ],
)
async def test_a_mail_tells_the_account_what_came_of_its_appeal(
    shared_settings: Settings, decided: ModerationAction, action: ModerationAction, told: str
) -> None:
    async with running_mail_server() as server:
        with own_database(shared_settings) as settings:
            async with opened(server.settings(settings)) as world:
                post = await world.post(await world.user())
                decision = await decide(world, post, decided)
                await decide(world, post, action, case=await appeal(world, decision))
                await world.drain()
        assert [told in text_of(mail) for mail in server.mails].count(True) == 1
