"""Who sees which posts of a collection: of a public one, by a link, and what its cover shows."""

import pytest

from domain.ids import from_global_id
from domain.records.moderation import ModerationAction
from domain.records.users import AccountStanding
from tests.integration.test_collections import (
    DELETE,
    NODE,
    SAVE,
    SEEN,
    UPDATE,
    ask,
    create,
    done,
    edges_of,
    filled,
    gid,
    refused,
)
from tests.support.factories import World, now
from tests.support.moderating import decide

SHARED = f"query ($key: String!) {{ sharedCollection(key: $key) {{ {SEEN} }} }}"


async def test_a_public_collection_shows_each_viewer_what_they_may_see(world: World) -> None:
    ana, bob, eve = await world.users(3)
    private = await world.user(is_private=True)
    await world.follow(ana, private)
    await world.sources.follows.accept(ana.id, private.id, now=now())
    hidden, shown = gid(await world.post(private)), gid(await world.post(eve))
    collection = await create(world, ana, isPublic=True)
    for post_id in (hidden, shown):
        await done(world, SAVE, ana, postId=post_id, collectionIds=[collection])
    mine = await ask(world, NODE, ana, id=collection)
    assert ([edge["postId"] for edge in mine["savedPosts"]["edges"]], mine["savedPostCount"]) == ([shown, hidden], 2)
    for viewer in (bob, None):
        seen = await ask(world, NODE, viewer, id=collection)
        assert ([edge["postId"] for edge in seen["savedPosts"]["edges"]], seen["savedPostCount"]) == ([shown], None)
    await world.sources.blocks.block(eve.id, ana.id, now=now())
    assert [edge["node"] for edge in await edges_of(world, ana, collection)] == [None, {"id": hidden}]
    await world.sources.blocks.block(ana.id, bob.id, now=now())
    assert await ask(world, NODE, bob, id=collection) is None
    await world.sources.users.update_profile(ana.id, {"is_private": True})
    assert await ask(world, NODE, None, id=collection) is None
    await world.set_standing(ana, AccountStanding.SUSPENDED)
    assert await ask(world, NODE, eve, id=collection) is None


async def test_a_link_opens_a_private_collection_until_it_is_revoked(world: World) -> None:
    ana, bob = await world.users(2)
    collection, ids = await filled(world, ana, 2)
    keys = [
        (await done(world, UPDATE, ana, collectionId=collection, isShared=True))["collection"]["shareKey"]
        for _ in range(2)
    ]
    assert keys[0] == keys[1]
    assert len(keys[0]) >= 38
    for viewer in (bob, None):
        seen = await ask(world, SHARED, viewer, key=keys[0])
        assert [edge["postId"] for edge in seen["savedPosts"]["edges"]] == ids
        assert (seen["shareKey"], seen["shareUrl"], seen["savedPostCount"]) == (None, None, None)
        assert await ask(world, NODE, viewer, id=collection) is None
    wrong = [keys[0][:-4] + "AAAA", keys[0][:-1], "", "!", "A" * 5000, keys[0] + "A"]
    for key in wrong:
        assert await ask(world, SHARED, bob, key=key) is None
    await world.sources.blocks.block(ana.id, bob.id, now=now())
    assert await ask(world, SHARED, bob, key=keys[0]) is None
    await done(world, UPDATE, ana, collectionId=collection, isShared=False)
    assert await ask(world, SHARED, None, key=keys[0]) is None
    again = await done(world, UPDATE, ana, collectionId=collection, isShared=True)
    assert again["collection"]["shareKey"] != keys[0]
    assert await ask(world, SHARED, None, key=keys[0]) is None
    await done(world, DELETE, ana, collectionId=collection)
    assert await ask(world, SHARED, None, key=again["collection"]["shareKey"]) is None


async def test_a_link_into_the_app_where_its_address_is_known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ana = await world.user()
    collection = await create(world, ana)
    await done(world, UPDATE, ana, collectionId=collection, isShared=True)
    assert (await ask(world, NODE, ana, id=collection))["shareUrl"] is None
    changed = world.sources.settings.model_copy(update={"app_url": "https://app.example/"})
    monkeypatch.setattr(world.sources, "settings", changed)
    seen = await ask(world, NODE, ana, id=collection)
    assert seen["shareUrl"] == f"https://app.example/collection#key={seen['shareKey']}"


async def test_a_cover_is_of_a_post_in_the_collection_and_goes_with_it(world: World) -> None:
    ana = await world.user()
    collection, (first, second) = await filled(world, ana, 2)
    changed = await done(world, UPDATE, ana, collectionId=collection, coverPostId=second)
    assert changed["collection"]["cover"] is not None
    elsewhere = gid(await world.post(ana))
    code = await refused(world, UPDATE, ana, collectionId=collection, name="new", coverPostId=elsewhere)
    assert code == ("NOT_FOUND", ["coverPostId"])
    await done(world, SAVE, ana, postId=first, collectionIds=[])
    kept = (await done(world, UPDATE, ana, collectionId=collection))["collection"]
    assert (kept["name"], kept["cover"]) == ("light", changed["collection"]["cover"])
    await done(world, SAVE, ana, postId=second, collectionIds=[])
    assert (await done(world, UPDATE, ana, collectionId=collection))["collection"]["cover"] is None


async def test_a_cover_that_is_labelled_sensitive_is_not_shown(world: World) -> None:
    ana = await world.user()
    collection, (first, second) = await filled(world, ana, 2, isPublic=True)
    for post_id, is_shown in ((first, True), (second, False)):
        if not is_shown:
            post = await world.stored_post(from_global_id(post_id)[1])
            await decide(world, post, ModerationAction.LABEL_SENSITIVE)
        changed = await done(world, UPDATE, ana, collectionId=collection, coverPostId=post_id)
        assert (changed["collection"]["cover"] is not None) is is_shown
