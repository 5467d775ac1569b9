"""Servers that only tests of the transports need, and clients of them."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.support.toy.server import Served, served


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[Served]:
    """One server for tests that leave nothing behind."""
    async with served() as running:
        yield running


@pytest.fixture(scope="module")
async def shared_client(shared: Served) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=shared.url, timeout=10) as opened:
        yield opened


@pytest.fixture
async def toy() -> AsyncIterator[Served]:
    """A server of one test's own, which gives up slow operations soon."""
    async with served(operation_timeout=0.3, origins=("https://app.example",)) as running:
        yield running


@pytest.fixture
async def client(toy: Served) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=toy.url, timeout=10) as opened:
        yield opened


@pytest.fixture
async def socket_toy() -> AsyncIterator[Served]:
    """A server of one test's own, which waits only shortly for sockets."""
    async with served(init_timeout=0.4, send_timeout=0.3) as running:
        yield running
