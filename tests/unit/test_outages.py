"""Descriptions of outages: the server and its address, and no secret."""

import pytest
from aiohttp import ServerDisconnectedError
from pymongo.errors import NetworkTimeout, OperationFailure, ServerSelectionTimeoutError
from redis.exceptions import ConnectionError as RedisConnectionError

from config import Settings
from datasources.concurrency.batcher import BatchTimeout
from datasources.outages import describe_outage, is_outage, server_of

SETTINGS = Settings(
    environment="test",
    mongo_url="mongodb://ana:se%40cret@db1:27017,db2:27018/?replicaSet=photogram&authSource=admin",
    redis_url="rediss://:secret@cache:6380/0",
    s3_endpoint_url="https://user:secret@storage:8333",
)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            ServerSelectionTimeoutError("db1:27017: [Errno 111] Connection ref"),
            "MongoDB does not answer (db1:27017,db2:27018)",
        ),
        (NetworkTimeout("ana:secret timed out"), "MongoDB does not answer (db1:27017,db2:27018)"),
        (BatchTimeout("no result"), "MongoDB does not answer (db1:27017,db2:27018)"),
        (RedisConnectionError("Error 111 connecting"), "Redis does not answer (cache:6380)"),
        (ServerDisconnectedError(), "S3 does not answer (storage:8333)"),
        (TimeoutError(), "S3 does not answer (storage:8333)"),
    ],
)
def test_outage_names_its_server_and_no_secret(error: Exception, line: str) -> None:
    assert is_outage(error)
    assert describe_outage(error, SETTINGS) == line


def test_amazon_and_a_socket_file_are_named_too() -> None:
    settings = Settings(environment="test", redis_url="unix:///run/valkey.sock", s3_region="eu-north-1")
    assert describe_outage(TimeoutError(), settings) == "S3 does not answer (s3.eu-north-1.amazonaws.com)"
    assert describe_outage(RedisConnectionError(), settings) == "Redis does not answer (/run/valkey.sock)"


@pytest.mark.parametrize("error", [ValueError(), OperationFailure("no such command", 59)])
def test_a_fault_of_ours_is_no_outage(error: Exception) -> None:
    assert server_of(error) is None
