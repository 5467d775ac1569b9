"""People whom a viewer knows, in searches: read once, and never as they no longer are."""

from typing import Any

import pytest
from bson import ObjectId

from datasources.discovery import people_search as people
from tests.support.factories import World, now
from tests.support.people_search import HIDE, found, found_in_pages, named, suggested


async def test_people_whom_the_viewer_knows_are_read_once_until_a_follow(
    own: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, friend = await named(own, "viewer"), await named(own, "mar15")
    await own.follow(viewer, friend)
    await own.drain()  # the friend has one follower, as the others below
    for number in range(20):
        await named(own, f"mar{number:02}x", followers=1)
    read, find = list[ObjectId](), people.PeopleSearch._known

    async def counted(search: people.PeopleSearch, viewer_id: ObjectId) -> Any:
        read.append(viewer_id)
        return await find(search, viewer_id)

    monkeypatch.setattr(people.PeopleSearch, "_known", counted)
    handles = await found_in_pages(own, "mar", viewer, 5)
    assert handles == ["mar15", *(f"mar{number:02}x" for number in range(20))]
    assert await suggested(own, "mar", viewer, 3) == ["mar15", "mar00x", "mar01x"]
    assert read == [viewer.id]
    other = await named(own, "marx")
    await own.follow(viewer, other)
    assert (await found(own, "mar", viewer))[:2] == ["mar15", "marx"]
    await own.sources.follows.unfollow(viewer.id, friend.id, now=now())
    assert (await found(own, "mar", viewer))[:2] == ["marx", "mar00x"]
    assert read == [viewer.id] * 3


async def test_who_does_not_want_to_be_found_is_not_once_they_follow_no_more(own: World) -> None:
    """Also in the time until the worker takes them out of the followers."""
    viewer, fan = await named(own, "viewer"), await named(own, "fan", "Maria")
    hidden = await own.execute(HIDE, fan, to=False)
    assert hidden.errors is None
    await own.follow(fan, viewer)
    await own.drain()
    assert await found(own, "maria", viewer) == ["fan"]
    await own.sources.follows.unfollow(fan.id, viewer.id, now=now())
    assert await found(own, "maria", viewer) == await suggested(own, "maria", viewer) == []


async def test_a_name_that_somebody_known_has_given_up_does_not_find_them(own: World) -> None:
    viewer, friend = await named(own, "viewer"), await named(own, "friend", "Maria")
    await own.follow(viewer, friend)
    assert await found(own, "maria", viewer) == ["friend"]
    await own.sources.users.update_profile(friend.id, {"display_name": "Anna"})
    assert await found(own, "maria", viewer) == []
    assert await found(own, "anna", viewer) == ["friend"]


async def test_a_block_counts_in_searches_although_the_caches_were_not_told(own: World) -> None:
    """As when the process that wrote it cannot reach Redis."""
    viewer, other = await named(own, "viewer"), await named(own, "other", "Maria")
    await own.follow(viewer, other)
    for text in ("maria", "other", "other"):  # the handle is remembered
        assert await found(own, text, viewer) == ["other"]
    assert (await own.execute('{ user(username: "other") { viewerIsFollowing } }', viewer)).data is not None  # cached
    await own.sources.database["blocks"].insert_one(
        {"blocker_id": other.id, "blocked_id": viewer.id, "created_at": now()}
    )
    assert await found(own, "maria", viewer) == await found(own, "other", viewer) == []
    assert await suggested(own, "other", viewer) == []
