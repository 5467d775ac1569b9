"""Password guessing: owners still log in, and the work is bounded."""

import asyncio
from itertools import chain
from typing import Any

import pytest

from datasources.accounts import password_hashing
from datasources.accounts.password_hashing import Passwords
from datasources.sources import Sources
from domain.errors import Refusal
from resolvers.api import schema
from schema.context import Context
from tests.support.client import PASSWORD
from tests.support.factories import World, changed_sources, now
from tests.support.waiting import eventually

LOGIN = "mutation ($input: LoginInput!) { login(input: $input) { userErrors { code } tokens { accessToken } } }"
FEW = 6  # places in the queue, in the short test


async def code_of(sources: Sources, address: str, login: str, password: str) -> str | None:
    """Logs in from an address; the code of the refusal, None for a session."""
    given: dict[str, Any] = {"input": {"login": login, "password": password}}
    context = Context(sources, None, "test", address)
    result = await schema.execute(LOGIN, given, context_value=context)
    assert result.errors is None, result.errors
    assert result.data is not None
    payload = result.data["login"]
    return payload["userErrors"][0]["code"] if payload["userErrors"] else None


async def test_an_owner_logs_in_while_others_guess_from_other_addresses(
    world: World, full_size: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    guessers, logins = (160, 15) if full_size else (20, 4)
    if not full_size:
        monkeypatch.setattr(password_hashing, "MAX_WAITING", FEW)
    sources = changed_sources(world.sources, passwords=Passwords())
    name = f"owner_{now():%H%M%S%f}"
    await sources.users.register(name, f"{name}@example.com", await sources.passwords.hash(PASSWORD), name, now())
    codes: list[list[str | None]] = [[] for _ in range(guessers)]
    over = asyncio.Event()

    async def guess(number: int) -> None:
        while not over.is_set():
            codes[number].append(await code_of(sources, f"192.0.2.{number}", f"nobody_{number}", "a guess"))
            await asyncio.sleep(0.01)

    guessing = [asyncio.create_task(guess(number)) for number in range(guessers)]
    # Until each has asked once, the order among them and the owner is by lot.
    await eventually(lambda: asyncio.sleep(0, all(codes)), seconds=60)
    answers = [await code_of(sources, "198.51.100.1", name, PASSWORD) for _ in range(logins)]
    over.set()
    await asyncio.gather(*guessing)
    assert answers == [None] * logins
    assert "BUSY" in chain.from_iterable(codes)


async def test_no_more_passwords_are_hashed_at_once_when_callers_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    checker = Passwords()
    running, max_running = 0, 0
    hashing = checker._hasher.hash

    def count_running(password: str) -> str:
        nonlocal running, max_running
        running += 1
        max_running = max(max_running, running)
        try:
            return hashing(password)
        finally:
            running -= 1

    monkeypatch.setattr(checker, "_hasher", type("Counted", (), {"hash": staticmethod(count_running)}))
    for number in range(6):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(checker.hash(PASSWORD, number), 0.005)
    await checker.hash(PASSWORD, "last")
    assert max_running <= password_hashing.CONCURRENT_HASHES


async def test_one_address_cannot_fill_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(password_hashing, "MAX_WAITING", FEW)
    checker = Passwords()
    crowd = [asyncio.create_task(checker.verify(None, "x", f"name {n}", "192.0.2.1")) for n in range(30)]
    await asyncio.sleep(0)
    assert await checker.verify(await checker.hash(PASSWORD), PASSWORD, "owner", "198.51.100.1")
    results = await asyncio.gather(*crowd, return_exceptions=True)
    assert any(isinstance(end, Refusal) for end in results)
