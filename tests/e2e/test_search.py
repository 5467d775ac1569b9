"""Searching for people over HTTP: who may ask, and that names, blocks and deactivation show at once."""

import secrets

import pytest

from tests.e2e.conftest import Register
from tests.support.client import PASSWORD, Api

SEARCH = "query ($text: String!) { search(query: $text, kind: PEOPLE) { edges { node { ... on User { id } } } } }"
SUGGEST = "query ($text: String!) { suggestHandles(prefix: $text) { id } }"


async def found(api: Api, text: str) -> list[str]:
    return [edge["node"]["id"] for edge in (await api.get(SEARCH, text=text))["search"]["edges"]]


async def suggested(api: Api, text: str) -> list[str]:
    return [user["id"] for user in (await api.get(SUGGEST, text=text))["suggestHandles"]]


@pytest.fixture
def name() -> str:
    """A word that is nobody's name."""
    return "".join(secrets.choice("bcdfghklmnprst") + secrets.choice("aeiou") for _ in range(5))


async def test_strangers_and_others_find_a_new_name_at_once(register: Register, nobody: Api, name: str) -> None:
    ana, bob = await register(), await register()
    await ana.done("updateProfile", displayName=f"Ána {name.title()}")
    typed = (name, name[:6], f"ana{name}", f"{name} ana", name[:3] + name[4:], ana.username[:-1])
    for api in (bob, nobody):
        for text in typed:
            assert await found(api, text) == [ana.id], text
    assert await suggested(bob, name) == []
    await bob.done("followUser", userId=ana.id)
    assert await suggested(bob, name) == await suggested(bob, f"@{ana.username[:-1]}") == [ana.id]


async def test_a_private_account_is_found_by_its_name_alone(register: Register, nobody: Api, name: str) -> None:
    ana = await register()
    await ana.ready_post()
    await ana.done("updateProfile", displayName=name, isPrivate=True)
    selection = "... on User { posts { edges { cursor } } }"
    posts = SEARCH.replace("... on User { id }", selection)
    (edge,) = (await nobody.get(posts, text=name))["search"]["edges"]
    assert edge["node"]["posts"] == {"edges": []}


async def test_blocks_and_deactivation_hide_at_once(register: Register, nobody: Api, name: str) -> None:
    ana, bob, eve = await register(), await register(), await register()
    for person in (ana, bob):
        await person.done("updateProfile", displayName=name)
    await ana.done("blockUser", userId=eve.id)
    assert await found(eve, name) == [bob.id]
    assert await found(eve, ana.username) == await suggested(eve, ana.username) == []
    assert set(await found(nobody, name)) == {ana.id, bob.id}
    await ana.done("deactivateAccount", password=PASSWORD)
    assert await found(nobody, name) == [bob.id]
    await Api(ana.http).done("login", "tokens { accessToken }", login=ana.username, password=PASSWORD)
    assert set(await found(nobody, name)) == {ana.id, bob.id}


async def test_suggestions_need_a_session(nobody: Api) -> None:
    assert (await nobody.ask(SUGGEST, text="a")).codes == ["UNAUTHENTICATED"]
