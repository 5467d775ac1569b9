"""Changed handles: the old one is kept for a while, by claims that nobody else can have."""

import asyncio
import itertools
from datetime import datetime, timedelta
from functools import partial

import pytest
from bson import ObjectId

from datasources.accounts.renaming import KEPT
from domain.errors import Refusal, UserErrorCode
from domain.records.users import UserRecord
from tests.support.auditing import audit
from tests.support.crashing import dies_before_write
from tests.support.factories import World, now
from tests.support.maintenance import find_faults


async def rename(world: World, user: UserRecord, name: str, at: datetime | None = None) -> None:
    await world.sources.account.renaming.rename(user.id, name, at or now())


async def named(world: World, name: str) -> UserRecord:
    return await world.sources.users.register(name, f"{name}@example.com", "hash", name, now())


async def refused(world: World, user: UserRecord, name: str, at: datetime | None = None) -> Refusal:
    with pytest.raises(Refusal) as raised:
        await rename(world, user, name, at)
    return raised.value


async def holder(world: World, name: str) -> ObjectId | None:
    user = await world.sources.users.by_username(name)
    return None if user is None else user.id


async def lapse(world: World) -> None:
    """As if the handles given up were kept no longer, and no TTL index had removed their claims yet."""
    past = {"$set": {"expires_at": now() - timedelta(seconds=1)}}
    await world.sources.database["claims"].update_many({"expires_at": {"$exists": True}}, past)


async def test_both_handles_lead_to_the_account_and_nobody_else_can_have_them(own: World) -> None:
    ana, bob = await named(own, "Ana"), await named(own, "bob")
    await rename(own, ana, "Anna")
    assert (await own.stored_user(ana.id)).username == "Anna"
    assert await holder(own, "ANNA") == await holder(own, "ana") == ana.id
    assert await own.sources.users.ids_by_username(["ana", "anna"]) == {"ana": ana.id, "anna": ana.id}
    for taken in ("ana", "Anna"):
        assert (await refused(own, bob, taken)).code is UserErrorCode.USERNAME_TAKEN
    assert (await own.stored_user(bob.id)).username == "bob"
    await audit(own)


async def test_a_handle_that_is_kept_no_longer_leads_nowhere_and_can_be_had(own: World) -> None:
    ana, bob = await named(own, "ana"), await named(own, "bob")
    await rename(own, ana, "anna", now() - KEPT)
    await lapse(own)
    assert await holder(own, "ana") is None
    assert await own.sources.users.ids_by_username(["ana"]) == {}
    assert await find_faults(own) == []
    await own.sources.database["claims"].delete_many({"expires_at": {"$lt": now()}})  # as the TTL index does
    await rename(own, bob, "Ana")
    assert await holder(own, "ana") == bob.id
    await rename(own, ana, "annette")
    await audit(own)


async def test_one_can_go_back_and_then_the_other_handle_is_kept(own: World) -> None:
    ana, bob = await named(own, "ana"), await named(own, "bob")
    await rename(own, ana, "anna")
    await rename(own, ana, "ana")
    assert await holder(own, "ana") == await holder(own, "anna") == ana.id
    assert (await refused(own, bob, "anna")).code is UserErrorCode.USERNAME_TAKEN
    kept = await own.sources.database["claims"].find({"expires_at": {"$exists": True}}).to_list()
    assert [claim["_id"] for claim in kept] == ["username_key:anna"]
    await audit(own)


async def test_changes_are_bounded_and_others_of_case_are_not(own: World) -> None:
    ana, then = await named(own, "ana"), now() - timedelta(days=1)
    await rename(own, ana, "ana1", then)
    await rename(own, ana, "ana2", then + timedelta(hours=1))
    for name in ("Ana2", "ANA2", "ANA2"):
        await rename(own, ana, name)
    error = await refused(own, ana, "ana3")
    assert (error.code, error.resets_at) == (UserErrorCode.QUOTA_EXCEEDED, then + KEPT)
    assert await holder(own, "ana3") is None
    await rename(own, ana, "ana3", then + KEPT)
    assert (await own.stored_user(ana.id)).username == "ana3"
    assert await own.sources.database["claims"].count_documents({"user_id": ana.id}) <= 5


async def test_of_two_who_want_a_handle_at_once_one_gets_it(own: World) -> None:
    people = [await named(own, f"person{number}") for number in range(4)]
    done = await asyncio.gather(*(rename(own, each, "wanted") for each in people), return_exceptions=True)
    assert sorted(isinstance(each, Refusal) for each in done) == [False, True, True, True]
    assert await holder(own, "wanted") == people[[isinstance(each, Refusal) for each in done].index(False)].id
    await audit(own)


async def test_a_change_that_dies_before_any_write_changes_nothing(own: World) -> None:
    ana = await named(own, "ana")
    for before in itertools.count():
        if not await dies_before_write(partial(rename, own, ana, "anna"), before):
            break
        assert (await own.stored_user(ana.id)).username == "ana"
        assert await holder(own, "anna") is None
        assert await find_faults(own) == []
    assert before > 1
    assert await holder(own, "anna") == await holder(own, "ana") == ana.id


async def test_another_process_shows_the_new_handle(own: World, other: World) -> None:
    ana = await named(own, "ana")
    seen = '{ user(username: "ana") { username } }'
    assert (await other.execute(seen, None)).data == {"user": {"username": "ana"}}
    await rename(own, ana, "anna")
    assert (await other.execute(seen, None)).data == {"user": {"username": "anna"}}


async def test_a_deletion_frees_every_handle(own: World) -> None:
    ana, bob = await named(own, "ana"), await named(own, "bob")
    await rename(own, ana, "anna")
    await own.sources.users.delete(ana.id, now())
    assert await own.sources.database["claims"].find({"user_id": ana.id}).to_list() == []
    await rename(own, ana, "annie")  # a request that comes late
    assert await holder(own, "annie") is None
    await rename(own, bob, "ana")
    assert await holder(own, "ana") == bob.id


async def test_verify_frees_a_kept_handle_whose_account_does_not_know_it(own: World) -> None:
    ana = await named(own, "ana")
    await rename(own, ana, "anna")
    await own.sources.database["users"].update_one({"_id": ana.id}, {"$unset": {"former_handles": ""}})
    assert [(fault.kind, fault.id) for fault in await find_faults(own)] == [("claim", "username_key:ana")]
