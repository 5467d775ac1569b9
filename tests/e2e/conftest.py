"""One API process, two on a cluster, and one worker process for all tests here; each registers people of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from config import Settings
from datasources.sources import prepare
from deploy.demo.seed import DemoLogin, seed
from domain.ids import from_global_id
from domain.records.users import Role
from tests.support.auditing import audit
from tests.support.client import Api, Person
from tests.support.events import stream_entries
from tests.support.factories import World, now, opened
from tests.support.haproxy import HAPROXY
from tests.support.own_databases import own_database
from tests.support.redis_masters import refused_by_slots
from tests.support.stack import BalancedStack, Stack, stack_on, start_all

DEMO_POSTS = 3
Register = Callable[..., Awaitable[Person]]
Moderators = Callable[[], Awaitable[Person]]


@pytest.fixture(scope="session")
def mails(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the mails."""
    return tmp_path_factory.mktemp("mails")


@pytest.fixture(scope="session")
def e2e_settings(shared_settings: Settings, mails: Path) -> Iterator[Settings]:
    """Settings of the shared processes: a database and a key prefix of their own."""
    changes: dict[str, object] = {"mail": "folder", "mail_folder": mails, "email_verification": "off"}
    with own_database(shared_settings, events=("redis",), **changes) as settings:
        yield settings


@pytest.fixture(scope="session")
async def stack(
    e2e_settings: Settings, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> AsyncIterator[Stack]:
    """The running API and workers, on a cluster with HAProxy before several API processes.

    After the last test nothing may stay pending, and `verify` must find nothing.
    """
    await prepare(e2e_settings)
    logs: Path = tmp_path_factory.mktemp("logs")
    is_balanced = pytestconfig.getoption("--cluster") and HAPROXY is not None
    with stack_on(e2e_settings, logs, BalancedStack if is_balanced else Stack) as running:
        await start_all(running)
        yield running
        async with opened(e2e_settings) as world:
            await audit(world, are_files_awaited=True)
            await stream_entries(world)  # each is as its schema says
        assert not refused_by_slots(e2e_settings), "a cluster takes several keys in one command only in one slot"


@pytest.fixture(scope="session")
async def http(stack: Stack) -> AsyncIterator[httpx2.AsyncClient]:
    """HTTP to the API; it goes to storage as well."""
    async with httpx2.AsyncClient(base_url=stack.url, timeout=20) as client:
        yield client


@pytest.fixture(scope="session")
async def demo(stack: Stack, e2e_settings: Settings) -> DemoLogin:
    """A small demo in the shared database; the worker process that runs there does its part."""
    return await seed(e2e_settings, lambda _text: None, posts=DEMO_POSTS)


@pytest.fixture
def nobody(http: httpx2.AsyncClient) -> Api:
    """A client without a token."""
    return Api(http)


@pytest.fixture(scope="session")
def register(http: httpx2.AsyncClient) -> Register:
    """Registers somebody new."""

    async def new(**given: object) -> Person:
        return await Person.register(http, **given)

    return new


@pytest.fixture(scope="module")
async def people(register: Register) -> list[Person]:
    """Three people for the tests of one module that leave them as they are."""
    return list(await asyncio.gather(*(register() for _ in range(3))))


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    """The stores below the running processes."""
    async with opened(stack.settings) as world:
        yield world


@pytest.fixture
def moderator(register: Register, world: World) -> Moderators:
    """Registers a moderator."""

    async def make() -> Person:
        person = await register()
        assert await world.sources.moderation.deciding.set_role(from_global_id(person.id)[1], Role.MODERATOR, now())
        return person

    return make
