"""Finding people in spite of a typing error: whom, after whom, and at which cost."""

from typing import Any

import pytest

from datasources.discovery import people_search as people
from datasources.sources import prepare
from domain.limits import FEW_FOUND
from domain.typos import misspelled
from resolvers import found_people
from tests.support.factories import World, now
from tests.support.people_search import check, explained, found, found_in_pages, named, populate

SPELLINGS = "search.spellings_1_search.popularity_-1"


@pytest.mark.parametrize("typed", ["bbjones", "bobjonse", "bobjoness", "bpb jones", "joens"])
async def test_one_typing_error_is_forgiven_where_few_are_found(own: World, typed: str) -> None:
    await named(own, "someone", "Bob Jones")
    await named(own, "other", "Rob Johnson")
    assert await found(own, typed) == ["someone"]


async def test_similar_names_follow_what_was_typed_and_only_if_that_is_little(own: World) -> None:
    await named(own, "first", "Marta", followers=1)
    await named(own, "marat", "Marat", followers=1_000)
    assert await found(own, "marta") == ["first", "marat"]
    assert await found_in_pages(own, "marta", None, 1) == ["first", "marat"]
    for number in range(FEW_FOUND):
        await named(own, f"marta{number}", "Marta")
    assert "marat" not in await found(own, "marta")
    assert "marat" not in await found_in_pages(own, "marta", None, 2)


async def test_whoever_types_a_handle_sees_no_handles_that_look_like_it(own: World) -> None:
    viewer, user = await named(own, "viewer"), await named(own, "marta", "Marta", followers=1)
    await named(own, "marta.fan")
    await named(own, "marat", "Marat", followers=1_000)
    assert await found(own, "marta", viewer) == ["marta", "marta.fan"]
    assert await found_in_pages(own, "marta", viewer, 1) == ["marta", "marta.fan"]
    await own.sources.blocks.block(user.id, viewer.id, now=now())
    assert await found(own, "marta", viewer) == ["marta.fan", "marat"]


async def test_who_is_found_by_the_text_takes_no_place_of_a_similar_name(own: World) -> None:
    for number in range(FEW_FOUND - 1):
        await named(own, f"popular{number}", "Marta", followers=1_000)
    similar = [await named(own, f"similar{number}", "Marat") for number in range(10)]
    handles = await found(own, "marta", first=50)
    assert len(handles) == FEW_FOUND - 1 + len(similar)
    assert set(handles[FEW_FOUND - 1 :]) == {user.username for user in similar}


async def test_a_few_who_are_blocked_take_no_place_of_a_similar_name(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found_people, "SIMILAR_FOUND_MAX", 2)
    viewer = await named(own, "viewer")
    for number in range(4):
        blocked = await named(own, f"blocked{number}", "Marat", followers=1_000)
        await own.sources.blocks.block(viewer.id, blocked.id, now=now())
    for number in range(3):
        await named(own, f"similar{number}", "Marat")
    assert len(await found(own, "marta", viewer)) == 2


async def test_names_with_a_signature_in_common_are_looked_through_to_a_bound(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        await named(own, f"other{number}", "Martinas", followers=1_000)
    await named(own, "meant", "Xyrtinas")
    assert await found(own, "xxrtinas") == ["meant"]
    monkeypatch.setattr(people, "SIMILAR_READ_MAX", 7)
    assert await found(own, "xxrtinas") == []


async def test_a_misspelled_name_reads_a_bounded_number_of_accounts_by_the_index(own: World) -> None:
    await populate(own, 3_000)
    wanted = {"search.spellings": {"$in": sorted(misspelled("mar00x00"))}, "search.popularity": {"$gte": 0}}
    find = {"find": "users", "filter": wanted, "sort": {"search.popularity": -1}, "limit": people.SIMILAR_READ_MAX}
    stats, plan = await explained(own, find)
    assert "SORT_MERGE" in plan
    assert "'SORT'" not in plan
    assert stats["totalDocsExamined"] <= people.SIMILAR_READ_MAX


@pytest.mark.parametrize(
    ("older", "lacking"),
    [({"$unset": {"search": ""}}, "*"), ({"$rename": {"search.spellings": "search.typos"}}, SPELLINGS)],
    ids=["before search", "before spellings"],
)
async def test_accounts_of_a_version_before_are_found_once_the_database_is_prepared(
    own: World, older: dict[str, Any], lacking: str
) -> None:
    await named(own, "bobjones", followers=5)
    gone = await named(own, "gone")
    await own.sources.users.delete(gone.id, now())
    users = own.sources.database["users"]
    await own.sources.database.command("dropIndexes", "users", index=lacking)
    await users.update_many({}, older)
    assert await found(own, "bobjonse") == []
    await prepare(own.sources.settings)
    await prepare(own.sources.settings)
    assert await found(own, "bobj") == await found(own, "bobjonse") == ["bobjones"]
    await check(own)
