"""Notifications of mentions and tags when a post is edited or a tag is removed."""

import pytest
from bson import ObjectId

from datasources.mongo.client import Document
from domain.jobs import Fact, Task
from domain.records.notifications import NotificationKind as Kind
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from tests.support.factories import World, now
from tests.support.notifications import log_of, notifications_of
from workers.registry import HANDLERS
from workers.runtime.drain import pending_jobs


async def edit(world: World, post: PostRecord, *mentioned: UserRecord) -> None:
    """As `updatePost`, with a caption that mentions these users."""
    words = {"caption": "other words", "mention_ids": [user.id for user in mentioned]}
    await world.sources.posts.update(post.id, post.author_id, words, now())


async def test_an_edit_notifies_new_mentions_and_withdraws_removed_ones(world: World) -> None:
    ana, bob, eve, dan = await world.users(4)
    post = await world.post(ana, mention_ids=[bob.id, dan.id])
    await world.drain()
    await edit(world, post, eve, dan)
    await world.drain()
    await world.drain()
    assert await notifications_of(world, bob) == []
    ((eves,), (dans,)) = await notifications_of(world, eve), await notifications_of(world, dan)
    assert (eves.kind, eves.post_id, eves.actor_ids) == (Kind.MENTIONED, post.id, [ana.id])
    assert dans.seq == 1  # no news for a user who was mentioned before
    assert [notice.kind for notice in await log_of(world, ana)] == [Kind.POST_READY]
    assert [(notice.withdrawn, notice.seq) for notice in await log_of(world, bob)] == [(True, 2)]


async def test_a_mention_that_returns_is_notified_again(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana, mention_ids=[bob.id])
    await world.drain()
    await world.sources.notifications.mark_read(bob.id, up_to_seq=100)
    for mentioned in ([], [bob]):
        await edit(world, post, *mentioned)
        await world.drain()
    (notice,) = await notifications_of(world, bob)
    assert (notice.is_seen, notice.seq) == (False, 3)


async def test_an_edit_that_keeps_the_mentions_makes_nothing_pending(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana, mention_ids=[bob.id])
    await world.drain()
    await edit(world, post, bob)
    assert await pending_jobs(world.tools) == set()


async def test_a_notification_stays_after_an_edit_if_its_recipient_has_muted_the_author(world: World) -> None:
    ana, bob, eve = await world.users(3)
    post = await world.post(ana, mention_ids=[bob.id])
    await world.drain()
    await world.sources.mutes.mute(bob.id, ana.id)
    await edit(world, post, bob, eve)
    await world.drain()
    assert [notice.kind for notice in await notifications_of(world, bob)] == [Kind.MENTIONED]


async def test_the_notification_of_a_removed_tag_is_withdrawn_and_a_remaining_mention_is_not_news(world: World) -> None:
    ana, bob, eve = await world.users(3)
    post = await world.post(ana, tagged=[bob, eve], mention_ids=[eve.id])
    await world.drain()
    await world.sources.notifications.mark_read(eve.id, up_to_seq=100)
    for user in (bob, eve):
        await world.sources.posts.untag(post.id, user.id, now())
        await world.sources.posts.untag(post.id, user.id, now())
    await world.drain()
    assert await notifications_of(world, bob) == []
    (notice,) = await notifications_of(world, eve)
    assert (notice.kind, notice.is_seen) == (Kind.MENTIONED, True)
    assert (await world.stored_post(post.id)).tagged_ids == []


async def test_a_worker_with_an_outdated_post_notifies_of_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edit between its read and its write removes the mention."""
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.drain()
    await edit(world, post, bob)
    run, posts = HANDLERS[Task.NOTIFY, Fact.POST].run, world.sources.posts

    async def read_before_the_edit(_task: Task, post_ids: list[ObjectId]) -> list[Document]:
        documents = await world.sources.database["posts"].find({"_id": {"$in": post_ids}}).to_list()
        monkeypatch.undo()
        await edit(world, post)
        await run(world.tools, str(post.id))
        return documents

    monkeypatch.setattr(posts, "pending", read_before_the_edit)
    await run(world.tools, str(post.id))
    await world.drain()
    assert await notifications_of(world, bob) == []
