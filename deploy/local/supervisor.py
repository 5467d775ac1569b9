"""`photogram run`: the whole product on one machine, until it is told to stop."""

import asyncio
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from config import Settings
from deploy.demo import prepare_demo
from deploy.local import binaries, data_folder, haproxy
from deploy.local.environment import with_metrics_port
from deploy.local.errors import StartError
from deploy.local.ports import listen, reserve_ports
from deploy.local.process import Process, stop_all
from deploy.local.servers import STOP_SECONDS, LocalServers, given_servers, nginx_program, running_servers
from deploy.local.service import Service
from deploy.local.services import WATCH_SECONDS, ApiProcesses, await_answer, reachable, worker_process
from deploy.local.stop_signals import StopRequestedError
from deploy.local.terminal import Terminal

if TYPE_CHECKING:
    from deploy.demo.seed import DemoLogin

READY_SECONDS = 60.0
DRAIN_MARGIN, STOP_BALANCER = 1.0, 1.0
STOP_MARGIN = DRAIN_MARGIN + STOP_BALANCER + STOP_SECONDS + 5.0
"""Seconds after the services' drain by which nothing of a `run` is left, whatever hangs."""
ANY_QUERY = "/graphql?query=%7B__typename%7D"
DRAIN_WITHOUT_SERVER = 2.0
"""Seconds to drain without a database: open requests cannot be finished anyway."""


@dataclass
class Supervisor:
    """Owns the children of one `photogram run`. Used once, in the main thread.

    `seed` says whether to prepare the demo; None: in the embedded database only, never in production. With `cluster`
    MongoDB and Valkey are several servers each, HAProxy stands before the API and nginx before storage, where these are
    installed, and what dies is started again.
    """

    settings: Settings
    data_dir: Path
    api_processes: int
    seed: bool | None
    cluster: bool = False
    terminal: Terminal = field(default_factory=Terminal)
    api: ApiProcesses | None = None
    balancer: Service | None = None
    worker: Service | None = None
    lost_server: bool = False

    def run(self) -> None:
        """Starts everything, prints where it is, and watches it until a signal. Raises StartError.

        Order of stopping: API and workers side by side (they drain), then the balancer, which takes no new connections
        meanwhile, then the servers. Whatever does not stop in time is killed. When the only server of its kind dies
        everything stops; other children are started again.
        """
        try:
            with ExitStack() as stack:
                self._start_and_watch(stack)
        except StopRequestedError:
            self.terminal.print_line("Stopped. The data is kept.")
        except BaseException:
            self.terminal.abandon()
            raise

    def _start_and_watch(self, stack: ExitStack) -> None:
        listener = stack.enter_context(closing(self._listen()))
        lock = stack.enter_context(data_folder.hold(self.data_dir))
        # Needed next, and its import takes as long as the servers' start.
        threading.Thread(target=import_module, args=["datasources.sources"], name="import", daemon=True).start()
        announce: Callable[[str], None] = lambda name: self.terminal.doing(f"Starting {name}")  # noqa: E731
        mailing = self.settings.model_copy(update=_local_mail(self.settings, self.data_dir))
        servers = stack.enter_context(running_servers(self.data_dir, lock, mailing, announce, cluster=self.cluster))
        settings = servers.settings.model_copy(update={"port": listener.getsockname()[1]})
        from datasources.sources import prepare  # noqa: PLC0415  imported meanwhile

        self.terminal.doing("Preparing indexes and buckets")
        asyncio.run(prepare(settings))
        self.terminal.doing("Starting the API and the workers")
        stack.push(self._stop_services)
        stack.callback(listener.close)  # first: no new connections while the API drains
        self._start_services(settings, listener.fileno(), stack, servers)
        login = self._seed(settings)
        self.terminal.done()
        self.terminal.print_line(_where(settings, login, self.data_dir, self._cluster_parts(settings)))
        self._watch(servers)

    def _listen(self) -> socket.socket:
        """The API's socket. It comes before the data folder, which a taken port leaves untouched."""
        try:
            return listen(self.settings.host, self.settings.port)
        except StartError:
            if data_folder.is_held(self.data_dir):  # it runs already: say so, and not that the port is taken
                with data_folder.hold(self.data_dir):
                    pass
            raise

    def _start_services(self, settings: Settings, listener: int, stack: ExitStack, servers: LocalServers) -> None:
        """Starts them, and waits until they answer."""
        logs = self.data_dir.absolute() / "logs"
        balancer = binaries.haproxy() if self.cluster else None
        if balancer is None:
            self.api = ApiProcesses.create(self.api_processes, settings, listener, logs)
        else:
            ports = stack.enter_context(reserve_ports(self.api_processes))
            self.api = ApiProcesses.behind_balancer(settings, ports, logs)
        self.api.start()
        worker_settings = with_metrics_port(settings, self.api_processes)
        self.worker = Service.start(partial(worker_process, worker_settings, logs))
        self.api.await_ready([*servers.running, self.worker.process], READY_SECONDS)
        if balancer is not None:
            folder = self.data_dir.absolute() / "haproxy"
            start = partial(haproxy.start, balancer, folder, logs / "haproxy.log", listener, ports)
            self.balancer = Service.start(start)
            await_answer(
                [*self._children(), self.balancer.process], settings.host, settings.port, ANY_QUERY, READY_SECONDS
            )

    def _cluster_parts(self, settings: Settings) -> list[str]:
        """What a cluster has before its API and its storage, or why not."""
        if not self.cluster:
            return []
        balancer = f"HAProxy, before {self.api_processes} API processes"
        if self.balancer is None:
            balancer = "none: HAProxy is not installed, so the API processes share the port"
        edge = f"nginx, {settings.s3_public_endpoint_url}"
        if nginx_program(self.settings) is None:
            edge = "none: the settings name storage or a CDN of your own"
            if binaries.nginx() is None:
                edge = "none: nginx is not installed, so images come from SeaweedFS itself"
        return [f"  Load balancer     {balancer}", f"  CDN               {edge}"]

    def _children(self) -> list[Process]:
        api = self.api.running if self.api else []
        return [*api, self.worker.process] if self.worker else api

    def _seed(self, settings: Settings) -> "DemoLogin | None":
        is_wanted = self.seed
        if is_wanted is None:
            is_wanted = settings.environment != "production" and "mongo_url" not in given_servers(self.settings)
        if not is_wanted:
            return None
        self.terminal.doing("Preparing the demo")
        return prepare_demo(settings, self.terminal.detail)

    def _watch(self, servers: LocalServers) -> None:
        while True:
            for server in servers.processes:
                if server.exit_code is not None:
                    self.lost_server = True
                    raise StartError(server.why_it_ended())
            lines = self.api.restart_dead() if self.api else []
            services = [*servers.members, *filter(None, (self.balancer, self.worker))]
            lines += [line for service in services if (line := service.restart_if_dead())]
            for line in lines:
                self.terminal.print_line(line)
            time.sleep(WATCH_SECONDS)

    def _stop_services(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Passes SIGTERM on, for a load balancer's sake; Ctrl-C spares the time that one would need.

        The own balancer needs no notice: it takes no connection from now on.
        """
        self.terminal.abandon()
        self.terminal.print_line("Stopping ...")
        patience = DRAIN_WITHOUT_SERVER if self.lost_server else self.settings.drain_timeout + DRAIN_MARGIN
        is_term = isinstance(error, StopRequestedError) and error.number is signal.SIGTERM
        if self.balancer is not None:
            self.balancer.process.terminate(haproxy.STOP_SIGNAL)
        stop_all(self._children(), patience, signal.SIGTERM if is_term and self.balancer is None else signal.SIGINT)
        if self.balancer is not None:
            stop_all([self.balancer.process], STOP_BALANCER)


def _local_mail(settings: Settings, data_dir: Path) -> dict[str, object]:
    """Settings that put mails into a folder of the data, unless the settings say where mails go."""
    if settings.environment == "production" or "mail" in settings.model_fields_set:
        return {}
    return {"mail": "folder", "mail_folder": data_dir.absolute() / "mails"}


def _where(settings: Settings, login: "DemoLogin | None", data_dir: Path, parts: list[str]) -> str:
    base = f"http://{reachable(settings.host)}:{settings.port}"
    lines = ["", "Photogram is running.", ""]
    if settings.serves_graphiql:
        lines.append(f"  GraphiQL          {base}/graphiql")
    lines.append(f"  GraphQL endpoint  {base}/graphql")
    if settings.shown_mails is not None:
        lines.append(f"  Mails             {base}/mails")
    if login:
        lines += [
            f"  Demo login        {login.username} / {login.password}",
            f"  Access token      {login.access_token}",
        ]
    lines += parts
    lines += [f"  Logs              {data_dir / 'logs'}", "", "Press Ctrl-C to stop.", ""]
    return "\n".join(lines)
