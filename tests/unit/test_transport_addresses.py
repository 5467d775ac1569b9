"""The network that a request comes from."""

import pytest

from resolvers.transport.addresses import address_of


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_an_ipv6_client_is_its_network_and_a_mapped_one_its_ipv4_address(host: str, network: str) -> None:
    assert address_of({"client": (host, 1234)}) == network


def test_a_server_need_not_say() -> None:
    assert address_of({"client": None}) == address_of({}) == ""
