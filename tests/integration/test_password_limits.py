"""A thousand guesses of passwords in every shape: few are tried, and the owner still logs in on a known device."""

import asyncio
import itertools
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from config import Settings
from datasources.sources import prepare
from domain.limits import USERNAME_CHANGES_MAX
from domain.rate_limits import DEFAULTS, Limit
from tests.support.client import PASSWORD, Person
from tests.support.own_databases import own_database
from tests.support.stack import stack_on

GUESSES = 1_000
LOGINS = Limit.parse(DEFAULTS["logins.name"])
TRIED_MAX = 30  # in five minutes
IN_ONE_DOCUMENT = 100
NOWHERE = "redis://127.0.0.1:1/0"
LOGIN = """mutation ($input: LoginInput!) {
  login(input: $input) { deviceToken tokens { accessToken } userErrors { code retryAfterMs } }
}"""
_addresses = itertools.count(1)


def new_address() -> str:
    """An address that no other test comes from."""
    number = next(_addresses)
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


class Door:
    """The API as its balancer calls it, or somebody who pretends to be a balancer."""

    def __init__(self, http: httpx2.AsyncClient, logs: Path) -> None:
        self.http = http
        self.logs = logs

    async def log_in(self, login: str, password: str, address: str, **given: Any) -> Any:
        """The payload of one login; of one whose address has no general points left either, only its code."""
        body = {"query": LOGIN, "variables": {"input": {"login": login, "password": password, **given}}}
        answer = await self.http.post("/graphql", json=body, headers={"x-forwarded-for": address})
        answered = answer.json()
        if "data" not in answered:
            return {"userErrors": [error["extensions"] for error in answered["errors"]]}
        return answered["data"]["login"]

    async def owner(self) -> tuple[Person, str]:
        """A new account, and the token of a device on which its owner has logged in."""
        self.http.headers["x-forwarded-for"] = new_address()
        person = await Person.register(self.http)
        del self.http.headers["x-forwarded-for"]
        return person, (await self.log_in(person.username, PASSWORD, new_address()))["deviceToken"]


@asynccontextmanager
async def door(settings: Settings, folder: Path, **changes: object) -> AsyncIterator[Door]:
    await prepare(settings)
    changed = settings.model_copy(update={"rate_limit_factor": 1.0, **changes})
    with stack_on(changed, folder) as stack:
        await stack.api()
        async with httpx2.AsyncClient(base_url=stack.url, timeout=60) as http:
            yield Door(http, folder)


def codes(payloads: list[Any]) -> Counter[str]:
    return Counter(error["code"] for payload in payloads for error in payload["userErrors"])


async def guess(door: Door, login_of: Callable[[int], str], address_of: Callable[[int], str]) -> Counter[str]:
    """How a thousand logins with wrong passwords were refused."""
    payloads: list[Any] = []
    numbers = iter(range(GUESSES))

    async def one_guesser() -> None:
        for number in numbers:
            payload = await door.log_in(login_of(number), f"a wrong guess {number}", address_of(number))
            payloads.append(payload)

    await asyncio.gather(*(one_guesser() for _ in range(10)))
    assert len(payloads) == GUESSES
    return codes(payloads)


async def expect_few(door: Door, refused: Counter[str]) -> None:
    assert 0 < refused["INVALID_CREDENTIALS"] <= TRIED_MAX, refused
    assert refused["INVALID_CREDENTIALS"] + refused["RATE_LIMITED"] == GUESSES, refused


async def expect_owner_logs_in(door: Door, owner: Person, device: str) -> None:
    """On the known device with the right password; elsewhere, with another's token too, they are held up."""
    stranger = await door.log_in(owner.username, PASSWORD, new_address())
    assert codes([stranger]) == {"RATE_LIMITED": 1}
    assert stranger["userErrors"][0]["retryAfterMs"] > 0
    _, of_another = await door.owner()
    assert codes([await door.log_in(owner.username, PASSWORD, new_address(), deviceToken=of_another)])
    at_home = await door.log_in(owner.username, PASSWORD, new_address(), deviceToken=device)
    assert at_home["userErrors"] == []
    assert at_home["deviceToken"] == device


@pytest.fixture(scope="module")
def own_settings(shared_settings: Settings) -> Iterator[Settings]:
    with own_database(shared_settings) as settings:
        yield settings


@pytest.fixture(scope="module")
async def gate(own_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    """Behind a balancer, which names each client's address."""
    async with door(own_settings, tmp_path_factory.mktemp("gate")) as opened:
        yield opened


def test_defaults_let_so_few_be_tried_in_five_minutes() -> None:
    def in_five_minutes(name: str) -> float:
        limit = Limit.parse(DEFAULTS[name])
        return limit.maximum + 300 / limit.interval

    names = 1 + 1 + USERNAME_CHANGES_MAX  # e-mail address, handle, former handles
    assert names * in_five_minutes("login.name") <= TRIED_MAX
    assert in_five_minutes("login.address") <= TRIED_MAX
    assert in_five_minutes("login.device") <= TRIED_MAX


async def test_one_account_from_one_address(gate: Door) -> None:
    owner, device = await gate.owner()
    address = new_address()
    await expect_few(gate, await guess(gate, lambda _: owner.username, lambda _: address))
    await expect_owner_logs_in(gate, owner, device)


async def test_one_account_from_many_addresses_by_all_its_names(gate: Door) -> None:
    owner, device = await gate.owner()
    names = [owner.username, f" @{owner.username.upper()}", f"{owner.username}@example.com"]
    for _ in range(USERNAME_CHANGES_MAX):
        names.append(f"new_{secrets.token_hex(6)}")
        await owner.done("changeUsername", username=names[-1])
    addresses = [new_address() for _ in range(100)]
    refused = await guess(gate, lambda n: names[n % len(names)], lambda n: addresses[n // len(names) % 100])
    await expect_few(gate, refused)
    await expect_owner_logs_in(gate, owner, device)


async def test_many_accounts_from_one_ipv6_network(gate: Door) -> None:
    def within_64(number: int) -> str:
        return f"2001:db8:1:2:{number:x}::{number:x}"

    await expect_few(gate, await guess(gate, lambda n: f"somebody_{n}", within_64))


async def test_a_hundred_in_one_document(gate: Door) -> None:
    owner, device = await gate.owner()
    short, long = "{ ...Codes }", "{ userErrors { code } }"  # with one or the other a limit of documents is reached
    guesses = [f"l{n}: login(input: $i) {short if n < 55 else long}" for n in range(IN_ONE_DOCUMENT)]
    parts = [guesses[start : start + 20] for start in range(0, IN_ONE_DOCUMENT, 20)]
    document = "\n".join(
        [
            f"mutation ($i: LoginInput!) {{ {' '.join(f'...F{n}' for n in range(len(parts)))} }}",
            *(f"fragment F{n} on Mutation {{ {' '.join(part)} }}" for n, part in enumerate(parts)),
            "fragment Codes on LoginPayload { userErrors { code } }",
        ]
    )
    body = {"query": document, "variables": {"i": {"login": owner.username, "password": "wrong"}}}
    refused: Counter[str] = Counter()
    for _ in range(GUESSES // IN_ONE_DOCUMENT):
        headers = {"x-forwarded-for": new_address()}
        answer = (await gate.http.post("/graphql", json=body, headers=headers)).json()
        assert "data" in answer, answer
        refused += codes(list(answer["data"].values()))
    await expect_few(gate, refused)
    await expect_owner_logs_in(gate, owner, device)


async def test_an_unknown_name_is_refused_as_a_known_one_is(gate: Door) -> None:
    owner, _ = await gate.owner()
    shapes = []
    for login in (owner.username, f"nobody_{secrets.token_hex(4)}"):
        payloads = [await gate.log_in(login, "wrong", new_address()) for _ in range(12)]
        shapes.append([[error["code"] for error in payload["userErrors"]] for payload in payloads])
    assert shapes[0] == shapes[1]
    assert shapes[0][-1] == ["RATE_LIMITED"]


async def test_right_passwords_have_a_limit_of_their_own(gate: Door) -> None:
    owner, device = await gate.owner()  # has logged in once by this name
    address = new_address()
    for _ in range(LOGINS.maximum - 1):
        assert (await gate.log_in(owner.username, PASSWORD, address))["userErrors"] == []
    payloads = [await gate.log_in(owner.username, PASSWORD, new_address()) for _ in range(5)]
    assert codes(payloads)["RATE_LIMITED"] >= 4
    assert (await gate.log_in(owner.username, PASSWORD, address, deviceToken=device))["userErrors"] == []
    other, _ = await gate.owner()  # at the same address
    assert (await gate.log_in(other.username, PASSWORD, address))["userErrors"] == []


async def test_who_only_guesses_does_not_use_up_the_right_ones(gate: Door) -> None:
    assert LOGINS.rate > Limit.parse(DEFAULTS["login.name"]).rate
    owner, _ = await gate.owner()
    for _ in range(GUESSES // 10):
        await gate.log_in(owner.username, "a wrong guess", new_address())
    refused = await gate.log_in(owner.username, PASSWORD, new_address())
    wrong = Limit.parse(DEFAULTS["login.name"])
    assert refused["userErrors"][0]["retryAfterMs"] <= wrong.interval * 1000


async def test_a_known_device_has_a_limit_of_its_own(gate: Door) -> None:
    owner, device = await gate.owner()
    payloads = [await gate.log_in(owner.username, "wrong", new_address(), deviceToken=device) for _ in range(40)]
    assert 0 < codes(payloads)["INVALID_CREDENTIALS"] <= TRIED_MAX
    assert codes(payloads)["RATE_LIMITED"] > 0


async def test_a_device_is_unknown_once_its_session_is_revoked_from_another(gate: Door) -> None:
    owner, device = await gate.owner()
    sessions = (await owner.get("{ viewer { sessions { id isCurrent } } }"))["viewer"]["sessions"]
    (other,) = [each["id"] for each in sessions if not each["isCurrent"]]
    await owner.done("revokeSession", sessionId=other)
    assert (await gate.log_in(owner.username, PASSWORD, new_address(), deviceToken=device))["deviceToken"] != device


async def test_no_device_is_known_after_logging_out_everywhere(gate: Door) -> None:
    owner, device = await gate.owner()
    await owner.done("logout", everywhere=True)
    assert (await gate.log_in(owner.username, PASSWORD, new_address(), deviceToken=device))["deviceToken"] != device


async def test_no_log_has_a_password_a_login_or_the_token_of_a_device(gate: Door) -> None:
    owner, device = await gate.owner()
    address, guessed = f"{owner.username}@example.com", f"guess{secrets.token_hex(8)}"
    for _ in range(12):
        await gate.log_in(address, guessed, new_address())
    await gate.log_in(owner.username, PASSWORD, new_address(), deviceToken=device)
    logged = b"".join(path.read_bytes() for path in gate.logs.glob("*.log"))
    assert b"/graphql" in logged
    for secret in (device, guessed, PASSWORD, address, owner.username):
        assert secret.encode() not in logged


async def test_forged_addresses_count_as_the_sender_s(own_settings: Settings, tmp_path: Path) -> None:
    nobody = Settings.model_fields["trusted_proxies"].default
    async with door(own_settings, tmp_path, trusted_proxies=nobody) as opened:
        forged = [new_address() for _ in range(100)]
        await expect_few(opened, await guess(opened, lambda n: f"somebody_{n}", lambda n: forged[n % 100]))


async def test_without_redis(own_settings: Settings, tmp_path: Path) -> None:
    async with door(own_settings, tmp_path, cache_redis_url=NOWHERE) as opened:
        owner, device = await opened.owner()
        addresses = [new_address() for _ in range(100)]
        await expect_few(opened, await guess(opened, lambda _: owner.username, lambda n: addresses[n % 100]))
        await expect_owner_logs_in(opened, owner, device)
        address = new_address()
        await expect_few(opened, await guess(opened, lambda n: f"somebody_{n}", lambda _: address))
