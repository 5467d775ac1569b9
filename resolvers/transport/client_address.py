"""The network that a request comes from: one client must not look like many by changing its address."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, ip_address, ip_network
from typing import Any

import structlog

log = structlog.stdlib.get_logger(__name__)

FORWARDED = "x-forwarded-for"
IPV6_PREFIX = 64  # one household or one rented machine has so much


def address_of(scope: Mapping[str, Any]) -> str:
    """The client's IPv4 address, or the /64 of its IPv6 address; "" where the server does not say.

    Behind a proxy it is the address that the proxy tells, if the setting `trusted_proxies` has it; uvicorn does that.
    """
    client = scope.get("client")
    return network_of(client[0]) if client else ""


@lru_cache(maxsize=1024)
def network_of(host: str) -> str:
    """The network of an address; other texts are returned as they are."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:  # IPv4, on a socket for both
            return str(address.ipv4_mapped)
        return str(ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)


class UntrustedProxies:
    """Warns, once in a process, of a proxy that the setting `trusted_proxies` lacks: its clients are one address."""

    def __init__(self, *, is_on: bool = True) -> None:
        self._is_on = is_on

    def look_at(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Looks at a request. uvicorn has put an address of the header into the scope if it trusts the proxy."""
        forwarded = headers.get(FORWARDED) if self._is_on else None
        host = scope["client"][0] if forwarded and scope.get("client") else None
        if forwarded is None or host is None or host in forwarded:
            return
        self._is_on = False
        # A stranger's address is not for logs; it may be a client that only claims to be a proxy.
        shown = host if _is_private(host) else "a public address"
        log.warning("proxy.not_trusted", peer=shown, setting="PHOTOGRAM_TRUSTED_PROXIES")


def _is_private(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:
        return False


def shown_range(network: str) -> str | None:
    """The range around a network, as `Session.network` shows it and no finer: /24 of IPv4, /48 of IPv6; None for ""."""
    host = network.partition("/")[0]
    try:
        prefix = 48 if isinstance(ip_address(host), IPv6Address) else 24
    except ValueError:
        return None
    return str(ip_network((host, prefix), strict=False))


def with_mapped_ipv4(hosts: Iterable[str]) -> list[str]:
    """Addresses and networks; each IPv4 one also in the form that sockets for IPv4 and IPv6 show."""
    listed = list(hosts)
    for host in tuple(listed):
        try:
            network = ip_network(host)
        except ValueError:
            continue  # a name, or everybody
        if isinstance(network, IPv4Network):
            listed.append(f"::ffff:{network.network_address}/{96 + network.prefixlen}")
    return listed
