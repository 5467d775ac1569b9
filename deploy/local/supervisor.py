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
from deploy.local import data_folder
from deploy.local.environment import with_metrics_port
from deploy.local.errors import StartError
from deploy.local.ports import listen
from deploy.local.process import Process, stop_all
from deploy.local.servers import STOP_SECONDS, LocalServers, given_servers, running_servers
from deploy.local.service import Service
from deploy.local.services import WATCH_SECONDS, ApiProcesses, await_ready, reachable, worker_process
from deploy.local.stop_signals import StopRequestedError
from deploy.local.terminal import Terminal

if TYPE_CHECKING:
    from deploy.demo.seed import DemoLogin

READY_SECONDS = 60.0
DRAIN_MARGIN = 1.0
STOP_MARGIN = DRAIN_MARGIN + STOP_SECONDS + 5.0
"""Seconds after the services' drain by which nothing of a `run` is left, whatever hangs."""
DRAIN_WITHOUT_SERVER = 2.0
"""Seconds to drain without a database: open requests cannot be finished anyway."""


@dataclass
class Supervisor:
    """Owns the children of one `photogram run`. Used once, in the main thread.

    `seed` says whether to prepare the demo; None: in the embedded database only, never in production. With `cluster`
    MongoDB and Valkey are several servers each, and one that dies is started again.
    """

    settings: Settings
    data_dir: Path
    api_processes: int
    seed: bool | None
    cluster: bool = False
    terminal: Terminal = field(default_factory=Terminal)
    api: ApiProcesses | None = None
    worker: Service | None = None
    lost_server: bool = False

    def run(self) -> None:
        """Starts everything, prints where it is, and watches it until a signal. Raises StartError.

        Order of stopping: API and workers side by side (they drain), then the servers. Whatever does not stop in time
        is killed. When the only server of its kind dies everything stops; other children are started again.
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
        servers = stack.enter_context(
            running_servers(self.data_dir, lock, self.settings, announce, cluster=self.cluster)
        )
        settings = servers.settings.model_copy(update={"port": listener.getsockname()[1]})
        from datasources.sources import prepare  # noqa: PLC0415  imported meanwhile

        self.terminal.doing("Preparing indexes and buckets")
        asyncio.run(prepare(settings))
        self.terminal.doing("Starting the API and the workers")
        stack.push(self._stop_services)
        stack.callback(listener.close)  # first: no new connections while the API drains
        self._start_services(settings, listener.fileno())
        await_ready([*servers.running, *self._children()], settings.host, settings.port, READY_SECONDS)
        login = self._seed(settings)
        self.terminal.done()
        self.terminal.print_line(_where(settings, login, self.data_dir))
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

    def _start_services(self, settings: Settings, listener: int) -> None:
        logs = self.data_dir.absolute() / "logs"
        self.api = ApiProcesses.create(self.api_processes, settings, listener, logs)
        self.api.start()
        worker_settings = with_metrics_port(settings, self.api_processes)
        self.worker = Service.start(partial(worker_process, worker_settings, logs))

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
            lines += [line for member in servers.members if (line := member.restart_if_dead())]
            if self.worker and (line := self.worker.restart_if_dead()):
                lines.append(line)
            for line in lines:
                self.terminal.print_line(line)
            time.sleep(WATCH_SECONDS)

    def _stop_services(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Passes SIGTERM on, for a load balancer's sake; Ctrl-C spares the time that one would need."""
        self.terminal.abandon()
        self.terminal.print_line("Stopping ...")
        patience = DRAIN_WITHOUT_SERVER if self.lost_server else self.settings.drain_timeout + DRAIN_MARGIN
        is_term = isinstance(error, StopRequestedError) and error.number is signal.SIGTERM
        stop_all(self._children(), patience, signal.SIGTERM if is_term else signal.SIGINT)


def _where(settings: Settings, login: "DemoLogin | None", data_dir: Path) -> str:
    base = f"http://{reachable(settings.host)}:{settings.port}"
    lines = ["", "Photogram is running.", ""]
    if settings.serves_graphiql:
        lines.append(f"  GraphiQL          {base}/graphiql")
    lines.append(f"  GraphQL endpoint  {base}/graphql")
    if login:
        lines += [
            f"  Demo login        {login.username} / {login.password}",
            f"  Access token      {login.access_token}",
        ]
    lines += [f"  Logs              {data_dir / 'logs'}", "", "Press Ctrl-C to stop.", ""]
    return "\n".join(lines)
