"""Where webhooks may go: public addresses only, each looked up once and then used as it was checked."""

import asyncio
import errno
import ipaddress
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

_UNICAST = ipaddress.IPv6Network("2000::/3")  # all of IPv6 that is assigned to anybody on the internet
_REFUSED = [
    # Global by themselves, but they lead to an IPv4 address that somebody else chooses.
    *map(ipaddress.ip_network, ("2002::/16", "2001::/32", "192.88.99.0/24")),
    ipaddress.IPv4Network("168.63.129.16"),  # services of Azure for its own machines
]
_NUMBER = re.compile(r"(^|\.)(0x[0-9a-f]*|[0-9]+)\.?$", re.IGNORECASE)  # no name ends so

# A look-up that hangs keeps its thread for longer than anybody waits for it; others of the process do not wait.
_LOOK_UPS = ThreadPoolExecutor(20, thread_name_prefix="webhooks")


class PrivateAddressError(OSError):
    """A name or an address leads into a private network."""


def is_public(address: str) -> bool:
    """Whether an IP address is one that anybody on the internet may be reached by."""
    ip = ipaddress.ip_address(address)
    if (ip.version == 6 and ip not in _UNICAST) or any(ip in network for network in _REFUSED):
        return False
    return ip.is_global and not ip.is_multicast


def check_host(host: str) -> None:
    """Raises PrivateAddressError for an IP address that is not public; says nothing of names.

    Nor does it accept an IPv4 address in other forms (127.1, 2130706433, 0x7f.1), which some systems take for one.
    """
    try:
        is_refused = not is_public(host)
    except ValueError:
        is_refused = _NUMBER.search(host) is not None
    if is_refused:
        raise PrivateAddressError(errno.EACCES, f"{host} is not a public address")


class PublicResolver(AbstractResolver):
    """Looks names up for connections, in threads of its own. A name with any address that is not public is refused.

    A connection goes to the addresses that it returns, so a name that leads elsewhere a moment later gains nothing.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises PrivateAddressError, or OSError for an unknown name."""
        look_up = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(_LOOK_UPS, look_up)
        addresses = [str(address[0]) for *_, address in found]
        for each in addresses:
            check_host(each)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=kind,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address, (kind, _, protocol, _, _) in zip(addresses, found, strict=True)
        ]

    async def close(self) -> None:
        """Nothing to close."""
