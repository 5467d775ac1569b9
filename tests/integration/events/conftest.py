"""A world whose events go to a stream of Redis."""

from collections.abc import AsyncIterator

import pytest

from config import Settings
from tests.support.emptying import empty
from tests.support.factories import World, opened
from tests.support.own_databases import own_database


@pytest.fixture(scope="module")
async def telling(shared_settings: Settings) -> AsyncIterator[World]:
    """A world whose events go to Redis."""
    with own_database(shared_settings, events=("redis",)) as settings:
        async with opened(settings) as world:
            yield world


@pytest.fixture
async def own(telling: World) -> World:
    """That world, emptied."""
    return await empty(telling)
