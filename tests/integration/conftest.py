"""One database for each test module. Tests make users of their own, so they do not disturb each other."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from pymongo import MongoClient

from config import Settings
from tests.support.emptying import empty
from tests.support.factories import World, opened


@pytest.fixture(scope="module")
async def world(shared_settings: Settings) -> AsyncIterator[World]:
    """Open sources over an empty database."""
    name = f"test_{uuid4().hex[:12]}"
    settings = shared_settings.model_copy(update={"mongo_database": name, "key_prefix": f"{name}:"})
    async with opened(settings) as world:
        yield world
    with MongoClient[dict[str, object]](settings.mongo_url, serverSelectionTimeoutMS=5000) as client:
        client.drop_database(name)


@pytest.fixture
async def own(world: World) -> World:
    """The module's world, emptied: it holds nothing but what the test makes."""
    return await empty(world)
