"""Dataloaders: one batch for each question, in order, showing nothing that the viewer may not see."""

import asyncio
from collections.abc import Sequence

import pytest
from bson import ObjectId

from datasources.loaders import Loaders
from domain.records.follows import FollowState
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from domain.visibility import ONESELF, STRANGERS
from tests.support.factories import World, now
from tests.support.operation_counter import OperationCounter


def loaders(world: World, viewer: UserRecord | None) -> Loaders:
    """Fresh loaders, as every operation has them."""
    return Loaders(world.sources, None if viewer is None else viewer.id)


async def test_answers_come_in_the_order_of_the_keys_with_none_for_missing_ones(world: World) -> None:
    ana, bob = await world.users(2)
    users = await loaders(world, ana).user_by_id.load_many([bob.id, ObjectId(), ana.id])
    assert users == [bob, None, ana]


async def test_an_operation_keeps_seeing_one_state_and_the_next_sees_the_new_one(world: World) -> None:
    ana = await world.user()
    before = loaders(world, ana)
    await before.user_by_id.load(ana.id)
    changed = await world.sources.users.update_profile(ana.id, {"biography": "new"})
    assert await before.user_by_id.load(ana.id) == ana
    assert await loaders(world, ana).user_by_id.load(ana.id) == changed


async def test_an_anonymous_viewer_has_no_relations_and_no_likes(world: World) -> None:
    ana = await world.user()
    post = await world.post(ana)
    comment = await world.comment(post, ana)
    nobody = loaders(world, None)
    assert await nobody.relation_by_user.load(ana.id) == STRANGERS
    assert await nobody.viewer_like_by_post.load(post.id) is None
    assert await nobody.viewer_like_by_comment.load(comment.id) is None
    assert await nobody.visible_post_by_id.load(post.id) == post


async def test_relations_and_likes_are_the_viewers(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.follow(bob, ana)
    await world.sources.post_likes.like(post.id, bob.id, now())
    for viewer, state, likes in ((bob, FollowState.FOLLOWING, True), (ana, FollowState.NONE, False)):
        mine = loaders(world, viewer)
        assert (await mine.relation_by_user.load(ana.id)).follow_state is state
        assert (await mine.viewer_like_by_post.load(post.id) is not None) is likes
    assert await loaders(world, ana).relation_by_user.load(ana.id) == ONESELF


async def test_hidden_and_missing_look_the_same(world: World) -> None:
    private, blocker, eve = await world.user(is_private=True), await world.user(), await world.user()
    await world.sources.blocks.block(blocker.id, eve.id, now=now())
    shown, hidden, blocked = await world.post(eve), await world.post(private), await world.post(blocker)
    deleted = await world.post(eve)
    await world.sources.posts.delete(deleted.id, eve.id, now())
    mine = loaders(world, eve)
    keys = [shown.id, hidden.id, blocked.id, deleted.id, ObjectId()]
    assert await mine.visible_post_by_id.load_many(keys) == [shown, None, None, None, None]
    people = [private.id, blocker.id, ObjectId()]
    assert await mine.visible_user_by_id.load_many(people) == [private, None, None]


async def test_a_comment_is_as_hidden_as_its_post_and_its_author(world: World) -> None:
    ana, bob, eve = await world.users(3)
    private = await world.user(is_private=True)
    post, secret = await world.post(ana), await world.post(private)
    shown, blocked = await world.comment(post, private), await world.comment(post, bob)
    hidden = await world.comment(secret, ana)
    await world.sources.blocks.block(eve.id, bob.id, now=now())
    keys = [shown.id, blocked.id, hidden.id]
    assert await loaders(world, eve).visible_comment_by_id.load_many(keys) == [shown, None, None]
    assert await loaders(world, None).visible_comment_by_id.load_many(keys) == [shown, blocked, None]


async def test_only_addresses_of_private_renditions_take_a_call(world: World) -> None:
    keys, urls = ["private/a", "public/b"], loaders(world, None).url_by_key
    public = [f"{world.sources.settings.media_url}/{keys[1]}"]
    assert urls.batch(keys[1:]) == public
    assert await urls.load_many(keys[1:]) == public
    later = urls.batch(keys)
    assert isinstance(later, asyncio.Future)
    assert await later == await world.sources.blobs.signed_urls(keys[:1]) + public
    assert await urls.load(keys[0]) == (await later)[0]


async def test_an_edit_after_a_block_is_not_shown_by_the_relation_before_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    for _ in range(2):  # so that it is known whose post it is
        assert await loaders(world, bob).visible_post_by_id.load(post.id) == post
    await world.sources.caches.posts.invalidate([post.id])
    read = world.sources.posts.readable_by_ids

    async def read_late(ids: Sequence[ObjectId]) -> list[PostRecord | None]:
        await world.sources.blocks.block(ana.id, bob.id, now=now())
        await world.sources.posts.update(post.id, ana.id, {"caption": "not for bob"}, now())
        return await read(ids)

    monkeypatch.setattr(world.sources.posts, "readable_by_ids", read_late)
    assert await loaders(world, bob).visible_post_by_id.load(post.id) is None


async def test_a_suspended_account_is_hidden_with_all_it_made(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    comment = await world.comment(await world.post(bob), ana)
    await world.sources.users.update_profile(ana.id, {"state": "SUSPENDED"})
    mine = loaders(world, bob)
    assert await mine.visible_user_by_id.load(ana.id) is None
    assert await mine.visible_post_by_id.load(post.id) is None
    assert await mine.visible_comment_by_id.load(comment.id) is None


@pytest.mark.usefixtures("patient_caches")
async def test_a_known_handle_is_not_looked_up_again(counted: World, operations: OperationCounter) -> None:
    ana, bob = await counted.users(2)
    assert await loaders(counted, bob).id_by_handle(ana.username) == ana.id
    await loaders(counted, bob).people([ana.id])
    operations.counts.clear()
    mine = loaders(counted, bob)
    assert await mine.id_by_handle(f" @{ana.username.upper()}") == ana.id
    assert await mine.visible_user_by_id.load(ana.id) == ana
    assert not operations.counts


@pytest.mark.usefixtures("patient_caches")
async def test_a_handle_of_a_deleted_account_is_nobodys_and_then_somebody_elses(world: World) -> None:
    ana, bob = await world.users(2)
    assert await loaders(world, bob).id_by_handle(ana.username) == ana.id
    await world.sources.users.delete(ana.id, now())
    assert await loaders(world, bob).id_by_handle(ana.username) is None
    eve = await world.sources.users.register(ana.username, "eve@example.com", "hash", "Eve", now())
    assert await loaders(world, bob).id_by_handle(ana.username) == eve.id
    assert await loaders(world, bob).id_by_handle(ana.username) == eve.id
