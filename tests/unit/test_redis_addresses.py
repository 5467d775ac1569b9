"""Addresses of Redis: one server, a cluster, or sentinels."""

import pytest

from datasources.outages import describe_refusal
from datasources.redis.addresses import Kind, RedisAddress, RedisAddressError
from tests.conftest import settings_for_tests


@pytest.mark.parametrize(
    "url", ["redis://ana:secret@r:1/2?ssl_cert_reqs=none", "rediss://r", "unix:///run/valkey.sock"]
)
def test_one_server_keeps_its_address(url: str) -> None:
    assert RedisAddress.parse(url) == RedisAddress(Kind.ONE, url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis+cluster://a:1,b", RedisAddress(Kind.CLUSTER, "redis://cluster", (("a", 1), ("b", 6379)))),
        (
            "rediss+cluster://ana:s%2Cx@a,[::1]:7/0?ssl_cert_reqs=none",
            RedisAddress(Kind.CLUSTER, "rediss://ana:s%2Cx@cluster?ssl_cert_reqs=none", (("a", 6379), ("::1", 7))),
        ),
        (
            "redis+sentinel://a,b:2/photos/3",
            RedisAddress(Kind.SENTINEL, "redis://sentinel/3", (("a", 26379), ("b", 2)), "photos"),
        ),
        (
            "rediss+sentinel://:s@a/photos",
            RedisAddress(Kind.SENTINEL, "rediss://:s@sentinel", (("a", 26379),), "photos"),
        ),
    ],
)
def test_several_servers_are_hosts_and_what_they_have_in_common(url: str, expected: RedisAddress) -> None:
    assert RedisAddress.parse(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "http://:secret@r",
        "redis+proxy://:secret@r",
        "unix+cluster://:secret@r",
        "redis+cluster://:secret@a,",
        "redis+cluster://:secret@a:b",
        "redis+cluster://:secret@a/1",
        "redis+sentinel://:secret@a",
    ],
)
def test_what_makes_no_sense_is_explained_without_its_password(url: str) -> None:
    with pytest.raises(RedisAddressError) as raised:
        RedisAddress.parse(url)
    line = describe_refusal(raised.value, settings_for_tests())
    assert line
    assert "secret" not in line
