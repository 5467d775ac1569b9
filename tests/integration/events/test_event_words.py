"""Whose words public events have: only what strangers may see when it is told."""

import contextlib

import pytest

from datasources.moderation.deciding import Ruling
from domain.jobs import Task
from domain.records.moderation import ModerationAction, ReportTargetType, Target
from tests.support.events import names, told
from tests.support.factories import World, now
from tests.support.moderating import decide
from workers.registry import HANDLERS
from workers.runtime.drain import pending_jobs
from workers.runtime.handler import RetryLater


async def test_of_a_hidden_post_only_the_deletion_is_told(own: World) -> None:
    ana = await own.user()
    post = await own.post(ana)
    target = Target(id=post.id, type=ReportTargetType.POST, subject_id=ana.id)
    hidden = Ruling(target=target, action=ModerationAction.HIDE, statement="!")
    await own.sources.moderation.deciding.decide(hidden, now())  # before anybody was told of the post
    assert names(await told(own)) == []
    await own.sources.moderation.deciding.decide(Ruling(target=target, action=ModerationAction.RESTORE), now())
    assert names(await told(own)) == ["post.published"]
    await own.sources.moderation.deciding.decide(hidden, now())
    await own.sources.posts.delete(post.id, ana.id, now())
    assert names(await told(own)) == ["post.published", "post.deleted"]


@pytest.mark.parametrize(
    "case", ["public", "private", "turns private", "deleted", "blocked", "hidden", "commenter gone"]
)
async def test_words_leave_only_if_strangers_may_see_them(own: World, case: str) -> None:
    ana, bob = await own.user(is_private=case == "private"), await own.user()
    post = await own.post(ana, caption="SECRET caption")
    comment = await own.comment(post, bob, "SECRET comment")
    match case:
        case "turns private":
            await own.sources.users.update_profile(ana.id, {"is_private": True})
        case "deleted":
            await own.sources.users.delete(ana.id, now())
        case "blocked":
            await own.sources.blocks.block(ana.id, bob.id, now=now())
        case "hidden":
            await decide(own, comment, ModerationAction.HIDE)
        case "commenter gone":
            await own.sources.users.delete(bob.id, now())
    events = await told(own)
    with_words = {name for name, event in zip(names(events), events, strict=True) if "SECRET" in str(event)}
    expected = {
        "public": {"post.published", "comment.added"},
        "blocked": {"post.published", "comment.added"},
        "hidden": {"post.published"},
        "commenter gone": {"post.published"},
    }
    assert with_words == expected.get(case, set())
    assert events


@pytest.mark.parametrize("case", ["public", "hidden", "deleted", "suspended", "gone"])
async def test_words_of_a_reply_leave_only_if_strangers_may_see_what_it_answers(own: World, case: str) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    parent = await own.comment(post, bob)
    await own.drain()
    await own.comment(post, ana, "SECRET", parent_id=parent.id)
    match case:
        case "hidden":
            await decide(own, parent, ModerationAction.HIDE)
        case "deleted":
            await own.sources.comments.delete(parent.id, now())
        case "suspended":
            await own.sources.users.update_profile(bob.id, {"state": "SUSPENDED"})
        case "gone":
            await own.sources.users.delete(bob.id, now())
    assert ("SECRET" in str(await told(own))) == (case == "public")


async def test_what_is_deleted_while_a_sink_is_away_leaves_only_ids(own: World) -> None:
    ana = await own.user()
    post, other = await own.post(ana, caption="SECRET"), await own.post(ana)
    comment = await own.comment(other, ana, "SECRET")
    await own.drain()
    await own.sources.posts.delete(post.id, ana.id, now())
    await own.sources.comments.delete(comment.id, now())
    for _ in range(3):
        for job in sorted(await pending_jobs(own.tools)):
            if job.task is not Task.PUBLISH_REDIS:
                with contextlib.suppress(RetryLater):
                    await HANDLERS[job.kind].run(own.tools, job.key)
    for name in ("posts", "comments"):
        left = await own.sources.database[name].find({"deleted": True}).to_list()
        assert len(left) == 1
        assert "SECRET" not in str(left)
    assert names(await told(own))[-2:] == ["comment.deleted", "post.deleted"]
    for name in ("posts", "comments"):
        assert not await own.sources.database[name].count_documents({"deleted": True})
