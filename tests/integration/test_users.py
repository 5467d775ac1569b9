"""Accounts in MongoDB."""

import asyncio
from datetime import timedelta

import pytest
from bson import ObjectId

from domain.errors import Refusal, UserErrorCode
from domain.records.users import AccountStanding, UserRecord
from tests.support.factories import World, image, now


async def register(world: World, username: str, email: str) -> UserRecord | UserErrorCode:
    """The account, or the code of the refusal."""
    try:
        return await world.sources.users.register(username, email, "hash", "Name", now())
    except Refusal as refusal:
        return refusal.code


async def test_of_fifty_concurrent_registrations_of_one_handle_one_succeeds(world: World) -> None:
    names = ["Ana.One", "ana.one", "ANA.ONE"]
    attempts = [register(world, names[number % 3], f"a{number}@example.com") for number in range(50)]
    results = await asyncio.gather(*attempts)
    assert len([result for result in results if isinstance(result, UserRecord)]) == 1
    assert results.count(UserErrorCode.USERNAME_TAKEN) == 49


async def test_of_fifty_concurrent_registrations_of_one_address_one_succeeds(world: World) -> None:
    attempts = [register(world, f"name_{number}", "Same@example.com") for number in range(50)]
    results = await asyncio.gather(*attempts)
    assert len([result for result in results if isinstance(result, UserRecord)]) == 1
    assert results.count(UserErrorCode.EMAIL_TAKEN) == 49


async def test_a_refused_registration_names_the_field(world: World) -> None:
    other = await world.user()
    with pytest.raises(Refusal) as refused:
        await world.sources.users.register(other.username.upper(), "other@example.com", "hash", "N", now())
    assert refused.value.field == ["username"]
    with pytest.raises(Refusal) as refused:
        await world.sources.users.register("free_name", f"{other.username}@EXAMPLE.com", "hash", "N", now())
    assert refused.value.field == ["email"]
    assert await world.sources.users.by_username("free_name") is None


async def test_a_handle_is_found_in_any_case_and_shown_as_given(world: World) -> None:
    await world.sources.users.register("Camel_Case", "camel@example.com", "hash", "N", now())
    user = await world.sources.users.by_username("cAMEL_cASE")
    assert user is not None
    assert user.username == "Camel_Case"


async def test_credentials_are_found_by_handle_and_by_address_in_any_case(world: World) -> None:
    user = await world.sources.users.register("Login.Me", "Login@example.com", "the hash", "N", now())
    for login in ("login.me", "LOGIN.ME", "login@EXAMPLE.com"):
        credentials = await world.sources.users.credentials(login)
        assert credentials is not None
        assert (credentials.user_id, credentials.password_hash) == (user.id, "the hash")
    assert await world.sources.users.credentials("nobody") is None


async def test_a_suspended_account_logs_in(world: World) -> None:
    user = await world.user()
    await world.set_standing(user, AccountStanding.SUSPENDED)
    credentials = await world.sources.users.credentials(user.username)
    assert credentials is not None
    assert credentials.user_id == user.id
    assert await world.sources.users.password_hash(user.id) == "no hash"  # it can be deleted


async def test_users_come_in_the_order_of_the_ids_with_none_for_missing_ones(world: World) -> None:
    ana, bob = await world.users(2)
    users = await world.sources.users.by_ids([bob.id, ObjectId(), ana.id, bob.id])
    assert users == [bob, None, ana, bob]


async def test_handles_that_nobody_has_are_left_out(world: World) -> None:
    ana = await world.user()
    assert await world.sources.users.ids_by_username([ana.username, "nobody.here"]) == {ana.username: ana.id}
    assert await world.sources.users.ids_by_username([]) == {}


async def test_a_profile_changes_in_the_given_fields_alone(world: World) -> None:
    ana = await world.user()
    avatar = image(ObjectId())
    changed = await world.sources.users.update_profile(ana.id, {"biography": "Hi", "avatar": avatar})
    assert changed is not None
    assert (changed.biography, changed.avatar, changed.display_name) == ("Hi", avatar, ana.display_name)
    cleared = await world.sources.users.update_profile(ana.id, {"biography": None})
    assert cleared is not None
    assert (cleared.biography, cleared.avatar) == (None, avatar)


async def test_an_account_goes_public_three_times_a_day_and_private_always(world: World) -> None:
    ana, update = await world.user(), world.sources.users.update_profile
    for _ in range(3):
        for is_private in (True, True, False, False):
            assert await update(ana.id, {"is_private": is_private}, turns_to_public=3) is not None
    assert await update(ana.id, {"is_private": True, "biography": "Hi"}, turns_to_public=3) is not None
    with pytest.raises(Refusal) as refused:
        await update(ana.id, {"is_private": False, "biography": "Ho"}, turns_to_public=3)
    stored = await world.stored_user(ana.id)
    assert (stored.is_private, stored.biography) == (True, "Hi")
    assert (refused.value.code, refused.value.field) == (UserErrorCode.QUOTA_EXCEEDED, ["isPrivate"])
    turns = (await world.sources.database["users"].find_one({"_id": ana.id}) or {})["went_public_at"]
    assert refused.value.resets_at == turns[2] + timedelta(days=1)
    assert await update(ana.id, {"biography": "Hey"}, turns_to_public=3) is not None
    yesterday = [turn - timedelta(days=1) for turn in turns]
    await world.sources.database["users"].update_one({"_id": ana.id}, {"$set": {"went_public_at.2": yesterday[2]}})
    assert await update(ana.id, {"is_private": False}, turns_to_public=3) is not None
    assert not (await world.stored_user(ana.id)).is_private


async def test_simultaneous_turns_to_public_are_counted_once(world: World) -> None:
    ana, update = await world.user(is_private=True), world.sources.users.update_profile
    await asyncio.gather(*(update(ana.id, {"is_private": False}, turns_to_public=1) for _ in range(10)))
    assert len((await world.sources.database["users"].find_one({"_id": ana.id}) or {})["went_public_at"]) == 1


async def test_a_missing_account_has_no_profile_to_change(world: World) -> None:
    assert await world.sources.users.update_profile(ObjectId(), {"biography": "Hi"}) is None


async def test_an_open_transaction_of_a_dead_worker_fails_no_change(world: World) -> None:
    """MongoDB aborts an abandoned transaction before the time limit of an operation is over."""
    ana, users = await world.user(), world.sources.database["users"]
    async with world.sources.client.start_session() as session, await session.start_transaction():
        await users.update_one({"_id": ana.id}, {"$set": {"display_name": "never committed"}}, session=session)
        changed = await world.sources.users.update_profile(ana.id, {"biography": "still here"})
        await session.abort_transaction()  # to commit it would be an error
    assert changed is not None
    assert (changed.biography, changed.display_name) == ("still here", ana.display_name)
