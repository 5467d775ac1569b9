"""What every ring of tests shares: real servers, started once when a test asks, and a corner of them for each."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pymongo import MongoClient
from redis import Redis

from config import Settings
from deploy.local.servers import local_servers


@pytest.fixture(scope="session")
def shared_settings() -> Iterator[Settings]:
    """Settings of the run's own MongoDB, Valkey and SeaweedFS; a server given by PHOTOGRAM_..._URL is used instead."""
    with (
        tempfile.TemporaryDirectory(prefix="photogram-test-", ignore_cleanup_errors=True) as folder,
        local_servers(Path(folder), Settings(environment="test")) as settings,
    ):
        yield settings


@pytest.fixture
def settings(shared_settings: Settings) -> Iterator[Settings]:
    """Settings with a database and Redis key prefix that no other test has, emptied afterwards; buckets are shared."""
    name = f"test_{uuid4().hex[:12]}"
    mine = shared_settings.model_copy(update={"mongo_database": name, "key_prefix": f"{name}:"})
    yield mine
    with MongoClient[dict[str, object]](mine.mongo_url, serverSelectionTimeoutMS=5000) as client:
        client.drop_database(name)
    with Redis.from_url(mine.redis_url, socket_timeout=5) as redis:
        keys = list(redis.scan_iter(match=f"{name}:*", count=1000))
        if keys:
            redis.delete(*keys)
