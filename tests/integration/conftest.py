"""One database for each test module. Tests make users of their own, so they do not disturb each other."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from config import Settings
from datasources.sources import open_sources
from tests.support.emptying import empty, empty_with_files
from tests.support.factories import World, opened, with_own_buckets
from tests.support.mail_server import MailServer, running_mail_server
from tests.support.operation_counter import OperationCounter
from tests.support.own_databases import own_database


@pytest.fixture(scope="module")
async def world(request: pytest.FixtureRequest, shared_settings: Settings) -> AsyncIterator[World]:
    """Open sources over an empty database, in modules with the mark `own_buckets` with buckets of its own."""
    with own_database(shared_settings) as settings:
        async with opened(with_own_buckets(settings) if has_own_buckets(request) else settings) as world:
            yield world


@pytest.fixture
async def own(request: pytest.FixtureRequest, world: World) -> World:
    """The module's world, emptied: it holds nothing but what the test makes."""
    return await (empty_with_files if has_own_buckets(request) else empty)(world)


def has_own_buckets(request: pytest.FixtureRequest) -> bool:
    """Whether the module asks for buckets of its own, in which nobody else's files are orphans."""
    return request.node.get_closest_marker("own_buckets") is not None


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    """A mail server of the test's own."""
    async with running_mail_server() as running:
        yield running


@pytest.fixture
async def mailing(shared_settings: Settings, server: MailServer) -> AsyncIterator[World]:
    """A world of the test's own that sends mails. As it does, addresses have to be verified."""
    with own_database(shared_settings) as settings:
        async with opened(server.settings(settings)) as world:
            yield world


@pytest.fixture
async def other(world: World) -> AsyncIterator[World]:
    """Another process over the same database and Redis."""
    async with open_sources(world.sources.settings) as sources:
        yield World(sources)


@pytest.fixture
def operations() -> OperationCounter:
    """Counts what the world `counted` asks of MongoDB."""
    return OperationCounter()


@pytest.fixture
async def counted(settings: Settings, operations: OperationCounter) -> AsyncIterator[World]:
    """A world of the test's own, in which operations are counted."""
    async with opened(settings, [operations]) as world:
        yield world


@pytest.fixture(scope="module")
async def web() -> AsyncIterator[httpx2.AsyncClient]:
    """A client of storage, without credentials."""
    async with httpx2.AsyncClient(timeout=20) as client:
        yield client
