"""Which run of which Redis server a client talks to, so that no value of an earlier run is trusted.

A restarted server, or a replica that takes over, may have lost the last writes. Either needs new connections, and a new
connection asks for the server's `run_id` before anything else.
"""

from hashlib import blake2b
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

log = structlog.get_logger(__name__)

MARK_BYTES = 8


class RedisRun:
    """Watches the connections that a client makes from now on; the client must not have any yet.

    All connections of the client lead to one run: when one of them meets another run, the others are made anew.
    """

    def __init__(self, redis: Redis) -> None:
        self.mark: bytes | None = None
        """`MARK_BYTES` that stand for the run; None before the first connection, and for a server without a known run.

        That is a replica, or a server that does not let this user read INFO.
        """
        self._is_known = True
        self._redis = redis
        pool = redis.connection_pool
        base = pool.connection_class

        async def on_connect_check_health(connection: Any, check_health: bool = True) -> None:
            await base.on_connect_check_health(connection, check_health)
            await self._ask(connection)

        overrides = {"on_connect_check_health": on_connect_check_health}
        pool.connection_class = type("AskingConnection", (base,), overrides)

    async def reconnect(self) -> None:
        """Has every connection made anew before its next command."""
        pool: Any = self._redis.connection_pool
        await pool.update_active_connections_for_reconnect()
        await pool.disconnect(inuse_connections=False)

    async def _ask(self, connection: Any) -> None:
        reason = "it is a replica"
        try:
            await connection.send_command("INFO", check_health=False)
            mark = _mark(await connection.read_response())
        except ResponseError as error:
            mark, reason = None, str(error)
        if mark is None and self._is_known:
            log.warning("redis.run_unknown", reason=reason)
        self._is_known = mark is not None
        before, self.mark = self.mark, mark
        if before is not None and before != mark:
            log.warning("redis.other_run")
            await self.reconnect()


def _mark(info: bytes) -> bytes | None:
    fields = dict(line.split(b":", 1) for line in info.splitlines() if b":" in line)
    if fields.get(b"role") != b"master" or not fields.get(b"run_id"):
        return None
    return blake2b(fields[b"run_id"], digest_size=MARK_BYTES).digest()
