"""The network that a request comes from."""

from typing import Any

import pytest
from structlog.testing import capture_logs
from uvicorn.middleware.proxy_headers import _TrustedHosts

from resolvers.transport.client_address import UntrustedProxies, address_of, shown_range, with_mapped_ipv4


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


def test_a_request_without_a_client_has_an_empty_address() -> None:
    assert address_of({"client": None}) == address_of({}) == ""


def test_a_trusted_ipv4_proxy_is_also_trusted_by_its_mapped_address() -> None:
    listed = ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32", "*", "a-name"]
    trusted = _TrustedHosts(with_mapped_ipv4(listed))
    assert with_mapped_ipv4(listed)[: len(listed)] == listed
    assert all(host in trusted for host in ("127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.9.8.7", "2001:db8::1"))
    assert not any(host in trusted for host in ("::ffff:127.0.0.2", "::ffff:11.0.0.1", "::1"))


def test_a_range_of_addresses_is_shown_and_no_single_one() -> None:
    ranges = {"198.51.100.7": "198.51.100.0/24", "2001:db8:1:2::/64": "2001:db8:1::/48", "": None, "testclient": None}
    assert {network: shown_range(network) for network in ranges} == ranges


@pytest.mark.parametrize(
    ("peer", "forwarded", "shown"),
    [
        ("10.0.0.9", "198.51.100.7", "10.0.0.9"),
        ("8.8.8.8", "198.51.100.7", "a public address"),
        ("198.51.100.7", "203.0.113.4, 198.51.100.7", None),  # the proxy is trusted: uvicorn has put its client there
        ("10.0.0.9", None, None),
        ("10.0.0.9", "", None),
    ],
)
def test_a_proxy_that_is_not_trusted_is_logged_once(peer: str, forwarded: str | None, shown: str | None) -> None:
    proxies, scope = UntrustedProxies(), {"client": (peer, 1234)}
    headers: dict[str, Any] = {} if forwarded is None else {"x-forwarded-for": forwarded}
    with capture_logs() as logs:
        for _ in range(3):
            proxies.look_at(scope, headers)
            UntrustedProxies(is_on=False).look_at(scope, headers)
        proxies.look_at({"client": None}, headers)
    assert [log["peer"] for log in logs] == ([] if shown is None else [shown])
