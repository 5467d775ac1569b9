"""The embedded servers: what they keep, what they refuse, and that they never outlive their owner."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import psutil
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from pymongo import AsyncMongoClient, WriteConcern
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from config import Settings
from datasources.s3.storage import open_blobs
from deploy.local import data_folder
from deploy.local import servers as servers_module
from deploy.local.errors import StartError
from deploy.local.mongodb import NAME as MONGODB
from deploy.local.ports import keep_ports
from deploy.local.servers import LocalServers, local_servers, running_servers

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

OWNER = """
import sys, time
from pathlib import Path
from config import Settings
from deploy.local import data_folder
from deploy.local.servers import running_servers

with data_folder.hold(Path(sys.argv[1])) as lock, running_servers(Path(sys.argv[1]), lock, Settings()) as servers:
    print(*(process.pid for process in servers.processes), flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def plain() -> Iterator[Settings]:
    """Settings that name no server, whatever the environment of the test run says."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("MONGO_URL", "REDIS_URL", "S3_ENDPOINT_URL"):
            environment.delenv(f"PHOTOGRAM_{name}", raising=False)
        yield Settings(environment="test")


@pytest.fixture(scope="module")
def own_servers(tmp_path_factory: pytest.TempPathFactory, plain: Settings) -> Iterator[LocalServers]:
    data_dir = tmp_path_factory.mktemp("servers")
    with data_folder.hold(data_dir) as lock, running_servers(data_dir, lock, plain) as servers:
        yield servers


@asynccontextmanager
async def s3_client(settings: Settings, *, secret: str | None = None) -> "AsyncIterator[S3Client]":
    async with get_session().create_client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=secret or settings.s3_secret_key.get_secret_value(),
        config=AioConfig(signature_version="s3v4", s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=10),
    ) as client:
        yield client


async def write_everywhere(settings: Settings) -> None:
    async with AsyncMongoClient[dict[str, object]](settings.mongo_url) as mongo:
        kept = mongo["kept"].get_collection("things", write_concern=WriteConcern("majority"))
        await kept.insert_one({"_id": 1})
    async with Redis.from_url(settings.redis_url) as redis:
        await redis.xadd("kept", {"thing": "1"})
    async with s3_client(settings) as s3:
        await s3.create_bucket(Bucket="kept")
        await s3.put_object(Bucket="kept", Key="thing", Body=b"1" * 100_000)


async def assert_all_there(settings: Settings) -> None:
    async with AsyncMongoClient[dict[str, object]](settings.mongo_url) as mongo:
        assert await mongo["kept"]["things"].find_one() == {"_id": 1}
    async with Redis.from_url(settings.redis_url) as redis:
        assert await redis.xlen("kept") == 1
    async with s3_client(settings) as s3:
        answer = await s3.get_object(Bucket="kept", Key="thing")
        async with answer["Body"] as body:
            assert len(await body.read()) == 100_000


def await_gone(pids: list[int], seconds: float = 10) -> None:
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=seconds)
    assert not alive


async def test_a_second_start_takes_seconds_and_has_the_data(tmp_path: Path, plain: Settings) -> None:
    with local_servers(tmp_path, plain) as settings:
        await write_everywhere(settings)
    began = time.monotonic()
    with local_servers(tmp_path, plain) as settings:
        assert time.monotonic() - began < 10
        await assert_all_there(settings)


async def test_servers_die_with_a_killed_owner_and_keep_what_they_acknowledged(tmp_path: Path, plain: Settings) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, tmp_path], stdout=subprocess.PIPE, text=True)  # noqa: S603
    assert owner.stdout
    with owner.stdout as output:
        pids = [int(pid) for pid in output.readline().split()]
        assert len(pids) == 3
        await write_everywhere(_settings_in(tmp_path / "connection.env"))
        owner.send_signal(signal.SIGKILL)
        owner.wait(timeout=10)
    await_gone(pids)
    with local_servers(tmp_path, plain) as settings:
        await assert_all_there(settings)


async def test_a_replica_set_moves_to_a_new_port_with_its_data(tmp_path: Path, plain: Settings) -> None:
    with local_servers(tmp_path, plain) as before:
        await write_everywhere(before)
    (tmp_path / "ports.json").unlink()
    with local_servers(tmp_path, plain) as after:
        assert after.mongo_url != before.mongo_url
        await assert_all_there(after)


def test_everything_listens_on_loopback_only(own_servers: LocalServers) -> None:
    for process in own_servers.processes:
        listening = [each for each in psutil.Process(process.pid).net_connections() if each.status == "LISTEN"]
        assert {each.laddr.ip for each in listening} == {"127.0.0.1"}, process.name


def test_each_server_has_a_process_group_of_its_own(own_servers: LocalServers) -> None:
    assert all(os.getpgid(process.pid) == process.pid for process in own_servers.processes)


def test_a_server_that_the_settings_name_is_not_started(
    tmp_path: Path, plain: Settings, own_servers: LocalServers
) -> None:
    running = own_servers.settings
    given = Settings(environment="test", mongo_url=running.mongo_url, s3_endpoint_url=running.s3_endpoint_url)
    with data_folder.hold(tmp_path) as lock, running_servers(tmp_path, lock, given) as servers:
        assert [process.name for process in servers.processes] == ["Valkey"]
        assert servers.settings.mongo_url == running.mongo_url
        assert servers.settings.redis_url != running.redis_url


def test_a_server_that_cannot_start_is_named_with_its_reason_and_the_others_stop(
    tmp_path: Path, plain: Settings
) -> None:
    (tmp_path / "mongo").mkdir()
    (tmp_path / "mongo" / "WiredTiger").write_text("not a database")
    (tmp_path / "mongo" / "storage.bson").write_text("not BSON")
    complaint = rf"^{MONGODB} ended with code 14: Unable to read .*mongod\.log\)$"
    with pytest.raises(StartError, match=complaint) as refusal, local_servers(tmp_path, plain):
        pass
    assert "\n" not in str(refusal.value)
    assert not [child for child in psutil.Process().children(recursive=True) if str(tmp_path) in child.cmdline()]


async def test_a_presigned_put_is_held_to_its_signature(own_servers: LocalServers) -> None:
    async with s3_client(own_servers.settings) as s3:
        await s3.create_bucket(Bucket="signed")
        url = await s3.generate_presigned_url(
            "put_object",
            {"Bucket": "signed", "Key": "photo", "ContentLength": 5, "ContentType": "image/png", "IfNoneMatch": "*"},
            ExpiresIn=60,
        )
    headers = {"Content-Type": "image/png", "If-None-Match": "*"}
    async with httpx2.AsyncClient(timeout=10) as client:
        assert (await client.put(url, content=b"123456", headers=headers)).status_code == 403
        assert (await client.put(url + "0", content=b"12345", headers=headers)).status_code == 403
        assert (await client.put(url, content=b"12345", headers=headers)).status_code == 200
        assert (await client.put(url, content=b"54321", headers=headers)).status_code == 412


async def test_strangers_may_only_read_objects_of_the_public_area(own_servers: LocalServers) -> None:
    settings = own_servers.settings
    async with open_blobs(settings) as blobs, s3_client(settings) as s3:
        await blobs.ensure_buckets()
        for bucket in (settings.media_bucket, settings.incoming_bucket):
            for key in ("public/photo", "private/photo", "publicity"):
                await s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    async with httpx2.AsyncClient(timeout=10, base_url=str(settings.s3_endpoint_url)) as stranger:
        assert (await stranger.get(f"/{settings.media_bucket}/public/photo")).content == b"x"
        for path in (f"{settings.media_bucket}/private/photo", f"{settings.media_bucket}/publicity"):
            assert (await stranger.get(f"/{path}")).status_code == 403
        assert (await stranger.get(f"/{settings.incoming_bucket}/public/photo")).status_code == 403
        assert (await stranger.get(f"/{settings.media_bucket}?list-type=2")).status_code == 403
        assert (await stranger.put(f"/{settings.media_bucket}/public/b", content=b"y")).status_code == 403
        assert (await stranger.delete(f"/{settings.media_bucket}/public/photo")).status_code == 403
        assert (await stranger.get("/")).status_code == 403


def _settings_in(file: Path) -> Settings:
    lines = dict(line.split("=", 1) for line in file.read_text().splitlines())
    return Settings(
        environment="test",
        mongo_url=lines["PHOTOGRAM_MONGO_URL"],
        redis_url=lines["PHOTOGRAM_REDIS_URL"],
        s3_endpoint_url=lines["PHOTOGRAM_S3_ENDPOINT_URL"],
    )


def test_a_port_is_kept_although_connections_of_the_last_run_linger(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    with (
        keep_ports(file, ("a",)) as before,
        closing(socket.create_server(("127.0.0.1", before["a"]))) as server,
        socket.create_connection(server.getsockname()),
    ):
        server.accept()[0].close()
    with keep_ports(file, ("a",)) as after:
        assert after == before


def test_a_port_taken_between_its_choice_and_its_use_costs_another_try(
    tmp_path: Path, plain: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    valkey_alone = plain.model_copy(
        update={"mongo_url": "mongodb://127.0.0.1:1", "s3_endpoint_url": "http://127.0.0.1:1"}
    )
    with closing(socket.create_server(("127.0.0.1", 0))) as holder:
        chosen = [{"valkey": holder.getsockname()[1]}]

        @contextmanager
        def keep(file: Path, names: Sequence[str]) -> Iterator[dict[str, int]]:
            with keep_ports(file, names) as ports:
                yield ports | (chosen.pop() if chosen else {})

        monkeypatch.setattr(servers_module, "keep_ports", keep)
        with local_servers(tmp_path, valkey_alone) as settings, SyncRedis.from_url(settings.redis_url) as redis:
            assert redis.ping()
    assert not chosen
