"""The limit of file descriptors: usually 1,024, and each connection takes one."""

import resource

import structlog

from resolvers.transport.connection_limits import SPARE

log = structlog.stdlib.get_logger(__name__)

OTHERS = 300  # connections to MongoDB, Redis and S3, files, logs


def make_room(connections: int) -> int:
    """Raises this process's limit for so many connections, as far as allowed; returns how many there is room for."""
    wanted = connections + SPARE + OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < wanted:
            log.warning("few descriptors", limit=soft, wanted=wanted)
            return max(1, soft - SPARE - OTHERS)
    return connections
