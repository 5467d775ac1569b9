"""Deleting an account: everything that it left is gone in the end, whatever comes late and wherever a worker dies."""

from datetime import timedelta

import pytest
from bson import ObjectId

from datasources.accounts.account_references import ACCOUNT_REFERENCES
from domain.image_formats import SourceFormat
from domain.paging import PageRequest
from domain.records.posts import PostDraft, PostImage
from domain.records.users import Device, UserState
from tests.support.account_references import account_references, lasting_keys, stored_objects
from tests.support.auditing import audit
from tests.support.factories import World, now
from tests.support.full_account import FullAccount, create_full_account, remove_final_check_delay
from workers.handlers import delete_account
from workers.maintenance.checks.accounts import LEFT
from workers.maintenance.gc.steps import collect
from workers.maintenance.repair import repair
from workers.maintenance.verify import verify
from workers.maintenance.walk import Walk

pytestmark = [pytest.mark.usefixtures("patient_caches"), pytest.mark.own_buckets]


@pytest.fixture
def _final_check_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The final check comes at once."""
    remove_final_check_delay(monkeypatch)


async def expect_gone(world: World, life: FullAccount) -> None:
    """Asserts that only the emptied account and the interests of others name the account, and all counts are right."""
    left = await account_references(world, life.ana.id)
    assert {"users"} <= set(left) <= {"users", "interests"}, left
    assert left["users"] == [life.ana.id]
    assert life.ana.id not in left.get("interests", [])
    assert await stored_objects(world, life.uploads) == []
    assert await lasting_keys(world, life.ana.id) == []
    await audit(world, has_files=False, seconds=5)


@pytest.mark.usefixtures("_final_check_at_once")
@pytest.mark.parametrize("is_private", [False, True])
async def test_nothing_is_left_of_a_deleted_account(own: World, *, is_private: bool) -> None:
    life = await create_full_account(own, is_private=is_private)
    assert len(await account_references(own, life.ana.id)) >= 15
    assert len(await stored_objects(own, life.uploads)) > 20
    assert await own.sources.users.delete(life.ana.id, now())
    await own.drain()
    await expect_gone(own, life)
    assert (await own.stored_user(life.ana.id)).state is UserState.DELETED
    assert (await own.stored_user(life.bob.id)).follower_count == 0


async def act_late(world: World, life: FullAccount) -> None:
    """Everything that a request could be about to write, on either side, when the account was deleted."""
    sources, ana, bob, cat = world.sources, life.ana, life.bob, life.others[1]
    await sources.post_likes.like(life.bobs_post.id, ana.id, now())
    comment = await world.comment(life.bobs_post, ana, "too late", mention_ids=[cat.id])
    await sources.comment_likes.like(comment.id, bob.id, now())
    await world.comment(life.bobs_post, cat, "to her", mention_ids=[ana.id])
    await world.comment(life.post, bob, "below what is gone")
    await sources.publishing.create(ana.id, PostDraft(images=[PostImage(upload_id=ObjectId())]), now())
    await sources.uploads.announce(ana.id, SourceFormat.JPEG, 9, "", now())
    for user, other in ((ana, cat), (cat, ana)):
        await world.follow(user, other)
        await sources.mutes.mute(user.id, other.id)
        await sources.blocks.block(user.id, life.others[3].id, now=now())
    await sources.blocks.block(life.others[4].id, ana.id, now=now())
    await sources.sessions.open(ana.id, Device(client_name="another phone"), now())
    await sources.home_feed.page(ana.id, PageRequest(limit=1))
    await sources.visits.add(bob.id, ana.id, now())
    await sources.interests.get_or_compute(ana.id, now())
    assert await sources.users.update_profile(ana.id, {"biography": "still here"}) is None


async def test_late_writes_are_removed_too_and_until_then_the_deletion_is_pending(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await create_full_account(own)
    await own.sources.users.delete(life.ana.id, now())
    await own.drain()
    await act_late(own, life)
    await own.drain()
    (account,) = await own.sources.users.by_ids([life.ana.id])
    assert account is not None
    assert (account.biography, account.state) == (None, UserState.DELETED)
    assert await own.sources.users.deleted_account(life.ana.id) is not None
    remove_final_check_delay(monkeypatch)
    await own.drain()
    await expect_gone(own, life)


@pytest.mark.usefixtures("_final_check_at_once")
async def test_verify_finds_and_repair_removes_what_comes_after_the_final_check(own: World) -> None:
    life = await create_full_account(own)
    await own.sources.users.delete(life.ana.id, now())
    await own.drain()
    await own.sources.mutes.mute(life.bob.id, life.ana.id)
    await own.sources.post_likes.like(life.bobs_post.id, life.ana.id, now())
    await own.drain()
    findings = (await verify(Walk(sources=own.sources))).findings
    (left,) = [finding for finding in findings if finding.kind == LEFT]
    assert (left.id, left.found) == (str(life.ana.id), ["post_likes", "mutes"])
    done = await repair(own.tools, Walk(sources=own.sources))
    assert LEFT in [finding.kind for finding in done.repaired]
    await own.drain()
    await expect_gone(own, life)


@pytest.mark.usefixtures("_final_check_at_once")
async def test_gc_takes_a_deleted_account_out_of_the_interests_of_others(own: World) -> None:
    life = await create_full_account(own)
    assert life.bob.id in (await account_references(own, life.ana.id))["interests"]
    await own.sources.users.delete(life.ana.id, now())
    await own.drain()
    await collect(own.sources, min_age=timedelta(0))
    assert set(await account_references(own, life.ana.id)) == {"users"}


async def test_gc_removes_the_objects_of_a_deleted_account_even_if_no_worker_runs(own: World) -> None:
    life = await create_full_account(own)
    ready = [image.upload_id for image in life.post.image_inputs]
    await own.sources.users.delete(life.ana.id, now())
    made = {"$set": {"created_at": now() - timedelta(days=2)}}
    await own.sources.database["uploads"].update_many({"owner_id": life.ana.id}, made)
    for _ in range(2):
        await collect(own.sources, min_age=timedelta(0))
    assert [key for key in await stored_objects(own, ready) if "/" in key] == []


async def test_handle_and_address_are_free_at_once_and_their_next_owner_inherits_nothing(own: World) -> None:
    life = await create_full_account(own)
    ana = life.ana
    await own.sources.users.delete(ana.id, now())
    assert not await own.sources.users.delete(ana.id, now())
    assert await own.sources.users.credentials(ana.username) is None
    new = await own.sources.users.register(ana.username, f"{ana.username}@example.com", "no hash", "Ana", now())
    assert (new.post_count, new.follower_count, new.biography, new.avatar) == (0, 0, None, None)
    user = await own.sources.users.by_username(ana.username)
    assert user is not None
    assert user.id == new.id
    another = await own.user()
    await own.sources.users.delete(another.id, now())  # two who are deleted do not collide


async def test_a_deleted_account_keeps_no_text_or_secret(own: World) -> None:
    ana = await own.user()
    await own.sources.users.update_profile(ana.id, {"biography": "about me", "website": "https://example.com"})
    await own.sources.users.delete(ana.id, now())
    stored = await own.sources.database["users"].find_one({"_id": ana.id})
    assert stored is not None
    words = [value for value in stored.values() if isinstance(value, str) and value]
    assert sorted(words) == sorted(["DELETED", *[f"deleted:{ana.id}"] * 2])


async def test_the_final_check_comes_when_no_write_can_be_running(own: World) -> None:
    settings = own.sources.settings.model_copy(update={"upload_ttl": 3600, "operation_timeout": 30.0})
    assert delete_account.final_check_delay(settings) > timedelta(seconds=3600 + 30)


async def test_references_to_an_account_are_found_by_indexes_alone(world: World) -> None:
    for name, queries in ACCOUNT_REFERENCES.items():
        for query in queries:
            find = {"find": name, "filter": query([ObjectId(), ObjectId()]), "projection": {"_id": 1}, "limit": 1}
            plan = str(await world.sources.database.command("explain", find, verbosity="queryPlanner"))
            assert "IXSCAN" in plan, (name, plan)
            assert "COLLSCAN" not in plan, (name, plan)
