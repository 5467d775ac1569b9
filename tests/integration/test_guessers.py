"""Many who guess passwords, and the one who knows theirs."""

import asyncio
import dataclasses
from typing import Any

import pytest

from datasources.accounts import passwords
from datasources.accounts.passwords import Passwords
from datasources.sources import Sources
from domain.errors import Refusal
from resolvers.api import schema
from schema.context import Context
from tests.support.client import PASSWORD
from tests.support.factories import World, now
from tests.support.waiting import eventually

LOGIN = "mutation ($input: LoginInput!) { login(input: $input) { userErrors { code } tokens { accessToken } } }"
FEW = 6  # places in the queue of the short test


async def code_of(sources: Sources, address: str, login: str, password: str) -> str | None:
    """Logs in from an address; the code of the refusal, None for a session."""
    given: dict[str, Any] = {"input": {"login": login, "password": password}}
    context = Context(sources, None, "test", address)
    result = await schema.execute(LOGIN, given, context_value=context)
    assert result.errors is None, result.errors
    assert result.data is not None
    payload = result.data["login"]
    return payload["userErrors"][0]["code"] if payload["userErrors"] else None


async def test_the_owner_gets_in_amid_guessers_of_other_accounts_and_addresses(
    world: World, full_size: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    guessers, logins = (160, 15) if full_size else (20, 4)
    if not full_size:
        monkeypatch.setattr(passwords, "MAX_WAITING", FEW)
    sources = dataclasses.replace(world.sources, passwords=Passwords())
    name = f"owner_{now():%H%M%S%f}"
    await sources.users.register(name, f"{name}@example.com", await sources.passwords.hash(PASSWORD), name, now())
    heard: list[str | None] = []
    over = asyncio.Event()

    async def guess(number: int) -> None:
        while not over.is_set():
            heard.append(await code_of(sources, f"192.0.2.{number}", f"nobody_{number}", "a guess"))
            await asyncio.sleep(0.01)

    guessing = [asyncio.create_task(guess(number)) for number in range(guessers)]
    await eventually(lambda: asyncio.sleep(0, "INVALID_CREDENTIALS" in heard), seconds=60)
    answers = [await code_of(sources, "198.51.100.1", name, PASSWORD) for _ in range(logins)]
    over.set()
    await asyncio.gather(*guessing)
    assert answers.count(None) >= logins - 1, answers  # before everybody has guessed once, there is a lot to draw
    assert "BUSY" in heard  # there were too many


async def test_no_more_passwords_are_hashed_at_once_when_callers_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    checking = Passwords()
    running, most = 0, 0
    hashing = checking._hasher.hash

    def counted(password: str) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return hashing(password)
        finally:
            running -= 1

    monkeypatch.setattr(checking, "_hasher", type("Counted", (), {"hash": staticmethod(counted)}))
    for number in range(6):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(checking.hash(PASSWORD, number), 0.005)
    await checking.hash(PASSWORD, "last")
    assert most <= passwords.CONCURRENT_HASHES


async def test_one_address_cannot_take_every_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "MAX_WAITING", FEW)
    checking = Passwords()
    crowd = [asyncio.create_task(checking.verify(None, "x", f"name {n}", "192.0.2.1")) for n in range(30)]
    await asyncio.sleep(0)
    assert await checking.verify(await checking.hash(PASSWORD), PASSWORD, "owner", "198.51.100.1")
    ends = await asyncio.gather(*crowd, return_exceptions=True)
    assert any(isinstance(end, Refusal) for end in ends)
