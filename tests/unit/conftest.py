"""Unit tests open no connections: a test that tries fails and says where."""

import socket
from typing import NoReturn

import pytest


@pytest.fixture(autouse=True)
def _no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: socket.socket, address: object) -> NoReturn:
        raise AssertionError(f"a unit test tried to connect to {address!r}; move it to tests/integration")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
