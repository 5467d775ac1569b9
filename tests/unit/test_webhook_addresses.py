"""Which addresses webhooks may go to: public ones alone, however they are written."""

import socket

import pytest

from datasources.events.public_addresses import PrivateAddressError, PublicResolver, is_public
from datasources.events.webhook_sender import why_refused


async def test_names_of_private_addresses_are_refused() -> None:
    with pytest.raises(PrivateAddressError):
        await PublicResolver().resolve("localhost", 443)


async def test_a_connection_goes_to_the_addresses_that_were_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    public, private = ((socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 443)) for ip in ("93.184.215.14", "10.0.0.1"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [public])  # tests have no internet
    (found,) = await PublicResolver().resolve("example.com", 443)
    assert (found["host"], found["port"], found["hostname"]) == ("93.184.215.14", 443, "example.com")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [public, private])
    with pytest.raises(PrivateAddressError):
        await PublicResolver().resolve("example.com", 443)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "0.0.0.0",  # noqa: S104
            "169.254.169.254",
            "100.64.0.1",
            "224.0.0.1",
        ),
        *("::1", "::", "fe80::1", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "ff02::1"),
        *("64:ff9b:1::a9fe:a9fe", "::127.0.0.1", "::ffff:0:127.0.0.1", "fec0::1", "5f00::1", "2001:0:1::1"),
        *("192.88.99.1", "168.63.129.16"),
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


def test_addresses_that_are_public() -> None:
    assert is_public("93.184.215.14")
    assert is_public("2606:2800:21f:cb07:6820:80da:af6b:8b2c")


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://example.com/",
            "ftp://example.com/",
            "https://10.0.0.1/",
            "https://u:p@example.com/",
            "https:///x",
            "",
        ),
        *("https://127.1/", "https://2130706433/", "https://0177.0.0.1/", "https://0x7f.1/", "https://127.0.0.1./"),
        *("https://8.8.2056/", "https://[::7f00:1]/", ""),
    ],
)
def test_addresses_that_operators_may_not_give(url: str) -> None:
    assert why_refused(url, is_private_allowed=False) is not None
    for accepted in (
        "https://example.com/hooks",
        "https://8.8.8.8/",
        "https://7.example.com/",
        "https://a1.example.com./",
    ):
        assert why_refused(accepted, is_private_allowed=False) is None
