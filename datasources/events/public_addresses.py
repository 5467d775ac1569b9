"""Where webhooks may go: public addresses only, each looked up once and then used as it was checked."""

import errno
import ipaddress
import socket
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

# Global by themselves, but they lead to an IPv4 address that somebody else chooses.
_TRANSLATED = [ipaddress.IPv6Network(each) for each in ("64:ff9b::/96", "2002::/16", "2001::/32")]


class PrivateAddressError(OSError):
    """A name or an address leads into a private network."""


def is_public(address: str) -> bool:
    """Whether an IP address is one that anybody on the internet may be reached by."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif any(ip in network for network in _TRANSLATED):
            return False
    return ip.is_global and not ip.is_multicast


def check_host(host: str) -> None:
    """Raises PrivateAddressError for an IP address that is not public; says nothing of names."""
    try:
        is_refused = not is_public(host)
    except ValueError:
        return
    if is_refused:
        raise PrivateAddressError(errno.EACCES, f"{host} is not a public address")


class PublicResolver(AbstractResolver):
    """Looks names up for connections. A name with any address that is not public is refused.

    A connection goes to the addresses that it returns, so a name that leads elsewhere a moment later gains nothing.
    """

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises PrivateAddressError, or OSError for an unknown name."""
        found: list[Any] = await self._resolver.resolve(host, port, family)
        for each in found:
            check_host(each["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()
