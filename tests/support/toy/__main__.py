"""`python -m tests.support.toy PORT NOTICE DRAIN` serves the toy until SIGTERM."""

import sys
from contextlib import closing

from config import Settings
from datasources.telemetry.logs import configure_logging
from deploy.local.ports import listen
from resolvers.transport.server import build_server
from tests.support.toy.app import toy_app
from tests.support.toy.world import World

configure_logging("json", "INFO")
port, notice, drain = map(float, sys.argv[1:])
settings = Settings(port=int(port), drain_timeout=drain, drain_notice=notice, environment="test")
with closing(listen(settings.host, settings.port)) as listener:
    build_server(toy_app(World()), settings).run([listener])
