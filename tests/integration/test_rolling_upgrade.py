"""An old and a new version side by side: what each leaves alone of the other's records and messages."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from config import Settings
from datasources.jobs.idempotency import Idempotency
from domain.errors import Refusal, UserErrorCode
from domain.jobs import Fact, Job, Task
from domain.records.users import UserRecord
from tests.support.factories import World, now, opened
from tests.support.own_databases import own_database
from tests.support.waiting import eventually
from tests.support.workers import is_empty, running_worker, stream_of
from workers.registry import HANDLERS
from workers.runtime.outbox_relay import relay_due

FUTURE = {"mood": {"name": "sunny", "since": 3}}  # what a newer version writes into its records
CELEBRATE = "celebrate"  # a task of its own


async def add_future(world: World, collection: str, document_id: Any) -> None:
    """Makes a record one of a newer version, with a task that only that version knows."""
    stages = [
        {
            "$set": {
                **FUTURE,
                "outbox": {"$setUnion": [{"$ifNull": ["$outbox", []]}, [CELEBRATE]]},
                "pending_since": {"$ifNull": ["$pending_since", now()]},
                "due_at": {"$ifNull": ["$due_at", now()]},
            }
        }
    ]
    result = await world.sources.database[collection].update_one({"_id": document_id}, stages)
    assert result.matched_count == 1


async def stored(world: World, collection: str, document_id: Any) -> dict[str, Any]:
    document = await world.sources.database[collection].find_one({"_id": document_id})
    assert document is not None
    return document


@pytest.mark.parametrize("extra", [{}, {"at": "1"}, {"at": "soon", "traceparent": "x", "priority": "9"}])
async def test_messages_of_older_and_newer_versions_are_done(own: World, extra: dict[str, str]) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    await own.drain()
    await own.sources.post_likes.like(post.id, bob.id, now())
    key, redis = stream_of(own), own.sources.redis.queue.of(stream_of(own))
    await redis.delete(key)
    job = Job(Task.COUNT, Fact.POST_LIKE, str(post.id))
    await redis.xadd(key, msgspec.to_builtins(job) | extra)
    async with running_worker(own, "counters", HANDLERS):
        await eventually(lambda: is_empty(own))
    assert (await own.stored_post(post.id)).like_count == 1
    assert [letter async for letter in own.sources.dead_letters.all_malformed()] == []


async def test_what_a_newer_version_stores_stays_when_this_one_changes_the_record(own: World) -> None:
    ana, bob = await own.users(2)
    post = await own.post(ana)
    comment = await own.comment(post, bob)
    await own.sources.post_likes.like(post.id, bob.id, now())
    [like] = await own.sources.database["post_likes"].find().to_list()
    places = [("posts", post.id), ("comments", comment.id), ("users", ana.id), ("post_likes", like["_id"])]
    for place in places:
        await add_future(own, *place)
    await own.drain()  # counts, notifies, fans out
    await own.sources.posts.update(post.id, ana.id, {"caption": "new"}, now())
    await own.drain()
    await own.sources.users.update_profile(ana.id, {"bio": "new"})
    for place in places:
        document = await stored(own, *place)
        assert {name: document.get(name) for name in FUTURE} == FUTURE
        assert CELEBRATE in document["outbox"], place
        assert document["due_at"], "the newer version's relay must find it"
    assert (await own.stored_post(post.id)).like_count == 1


async def test_a_task_of_a_newer_version_keeps_nothing_else_from_being_done(own: World) -> None:
    ana, bob = await own.users(2)
    await own.follow(bob, ana)
    [follow] = await own.sources.database["follows"].find().to_list()
    await add_future(own, "follows", follow["_id"])
    assert await own.drain() == set()
    assert (await stored(own, "follows", follow["_id"]))["outbox"] == [CELEBRATE]
    assert (await own.stored_user(ana.id)).follower_count == 1


async def test_the_newer_versions_task_is_no_dead_letter_after_this_versions_relay(own: World) -> None:
    post = await own.post(await own.user())
    await own.drain()
    await add_future(own, "posts", post.id)
    await relay_due(own.sources, now())
    async with running_worker(own, "feed", HANDLERS):
        await eventually(lambda: is_empty(own, "feed"))
    assert [letter async for letter in own.sources.dead_letters.all_malformed()] == []
    assert (await stored(own, "posts", post.id))["outbox"] == [CELEBRATE]


KEY = Idempotency.of_registration("one key " * 8, {})


@pytest.fixture(scope="module")
async def upgraded(shared_settings: Settings) -> AsyncIterator[World]:
    """A world whose database has the indexes of a version before claims."""
    with own_database(shared_settings) as settings:
        async with opened(settings) as world:
            users = world.sources.database["users"]
            for field in ("username_key", "email_key"):
                await users.create_index(field, unique=True)
            where = {"idempotency_key": {"$exists": True}}
            await users.create_index("idempotency_key", unique=True, partialFilterExpression=where)
            yield world


async def register_without_claims(world: World, name: str, idempotency: Idempotency | None = None) -> UserRecord:
    """An account as a process of a version before claims makes it."""
    account = await register(world, name, f"{name}@example.com", idempotency)
    await world.sources.database["claims"].delete_many({"user_id": account.id})
    return account


async def register(world: World, name: str, email: str, idempotency: Idempotency | None = None) -> UserRecord:
    return await world.sources.users.register(name, email, "hash", name, now(), idempotency=idempotency)


async def test_what_an_older_process_has_registered_is_taken(upgraded: World) -> None:
    await register_without_claims(upgraded, "ana", KEY)
    for name, email, idempotency, code in (
        ("Ana", "other@example.com", None, UserErrorCode.USERNAME_TAKEN),
        ("other", "Ana@example.com", None, UserErrorCode.EMAIL_TAKEN),
        ("other", "other@example.com", KEY, UserErrorCode.IDEMPOTENCY_KEY_REUSED),
    ):
        with pytest.raises(Refusal) as refused:
            await register(upgraded, name, email, idempotency)
        assert refused.value.code is code
    assert (await register(upgraded, "other", "other@example.com")).username == "other"


async def test_who_registered_at_an_older_process_is_found_at_this_one(upgraded: World) -> None:
    key = Idempotency.of_registration("another key " * 8, {})
    bob, users = await register_without_claims(upgraded, "Bob", key), upgraded.sources.users
    found = [await users.credentials(login) for login in ("BOB", "bob@EXAMPLE.com")]
    found.append(await users.find_registered(key))
    assert [each and each.user_id for each in found] == [bob.id] * 3
    assert await users.by_username("@bob") == bob
    assert await users.ids_by_username(["bob", "nobody"]) == {"bob": bob.id}


async def test_an_account_of_an_older_process_can_be_deleted_at_this_one(upgraded: World) -> None:
    key = Idempotency.of_registration("a third key " * 8, {})
    eve, users = await register_without_claims(upgraded, "eve", key), upgraded.sources.users
    assert await users.delete(eve.id, now())
    assert await users.credentials("eve") is None
    with pytest.raises(Refusal) as refused:
        await users.find_registered(key)
    assert refused.value.code is UserErrorCode.NOT_FOUND
    assert (await register(upgraded, "eve", "eve@example.com")).id != eve.id
