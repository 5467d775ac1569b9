"""`photogram run --cluster`: whatever of it is killed, its clients go on; and what turns private leaves its nginx."""

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil
import pytest

from config import read_settings
from domain.ids import expect_id
from tests.support.auditing import audit
from tests.support.callers import Callers, listening
from tests.support.client import Person
from tests.support.factories import opened
from tests.support.haproxy import HAPROXY
from tests.support.nginx import NGINX
from tests.support.supervised import RUN, Running, running
from tests.support.waiting import eventually

RATE = 40.0  # requests a second
IMAGES = "query ($id: ID!) { post(id: $id) { images { renditions { url } } } }"

pytestmark = [
    pytest.mark.skipif(HAPROXY is None or NGINX is None, reason="haproxy or nginx is not installed"),
    pytest.mark.asks_all_shards,  # it is a run without the setting that lets ids say their shard
]


@dataclass
class Cluster:
    """A running cluster, the address of its balancer, and that of its nginx."""

    run: Running
    url: str
    edge: str
    folder: Path

    async def kill(self, *words: str) -> None:
        """Kills the one process whose command has these words, and waits until it was started again."""
        victim = self.run.child(*words)
        command = victim.cmdline()
        victim.kill()

        async def is_back() -> bool:
            with contextlib.suppress(psutil.Error):
                return any(child.cmdline() == command and child.pid != victim.pid for child in self.run.family())
            return False

        await eventually(is_back, seconds=30)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """At the end Ctrl-C stops all of it."""
    if not pytestconfig.getoption("--cluster"):
        pytest.skip("make test-cluster runs it")
    folder = tmp_path_factory.mktemp("cluster")
    with running(folder, command=[*RUN, "--cluster"]) as run:
        url = run.await_line(r"GraphQL endpoint +(http://127\.0\.0\.1:\d+)/graphql")[1]
        run.await_line(r"Load balancer +HAProxy, before 2 API processes")
        edge = run.await_line(r"CDN +nginx, (http://127\.0\.0\.1:\d+)")[1]
        yield Cluster(run, url, edge, folder)
        run.stop(signal.SIGINT)


@pytest.fixture
async def http(cluster: Cluster) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=cluster.url, timeout=20, limits=httpx2.Limits(max_connections=60)) as http:
        yield http


@pytest.mark.parametrize("number", [0, 1])
async def test_clients_do_not_notice_that_an_api_process_is_killed(
    cluster: Cluster, http: httpx2.AsyncClient, number: int
) -> None:
    ana, *others = [await Person.register(http) for _ in range(5)]
    post_id = await ana.ready_post()
    callers, stopping = Callers(others, post_id, RATE), asyncio.Event()
    async with opened(read_settings(cluster.folder / "connection.env")) as world, listening([ana], 10) as listeners:

        async def have_all() -> bool:
            rows = world.sources.database["notifications"].find({"recipient_id": expect_id(ana.id, "User")}, {"seq": 1})
            stored = {row["seq"] async for row in rows}
            assert all(listener.seqs == sorted(set(listener.seqs)) for listener in listeners)
            return all(stored <= set(listener.seqs) for listener in listeners)

        calling = asyncio.create_task(callers.run(stopping))
        try:
            await cluster.kill("deploy.cli", "serve", f"--number {number}")
            for person in others:
                await person.done("addComment", postId=post_id, text="Still here.")
        finally:
            stopping.set()
            await asyncio.gather(calling, return_exceptions=True)
        calling.result()
        await audit(world)
        await eventually(have_all, seconds=30)
    assert callers.failures == []
    assert sum(listener.connected for listener in listeners) > len(listeners), "some were at the killed process"


@pytest.mark.parametrize("server", ["mongo1", "valkey2", "haproxy.cfg", "nginx.conf"])
async def test_a_killed_server_comes_back_and_everything_works(
    cluster: Cluster, http: httpx2.AsyncClient, server: str
) -> None:
    ports = json.loads((cluster.folder / "ports.json").read_text())
    await cluster.kill(f"127.0.0.1:{ports[server]}" if server.startswith("valkey") else server)

    async def works() -> bool:
        with contextlib.suppress(AssertionError, httpx2.TransportError):  # BUSY until there is another primary
            url = await public_image(await Person.register(http), cluster)
            return (await http.get(url)).status_code == 200
        return False

    await eventually(works, seconds=90)
    async with opened(read_settings(cluster.folder / "connection.env")) as world:
        await audit(world)


async def test_what_turns_private_leaves_nginx_and_its_new_addresses_are_signed(
    cluster: Cluster, http: httpx2.AsyncClient
) -> None:
    ana = await Person.register(http)
    url = await public_image(ana, cluster)
    assert [(await http.get(url)).headers["X-Cache"] for _ in range(2)] == ["MISS", "HIT"]
    await ana.done("updateProfile", isPrivate=True)

    async def is_gone() -> bool:
        return (await http.get(url)).status_code == 404

    await eventually(is_gone, seconds=30)
    signed = await public_image(ana, cluster, area="private")
    assert (await http.get(signed)).status_code == 200
    assert (await http.get(signed.partition("?")[0])).status_code == 403


async def public_image(person: Person, cluster: Cluster, *, area: str = "public") -> str:
    """The address of a file of a new post, which must be nginx's."""
    post = (await person.get(IMAGES, id=await person.ready_post()))["post"]
    url = str(post["images"][0]["renditions"][0]["url"])
    assert url.startswith(f"{cluster.edge}/photogram-media/{area}/")
    return url
