"""`deploy/monitoring/` before real processes: Prometheus scrapes them, and every metric that is named exists."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from config import Settings
from deploy.local.ports import LOOPBACK
from tests.support.factories import World, opened
from tests.support.own_databases import own_database
from tests.support.stack import ROOT, Stack, stack_on
from tests.support.waiting import eventually

FOLDER = ROOT / "deploy/monitoring"
PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")
NAMED = re.compile(r"\b(?:photogram|process)_\w+")
needs_prometheus = pytest.mark.skipif(
    PROMTOOL is None or PROMETHEUS is None, reason="Prometheus is not installed (Debian: prometheus)"
)
START_SECONDS = 60.0


def free_ports(count: int) -> int:
    """The first of several free ports in a row."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind((LOOPBACK, 0))
            port = int(first.getsockname()[1])
            try:
                for more in range(1, count):
                    stack.enter_context(socket.socket()).bind((LOOPBACK, port + more))
            except OSError:
                continue
            return port


class Watched:
    """Two API processes and the workers, each with its metrics, and a database that they use."""

    def __init__(self, stack: Stack, world: World, port: int) -> None:
        self.stack = stack
        self.world = world
        self.targets = [f"{LOOPBACK}:{port + number}" for number in range(3)]

    async def scrape(self, number: int) -> str:
        """What process `number` shows; the third has the workers."""
        async with httpx2.AsyncClient() as client:
            answer = await client.get(f"http://{self.targets[number]}/metrics")
            assert answer.status_code == 200
            return answer.text

    async def value(self, number: int, sample: str) -> float:
        """The value of one sample of a process; 0 if it is not there."""
        lines = (await self.scrape(number)).splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{sample} ")), 0.0)


@pytest.fixture(scope="module")
async def watched(shared_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    port = free_ports(3)
    with own_database(shared_settings, observe_interval=0.2, metrics_operations=("Known",)) as settings:
        api = settings.model_copy(update={"metrics_port": port, "drain_notice": 0.0})
        async with opened(settings) as world:
            with stack_on(api, tmp_path_factory.mktemp("watched")) as stack:
                await stack.api("--processes", "2")
                stack.settings = stack.settings.model_copy(update={"metrics_port": port + 2})
                await stack.workers()
                watched = Watched(stack, world, port)

                async def all_answer() -> bool:
                    with contextlib.suppress(httpx2.TransportError):
                        return all([await watched.scrape(number) for number in range(3)])
                    return False

                await eventually(all_answer, seconds=START_SECONDS)
                yield watched


async def ask(watched: Watched, query: str) -> None:
    async with httpx2.AsyncClient() as client:  # a connection each, so that both processes get some
        await client.post(f"{watched.stack.url}/graphql", json={"query": query})


async def test_each_process_counts_the_operations_that_it_served(watched: Watched) -> None:
    async def counted(name: str, code: str) -> list[float]:
        sample = f'photogram_operations_total{{code="{code}",operation="{name}",transport="http"}}'
        return [await watched.value(number, sample) for number in (0, 1)]

    before = [await counted(name, "OK") for name in ("Known", "unnamed")]
    for _ in range(6):
        await ask(watched, "query Known { __typename }")
    await ask(watched, "{ __typename }")
    await ask(watched, "{ nothing }")
    after = [await counted(name, "OK") for name in ("Known", "unnamed")]
    assert [sum(now) - sum(then) for now, then in zip(after, before, strict=True)] == [6, 1]
    assert sum(await counted("unread", "GRAPHQL_VALIDATION_FAILED")) == 1


async def test_the_workers_tell_what_became_of_jobs_and_what_waits(watched: Watched) -> None:
    ana, bob = await watched.world.users(2)
    await watched.world.follow(bob, ana)

    async def is_counted() -> bool:
        done = 'photogram_jobs_total{fact="follow",outcome="done",task="count"}'
        lag = 'photogram_job_lag_seconds_count{fact="follow",task="count"}'
        return await watched.value(2, done) >= 1 and await watched.value(2, lag) >= 1

    await eventually(is_counted)

    async def is_observed() -> bool:
        parts = ("outbox", "queues", "dead_letters", "uploads", "webhooks")
        return all([await watched.value(2, f'photogram_observed{{part="{part}"}}') == 1 for part in parts])

    await eventually(is_observed)


async def test_nothing_but_metrics_is_served_there(watched: Watched) -> None:
    async with httpx2.AsyncClient(base_url=f"http://{watched.targets[0]}") as client:
        assert (await client.get("/")).status_code == 404
        assert (await client.get("/graphql")).status_code == 404
        assert (await client.post("/metrics")).status_code == 405
        openmetrics = await client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
        assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
        assert openmetrics.text.endswith("# EOF\n")
    async with httpx2.AsyncClient(base_url=watched.stack.url) as client:
        assert (await client.get("/metrics")).status_code == 404


def expressions() -> list[str]:
    """Every expression of the dashboard."""
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    texts = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [text.replace("$__rate_interval", "1m").replace("$instance", ".*") for text in texts]


async def test_every_metric_that_dashboard_and_alerts_name_exists_and_the_dashboard_has_all(watched: Watched) -> None:
    await eventually(lambda: watched.value(2, "photogram_drift_checked_at_seconds"), seconds=30)
    shown = "".join([await watched.scrape(number) for number in range(3)])
    exist = {line.split(" ")[2] for line in shown.splitlines() if line.startswith("# TYPE ")}
    with_parts = exist | {f"{name}{part}" for name in exist for part in ("_bucket", "_sum", "_count")}
    alerts, dashboard = (FOLDER / "alerts.yml").read_text(), " ".join(expressions())
    for text in (alerts, dashboard):
        assert len(named := set(NAMED.findall(text))) > 10
        assert named - with_parts == set()
    assert {name for name in exist if name.startswith("photogram_") and name not in dashboard} == set()


@needs_prometheus
def test_prometheus_accepts_the_configuration_and_the_rules_pass_their_tests() -> None:
    for arguments in (("check", "config", "prometheus.yml"), ("test", "rules", "alerts.test.yml")):
        done = subprocess.run([str(PROMTOOL), *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)  # noqa: S603
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tested_firing_and_silent() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", (FOLDER / "alerts.yml").read_text()))
    checks = re.findall(r"alertname: (\w+)(\s+exp_alerts:)?", (FOLDER / "alerts.test.yml").read_text())
    assert {name for name, fires in checks if fires} == alerts
    assert {name for name, fires in checks if not fires} == alerts


def test_each_alert_has_a_row_that_says_what_to_do() -> None:
    rows = re.findall(r"^\| ((?:Photogram\w+(?:, )?)+) \|", (ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    alerts = re.findall(r"- alert: (\w+)", (FOLDER / "alerts.yml").read_text())
    assert sorted(name for row in rows for name in row.split(", ")) == sorted(alerts)


@pytest.fixture
def prometheus(watched: Watched, tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus with the shipped configuration, but for its targets and intervals."""
    text = (FOLDER / "prometheus.yml").read_text()
    for shipped, target in zip(("9464", "9465", "9466"), watched.targets, strict=True):
        assert f"127.0.0.1:{shipped}" in text
        text = text.replace(f"127.0.0.1:{shipped}", target)
    (tmp_path / "prometheus.yml").write_text(text.replace("_interval: 15s", "_interval: 1s"))
    shutil.copy(FOLDER / "alerts.yml", tmp_path)
    port = free_ports(1)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            [
                str(PROMETHEUS), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
                f"--web.listen-address={LOOPBACK}:{port}",
            ], stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield f"http://{LOOPBACK}:{port}/api/v1"
    finally:
        process.terminate()
        process.wait(20)


@needs_prometheus
async def test_a_real_prometheus_scrapes_all_processes_and_understands_every_expression(
    watched: Watched, prometheus: str
) -> None:
    async with httpx2.AsyncClient(base_url=prometheus, timeout=20) as client:

        async def query(expression: str) -> list[Any]:
            answer = (await client.get("/query", params={"query": expression})).json()
            assert answer["status"] == "success", (expression, answer)
            return list(answer["data"]["result"])

        async def all_are_up() -> bool:
            with contextlib.suppress(httpx2.TransportError, ValueError):  # it answers 503 while it starts
                return len(await query('up{job="photogram"} == 1')) == 3 and bool(await query("photogram_observed"))
            return False

        await eventually(all_are_up, seconds=START_SECONDS)
        for expression in expressions():
            await query(expression)
        assert {row["metric"]["role"] for row in await query("process_resident_memory_bytes > 0")} == {"api", "worker"}
        rules = (await client.get("/rules")).json()["data"]["groups"][0]["rules"]
        assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
        assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
