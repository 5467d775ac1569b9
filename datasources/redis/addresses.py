"""Addresses of Redis: one server, the masters of a cluster, or the master that Sentinel names.

`redis://host`, `rediss://host` (TLS) and `unix:///path` name one server. `redis+cluster://host,host` names some nodes
of a cluster, and `redis+sentinel://host,host/service` some sentinels and the service that they watch; with `rediss+`
both use TLS. User, password and options stand as in the address of one server.
"""

from enum import Enum
from typing import NamedTuple, Self
from urllib.parse import urlsplit, urlunsplit

Host = tuple[str, int]
CLUSTER_PORT, SENTINEL_PORT = 6379, 26379


class Kind(Enum):
    """How the server of a key is found."""

    ONE = "one server"
    CLUSTER = "cluster"
    SENTINEL = "sentinel"


class RedisAddressError(ValueError):
    """An address of Redis that makes no sense. The message does not have the address, which may hold a password."""


class RedisAddress(NamedTuple):
    """A parsed address. `one` is the address of one server without its host: what all servers have in common."""

    kind: Kind
    one: str
    hosts: tuple[Host, ...] = ()
    service: str = ""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises RedisAddressError."""
        parts = urlsplit(url)
        scheme, _, suffix = parts.scheme.partition("+")
        if parts.scheme in ("redis", "rediss", "unix"):
            return cls(Kind.ONE, url)
        if scheme not in ("redis", "rediss") or suffix not in ("cluster", "sentinel"):
            raise RedisAddressError("the address of Redis begins with redis, rediss or unix, or +cluster or +sentinel")
        credentials, at, hosts = parts.netloc.rpartition("@")
        path = parts.path.strip("/").split("/")
        if suffix == "cluster":
            if path[0] not in ("", "0"):
                raise RedisAddressError("a Redis Cluster has the database 0 only")
            one = urlunsplit((scheme, f"{credentials}{at}cluster", "", parts.query, ""))
            return cls(Kind.CLUSTER, one, _hosts(hosts, CLUSTER_PORT))
        if not path[0]:
            raise RedisAddressError("the address of sentinels ends with /service, the name of what they watch")
        one = urlunsplit((scheme, f"{credentials}{at}sentinel", "/".join(["", *path[1:]]), parts.query, ""))
        return cls(Kind.SENTINEL, one, _hosts(hosts, SENTINEL_PORT), path[0])


def _hosts(text: str, default_port: int) -> tuple[Host, ...]:
    hosts = []
    for item in text.split(","):
        parts = urlsplit(f"//{item}")
        try:
            name, port = parts.hostname, parts.port
        except ValueError:
            raise RedisAddressError("the address of Redis has a port that is no number") from None
        if name is None:
            raise RedisAddressError("the address of Redis lacks a host")
        hosts.append((name, port or default_port))
    return tuple(hosts)
