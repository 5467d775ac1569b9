"""Which addresses the API's socket listens on."""

import errno
import socket
from contextlib import closing

import pytest

from deploy.local.errors import StartError
from deploy.local.ports import listen

pytestmark = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")


@pytest.mark.parametrize("host", ["::", "0:0:0:0:0:0:0:0"])
def test_every_address_of_ipv6_means_every_address_of_ipv4_too(host: str) -> None:
    with closing(listen(host, 0)) as listener:
        port = listener.getsockname()[1]
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, port), timeout=5).close()
        with pytest.raises(StartError, match="taken"):
            listen("0.0.0.0", port)  # noqa: S104


def test_one_address_of_ipv6_is_that_address_alone() -> None:
    with closing(listen("::1", 0)) as listener, socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", listener.getsockname()[1])) == errno.ECONNREFUSED
