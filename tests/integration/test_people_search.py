"""Finding people: by which texts, in which order, page by page, and whom nobody finds."""

import asyncio
import random

import pytest
from bson import ObjectId

from datasources.mongo import search_keys
from domain.limits import KNOWN_FOUND_FIRST
from domain.paging import Match, encode_cursor
from domain.people_search import Group
from domain.records.users import AccountStanding
from resolvers import found_people
from tests.support.factories import World, now
from tests.support.maintenance import find_faults
from tests.support.people_search import (
    HIDE,
    SEARCH,
    SUGGEST,
    check,
    explained,
    found,
    found_in_pages,
    named,
    page,
    populate,
    suggested,
)
from workers.maintenance.repair import repair
from workers.maintenance.walk import Walk


async def test_the_handle_comes_first_then_people_the_viewer_knows_then_the_rest_by_followers(own: World) -> None:
    viewer = await named(own, "viewer")
    await named(own, "bobby", "Bob Famous", followers=1_000)
    await named(own, "bob", "Nobody")
    friend, fan = await named(own, "xavier", "Bob Friend"), await named(own, "bob.fan", followers=3)
    await named(own, "y_bob", "Ybob", followers=5)
    await named(own, "zzz", "Alice Bobson", followers=70)
    await own.follow(viewer, friend)
    await own.follow(fan, viewer)
    await own.drain()
    assert await found(own, "bob", viewer) == ["bob", "bob.fan", "xavier", "bobby", "zzz", "y_bob"]
    assert await found(own, "bob") == ["bob", "bobby", "zzz", "y_bob", "bob.fan", "xavier"]
    assert await found(own, "@BOB ") == await found(own, "bob")
    assert await found_in_pages(own, "bob", viewer, 1) == await found(own, "bob", viewer)
    await check(own)


@pytest.mark.parametrize("typed", ["bob jones", "bobjones", "jones bob", "jonés", "Bob J", "\uff22\uff2f\uff22"])
async def test_joined_names_and_words_find_the_account(own: World, typed: str) -> None:
    await named(own, "someone", "Bob Jones")
    assert await found(own, typed) == ["someone"]


async def test_a_name_finds_the_handle_that_joins_it(own: World) -> None:
    await named(own, "bobjones", "Nobody")
    assert await found(own, "Bob Jones") == ["bobjones"]


async def test_pages_of_any_size_hold_everybody_once_in_one_order(own: World, seed: int) -> None:
    chance, viewer = random.Random(seed), await named(own, "viewer")
    names = ["Maria", "Maria Garcia", "Mar", "Ana Maria Marin", "Marko Marić", "mari mar"]
    users = [
        await named(own, f"{chance.choice(['mar', 'x'])}{number}", chance.choice(names), followers=chance.randrange(9))
        for number in range(60)
    ]
    for user in users[:5]:
        await own.follow(viewer, user)
    await own.drain()
    handles = {user.username for user in users}
    for first in (1, 7, 50):
        paged = await found_in_pages(own, "mar", viewer, first)
        assert sorted(paged) == sorted(handles)
        assert set(paged[:5]) == {user.username for user in users[:5]}
        assert paged == await found_in_pages(own, "mar", viewer, 3)


async def test_what_comes_and_goes_between_two_pages_moves_nobody_else(own: World) -> None:
    users = [await named(own, f"mar{number:02}", followers=number) for number in range(20)]
    first = await page(own, "mar", first=5)
    gone = users[19], users[10]
    for user in gone:
        await own.sources.users.delete(user.id, now())
    await named(own, "martina", followers=10_000)
    rest, after = list[str](), first["pageInfo"]["endCursor"]
    while after:
        got = await page(own, "mar", first=5, after=after)
        rest += [edge["node"]["username"] for edge in got["edges"]]
        after = got["pageInfo"]["endCursor"] if got["pageInfo"]["hasNextPage"] else None
    seen = [edge["node"]["username"] for edge in first["edges"]] + rest
    assert len(seen) == len(set(seen))
    assert {user.username for user in users} - {"mar10"} == set(seen)


async def test_many_friends_do_not_hide_everybody_else(own: World) -> None:
    viewer = await named(own, "viewer")
    friends = [await named(own, f"marfriend{number:02}") for number in range(KNOWN_FOUND_FIRST + 4)]
    for friend in friends:
        await own.follow(viewer, friend)
    await named(own, "marvin", followers=1_000_000)
    await own.drain()
    handles = await found(own, "mar", viewer)
    assert handles[KNOWN_FOUND_FIRST] == "marvin"
    assert len(handles) == len(set(handles)) == len(friends) + 1


async def test_blocked_people_and_hidden_accounts_are_found_by_nobody(own: World) -> None:
    viewer, other = await named(own, "viewer"), await named(own, "other")
    blocked, blocker = await named(own, "marblocked"), await named(own, "marblocker")
    away, banned, gone = [await named(own, f"mar{name}") for name in ("away", "banned", "gone")]
    await own.sources.blocks.block(viewer.id, blocked.id, now=now())
    await own.sources.blocks.block(blocker.id, viewer.id, now=now())
    await own.sources.account.deactivation.deactivate(away.id, now(), session_id=ObjectId())
    await own.set_standing(banned, AccountStanding.BANNED)
    await own.sources.users.delete(gone.id, now())
    for text in ("mar", "marblocked", "marblocker", "maraway", "marbanned", "margone", "marblockd", "marblockre"):
        assert await found(own, text, viewer) == []
        assert await suggested(own, text, viewer) == []
    assert await found(own, "mar", other) == ["marblocked", "marblocker"]
    await own.sources.account.deactivation.reactivate(away.id, now())
    await own.set_standing(banned, AccountStanding.GOOD)
    assert await found(own, "mar", other) == ["maraway", "marbanned", "marblocked", "marblocker"]
    await own.drain()
    await check(own)


async def test_who_does_not_want_to_be_found_is_found_by_the_whole_handle_and_by_friends(own: World) -> None:
    shy, friend, other = await named(own, "shy.maria", "Maria"), await named(own, "friend"), await named(own, "other")
    await own.follow(friend, shy)
    await own.drain()
    for to in (False, False):
        result = await own.execute(HIDE, shy, to=to)
        assert result.errors is None, result.errors
    for text in ("shy", "maria", "shy.mari", "shymaria", "shy.mraia"):
        assert await found(own, text, other) == await suggested(own, text, other) == []
    assert await found(own, "shy.maria", other) == ["shy.maria"]
    for text in ("shy", "maria"):
        assert await found(own, text, friend) == await suggested(own, text, friend) == ["shy.maria"]
    await check(own)
    await own.execute(HIDE, shy, to=True)
    assert await found(own, "maria", other) == ["shy.maria"]
    result = await own.execute("{ viewer { preferences { isInSearch } } }", shy)
    assert result.data == {"viewer": {"preferences": {"isInSearch": True}}}


async def test_new_names_are_found_at_once_and_old_ones_no_more(own: World) -> None:
    user = await named(own, "firsthandle", "First Name")
    await own.sources.users.update_profile(user.id, {"display_name": "Second Thing"})
    assert await found(own, "name") == await found(own, "first name") == []
    assert await found(own, "thing") == await found(own, "firsth") == ["firsthandle"]
    await own.sources.account.renaming.rename(user.id, "secondhandle", now())
    assert await found(own, "firsth") == []
    assert await found(own, "secondh") == await found(own, "thing") == ["secondhandle"]
    await check(own)


async def test_a_name_and_a_handle_that_change_at_once_are_both_found(own: World) -> None:
    user = await named(own, "before", "Before")
    users, handles = own.sources.users, [f"after{number}" for number in range(2)]

    async def rename() -> None:
        for handle in handles:
            await own.sources.account.renaming.rename(user.id, handle, now())

    async def change() -> None:
        for number in range(6):
            await users.update_profile(user.id, {"display_name": f"Name{number}"})

    await asyncio.gather(rename(), change())
    assert await found(own, "after") == await found(own, "name5") == [handles[-1]]
    await check(own)


async def test_followers_move_an_account_up(own: World) -> None:
    a, b, fans = await named(own, "mara"), await named(own, "marb"), await own.users(2)
    assert await found(own, "mar") == ["mara", "marb"]
    for fan in fans:
        await own.follow(fan, b)
    await own.drain()
    assert await found(own, "mar") == ["marb", "mara"]
    for fan in fans:
        await own.sources.follows.unfollow(fan.id, b.id, now=now())
    await own.drain()
    assert await found(own, "mar") == ["mara", "marb"]
    await check(own)
    assert a.username


async def test_suggestions_are_people_the_viewer_knows_and_handles(own: World) -> None:
    viewer, friend = await named(own, "viewer"), await named(own, "quiet", "Maria")
    await named(own, "marvin", followers=9)
    await named(own, "named.so", "Mario", followers=90)
    await named(own, "marco", followers=3)
    await own.follow(viewer, friend)
    assert await suggested(own, "@Mar", viewer) == ["quiet", "marvin", "marco"]
    assert await suggested(own, "mar", viewer, first=2) == ["quiet", "marvin"]
    assert await suggested(own, "@", viewer) == []


async def test_a_suspended_viewer_counts_as_knowing_nobody(own: World) -> None:
    viewer, friend = await named(own, "viewer"), await named(own, "marfriend")
    await named(own, "marvin", followers=9)
    await own.follow(viewer, friend)
    suspended = await own.set_standing(viewer, AccountStanding.SUSPENDED)
    assert await found(own, "mar", suspended) == ["marvin", "marfriend"]


@pytest.mark.parametrize("text", ["x" * 101, "\u0301" * 1_000_000])
async def test_a_text_that_is_too_long_is_refused_unread(own: World, text: str) -> None:
    viewer = await named(own, "viewer")
    for document in (SEARCH, SUGGEST):
        result = await own.execute(document, viewer, text=text)
        assert result.errors is not None
        assert "at most 100" in result.errors[0].message


async def test_cursors_of_other_lists_and_of_other_searches_are_refused(own: World) -> None:
    for number in range(3):
        await named(own, f"mar{number}")
    cursor = (await page(own, "mar", first=1))["pageInfo"]["endCursor"]
    for text, after in (("bob", cursor), ("mar", encode_cursor(ObjectId())), ("mar", "nonsense")):
        result = await own.execute(SEARCH, None, text=text, after=after)
        assert result.errors is not None


async def test_texts_of_any_kind_find_nobody_or_somebody(own: World) -> None:
    await named(own, "bob")
    for text in ("", " ", "@", "🌸", "\U0010ffff", "\x00", "$", "a" * 100, "\u200d", "(", ".*", "bob\x00"):
        await page(own, text)
    assert await found(own, ".*") == await found(own, "") == []


async def test_a_run_of_hidden_accounts_ends_the_list_and_says_nothing(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found_people, "SEARCH_READ_MAX", 20)
    viewer = await named(own, "viewer")
    for number in range(80):
        user = await named(own, f"mar{number:02}", followers=100)
        await own.sources.blocks.block(user.id, viewer.id, now=now())
    await named(own, "marvin")
    got = await page(own, "mar", viewer, first=5)
    assert got == {"edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}


async def test_every_read_is_a_bounded_walk_of_its_index(own: World) -> None:
    """No document is read for names, and no more entries than a page and one for each popularity."""
    await populate(own, 3_000)
    for after in (None, Match(Group.NAMED, 3, "mar00100", ObjectId())):
        for field in search_keys.KEYS[:2]:
            for span in search_keys._spans(field, "mar", after):
                pipeline = search_keys._branch(field, {}, span, 21)
                stats, plan = await explained(own, {"aggregate": "users", "pipeline": pipeline, "cursor": {}})
                assert stats["totalDocsExamined"] == 0, plan
                assert stats["totalKeysExamined"] <= 21 + 2 * 15, plan
                assert "COLLSCAN" not in plan
                assert "'SORT'" not in plan


async def test_repair_corrects_what_an_older_process_left(own: World) -> None:
    user = await named(own, "bobjones", "Bob")
    users = own.sources.database["users"]
    await users.update_one({"_id": user.id}, {"$set": {"display_name": "Rob", "follower_count": 0}})
    assert {finding.kind for finding in await find_faults(own)} == {"user.search"}
    await repair(own.tools, Walk(sources=own.sources))
    assert await find_faults(own) == []
    assert await found(own, "rob") == ["bobjones"]


async def test_the_indexes_of_names_are_compressed(world: World) -> None:
    for name in ("users", "topics"):
        details = (await world.sources.database.command("collStats", name, indexDetails=True))["indexDetails"]
        made = {index: each["creationString"] for index, each in details.items() if "search." in index}
        assert made
        assert [index for index, how in made.items() if "block_compressor=zstd" not in how] == []
