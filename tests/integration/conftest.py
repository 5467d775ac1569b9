"""One database for each test module. Tests make users of their own, so they do not disturb each other."""

from collections.abc import AsyncIterator

import pytest

from config import Settings
from tests.support.emptying import empty
from tests.support.factories import World, opened, own_database


@pytest.fixture(scope="module")
async def world(shared_settings: Settings) -> AsyncIterator[World]:
    """Open sources over an empty database."""
    with own_database(shared_settings) as settings:
        async with opened(settings) as world:
            yield world


@pytest.fixture
async def own(world: World) -> World:
    """The module's world, emptied: it holds nothing but what the test makes."""
    return await empty(world)
