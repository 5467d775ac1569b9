"""Handles, addresses and keys of registrations are claimed by one account each, in a collection keyed by them."""

import asyncio
import itertools
from functools import partial

import pytest
from bson import ObjectId

from datasources.accounts.claims import Claimed, ClaimStore, claims_of, copy_claims
from datasources.jobs.idempotency import Idempotency
from domain.errors import Refusal, UserErrorCode
from domain.records.users import UserRecord
from tests.support.crashing import dies_before_write
from tests.support.factories import World, now
from tests.support.operation_counter import OperationCounter


async def claims(world: World) -> dict[str, ObjectId | None]:
    """Whose each claim is."""
    return {row["_id"]: row.get("user_id") async for row in world.sources.database["claims"].find()}


async def register(world: World, name: str, key: str | None = None) -> UserRecord:
    """An account with this handle and an address made of it."""
    idempotency = Idempotency.of_registration(key and key * 16, {"name": name})
    return await world.sources.users.register(name, f"{name}@example.com", "hash", name, now(), idempotency=idempotency)


async def test_an_account_claims_its_handle_its_address_and_its_key(own: World) -> None:
    ana = await register(own, "Ana", "key")
    names = {claim_id.partition(":")[0] for claim_id in await claims(own)}
    assert names == {claimed.value for claimed in Claimed}
    assert set((await claims(own)).values()) == {ana.id}
    assert {"username_key:ana", "email_key:ana@example.com"} < (await claims(own)).keys()


async def test_a_refused_registration_claims_nothing(own: World) -> None:
    await register(own, "ana")
    before = await claims(own)
    with pytest.raises(Refusal) as refused:
        await own.sources.users.register("bob", "ANA@example.com", "hash", "B", now())
    assert refused.value.code is UserErrorCode.EMAIL_TAKEN
    assert await claims(own) == before
    assert (await register(own, "bob")).username == "bob"


async def test_a_registration_that_dies_before_any_write_leaves_the_handle_free(own: World) -> None:
    for before in itertools.count():
        name = f"name_{before}"
        died = await dies_before_write(partial(register, own, name, name), before)
        if not died:
            return
        assert await own.sources.users.by_username(name) is None
        assert await claims(own) == {}
        assert (await register(own, name, name)).username == name
        await own.sources.database["claims"].delete_many({})


async def test_a_deletion_frees_handle_and_address_and_remembers_the_key(own: World) -> None:
    ana = await register(own, "ana", "key")
    idempotency = Idempotency.of_registration("key" * 16, {"name": "ana"})
    assert await own.sources.users.delete(ana.id, now())
    assert list((await claims(own)).values()) == [None]
    with pytest.raises(Refusal) as refused:
        await own.sources.users.find_registered(idempotency)
    assert refused.value.code is UserErrorCode.NOT_FOUND
    assert (await register(own, "ana")).id != ana.id


async def test_a_deletion_that_dies_before_any_write_deletes_nothing(own: World) -> None:
    for before in itertools.count():
        ana = await register(own, f"name_{before}")
        held = await claims(own)
        died = await dies_before_write(partial(own.sources.users.delete, ana.id, now()), before)
        if not died:
            return
        assert await claims(own) == held
        assert await own.sources.users.by_username(ana.username) == ana


async def test_of_registrations_and_deletions_at_once_one_account_has_the_handle(own: World) -> None:
    async def come_and_go() -> None:
        for _ in range(5):
            try:
                account = await register(own, "ana")
            except Refusal:
                continue
            await own.sources.users.delete(account.id, now())

    await asyncio.gather(*(come_and_go() for _ in range(6)))
    assert await claims(own) == {}
    ana = await register(own, "ana")
    assert set((await claims(own)).values()) == {ana.id}


async def test_a_database_without_claims_gets_them_from_its_accounts(own: World) -> None:
    ana, bob, _ = await register(own, "ana", "key"), await register(own, "bob"), await register(own, "eve")
    before = await claims(own)
    gone = await own.sources.users.by_username("eve")
    assert gone is not None
    await own.sources.users.delete(gone.id, now())
    await own.sources.database.drop_collection("claims")
    await asyncio.gather(*(copy_claims(own.sources.database) for _ in range(3)))
    assert await claims(own) == {claim_id: holder for claim_id, holder in before.items() if holder in {ana.id, bob.id}}


async def test_a_copy_that_somebody_who_died_has_begun_is_removed(own: World) -> None:
    ana = await register(own, "ana")
    await own.sources.database.create_collection("claims_copy_dead")
    await copy_claims(own.sources.database)
    names = await own.sources.database.list_collection_names()
    assert [name for name in names if name.startswith("claims")] == ["claims"]
    assert set((await claims(own)).values()) == {ana.id}


async def test_claims_are_found_by_what_they_claim(own: World) -> None:
    ana = await register(own, "ana")
    store = ClaimStore(own.sources.database)
    assert await store.find(Claimed.USERNAME, ["ana", "nobody"]) == {"ana": ana.id}
    assert await store.find(Claimed.EMAIL, ["ana"]) == {}
    assert await store.find(Claimed.USERNAME, []) == {}


async def test_a_database_that_was_never_an_older_versions_is_asked_for_unclaimed_names_once(
    counted: World, operations: OperationCounter
) -> None:
    store = ClaimStore(counted.sources.database)
    operations.counts.clear()
    for _ in range(3):
        assert await store.find(Claimed.USERNAME, ["nobody"]) == {}
    assert operations.counts == {"find claims": 3, "find users": 1}


def test_an_account_without_a_key_has_two_claims() -> None:
    account = {"_id": ObjectId(), "username_key": "a", "email_key": "b"}
    assert [claim["_id"] for claim in claims_of(account)] == ["username_key:a", "email_key:b"]
