"""What all tests share: real servers, started once when a test needs them, and a namespace in them for each test."""

import asyncio
import gc
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import botocore.session
import pytest
from pymongo import monitoring

from config import Settings
from datasources.jobs import queue, redis_queue, sns_queue
from datasources.redis import cache_server
from deploy.local.servers import local_servers
from tests.support.amazon import Amazon, running_amazon
from tests.support.own_databases import close_clients, new_database, own_database
from tests.support.redis_masters import masters
from tests.support.shard_audit import ShardAudit

SEED = "PHOTOGRAM_TEST_SEED"
IN_MEMORY, MUCH_MEMORY = "/dev/shm", 10 * 2**30  # noqa: S108  the folder, and bytes
AUDIT = ShardAudit()
botocore.session.create_loader = cache(botocore.session.create_loader)  # else each client parses megabytes of JSON
monitoring.register(AUDIT)  # for every client that this process opens from now on


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cluster", action="store_true", help="Run on a replica set of three and a cluster of Valkey.")
    parser.addoption("--full-size", action="store_true", help="Run the fault tests at their full size: minutes.")


def pytest_collection_finish() -> None:
    """What was collected stays to the end: half a million objects that no collection of garbage need look at again."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Lists the seed and the figures of every random test, passed or failed."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    random = [report for report in reports if report.when == "call" and SEED in dict(report.user_properties)]
    if random:
        terminalreporter.section("seeds and figures")
    for report in random:
        figures = " ".join(f"{name}={value}" for name, value in report.user_properties)
        terminalreporter.line(f"{report.nodeid} {figures}")


@pytest.fixture(autouse=True)
def queries_name_their_shard(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test in which the product asks all shards without being allowed to.

    The mark `asks_all_shards` is for tests of ids of an older version, which say nothing.
    """
    AUDIT.unexpected.clear()
    yield
    if request.node.get_closest_marker("asks_all_shards") is None:
        assert sorted(set(AUDIT.unexpected)) == []


@pytest.fixture
def full_size(pytestconfig: pytest.Config) -> bool:
    """Whether fault tests run at the size of their promises, or only for seconds with the same code."""
    return bool(pytestconfig.getoption("--full-size"))


@pytest.fixture
def seed(record_property: Callable[[str, object], None]) -> int:
    """The seed of a random test: PHOTOGRAM_TEST_SEED, or a new one. The summary of the run prints it."""
    seed = int(os.environ.get(SEED) or secrets.randbelow(2**32))
    record_property(SEED, seed)
    return seed


@pytest.fixture
def patient_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Caches that wait for Redis as long as a busy machine may need, for tests of what is cached and what is not."""
    monkeypatch.setattr(cache_server, "ANSWER_SECONDS", 10.0)


@pytest.fixture
def patient_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job queue that is waited for as long as a busy machine may need, for tests of what is sent and what is not."""
    for module in (queue, redis_queue):
        monkeypatch.setattr(module, "ENQUEUE_SECONDS", 10.0)
    for name in ("SEND_SECONDS", "LOOK_SECONDS"):
        monkeypatch.setattr(sns_queue, name, 10.0)


def settings_for_tests() -> Settings:
    """Settings for tests, as of a sharded MongoDB, so that queries say where documents lie.

    They compile operations at once, unless PHOTOGRAM_COMPILE_AT says otherwise.
    """
    compile_at = int(os.environ.get("PHOTOGRAM_COMPILE_AT", "1"))
    since = datetime(2026, 1, 1, tzinfo=UTC)
    return Settings(
        environment="test",
        signed_url_ttl=8,
        drain_notice=0,
        compile_at=compile_at,
        sharded_ids_since=since,
        rate_limit_factor=10_000,
        trusted_proxies=("127.0.0.1",),
    )


@pytest.fixture(scope="session")
def amazon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Amazon]:
    """SNS, SQS and S3 as Amazon has them; no test may kill it."""
    with running_amazon(tmp_path_factory.mktemp("amazon")) as running:
        yield running


@pytest.fixture(scope="session")
def with_job_queue(request: pytest.FixtureRequest) -> Callable[[Settings], Settings]:
    """Completes settings that put jobs on SNS and SQS, as PHOTOGRAM_JOB_QUEUE=sns-sqs does, by where these are."""

    def complete(settings: Settings) -> Settings:
        if settings.job_queue == "redis" or settings.aws_endpoint is not None:
            return settings
        amazon: Amazon = request.getfixturevalue("amazon")
        return amazon.settings(settings)

    return complete


@pytest.fixture(scope="session")
def shared_settings(with_job_queue: Callable[[Settings], Settings], pytestconfig: pytest.Config) -> Iterator[Settings]:
    """Settings of this run's MongoDB, Valkey and SeaweedFS. A PHOTOGRAM_..._URL names a server to use instead.

    With PHOTOGRAM_JOB_QUEUE=sns-sqs jobs go over SNS and SQS.
    """
    cluster = bool(pytestconfig.getoption("--cluster"))
    with (
        tempfile.TemporaryDirectory(
            prefix="photogram-test-", ignore_cleanup_errors=True, dir=folder_in_memory()
        ) as folder,
        local_servers(Path(folder), settings_for_tests(), cluster=cluster) as settings,
    ):
        yield with_job_queue(settings)
        close_clients()


def folder_in_memory() -> str | None:
    """Where files are in memory, if there is much: a busy disk would make every write of the tests wait.

    Tests kill servers, whose files outlive that in memory too.
    """
    is_there = Path(IN_MEMORY).is_dir() and os.access(IN_MEMORY, os.W_OK)
    return IN_MEMORY if is_there and shutil.disk_usage(IN_MEMORY).free > MUCH_MEMORY else None


@pytest.fixture
def settings(request: pytest.FixtureRequest, shared_settings: Settings) -> Iterator[Settings]:
    """Settings with a database and a Redis key prefix of the test's own, emptied afterwards. Buckets are shared.

    With the mark `new_database` the database was never prepared.
    """
    is_new = request.node.get_closest_marker("new_database") is not None
    with (new_database if is_new else own_database)(shared_settings) as own:
        yield own
    for redis in masters(own):
        with redis:
            for key in redis.scan_iter(match=f"{own.key_prefix}*", count=1000):
                redis.delete(key)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """An event loop for state machines, because Hypothesis calls plain functions."""
    with asyncio.Runner() as runner:
        yield runner
