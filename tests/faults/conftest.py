"""Servers and processes that fault tests may break, because no other test uses them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import pytest

from config import Settings
from tests.support.factories import World, opened
from tests.support.own_servers import Servers, own_servers
from tests.support.stack import Stack, stack_on


@pytest.fixture
def rng(seed: int) -> Random:
    return Random(seed)


@pytest.fixture
async def world(settings: Settings) -> AsyncIterator[World]:
    """A database of the test's own in the shared servers, for tests that only kill processes of the product."""
    async with opened(settings) as world:
        yield world


@pytest.fixture
def stack(settings: Settings, tmp_path: Path) -> Iterator[Stack]:
    """Starts processes of the product over that database."""
    with stack_on(settings, tmp_path) as stack:
        yield stack


@pytest.fixture
async def servers(shared_settings: Settings, tmp_path: Path) -> AsyncIterator[Servers]:
    """A MongoDB and a Valkey of the test's own."""
    with own_servers(tmp_path / "servers", shared_settings) as started:
        await asyncio.gather(started.mongodb.wait_until_ready(), started.valkey.wait_until_ready())
        yield started


@pytest.fixture
async def own(servers: Servers) -> AsyncIterator[World]:
    """A world in the test's own servers."""
    async with opened(servers.settings) as world:
        yield world


@pytest.fixture
def own_stack(servers: Servers, tmp_path: Path) -> Iterator[Stack]:
    """Starts processes of the product over the test's own servers."""
    with stack_on(servers.settings, tmp_path) as stack:
        yield stack
