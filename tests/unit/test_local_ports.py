import socket
import sys
from contextlib import closing
from pathlib import Path

import pytest

from deploy.local.errors import StartError
from deploy.local.ports import keep_ports, listen, reserve_port


def ports_of(file: Path, *names: str) -> dict[str, int]:
    """The ports of one start."""
    with keep_ports(file, names) as ports:
        return ports


def test_ports_are_distinct_and_kept_from_start_to_start(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = ports_of(file, "a", "b", "c")
    assert len(set(first.values())) == 3
    assert ports_of(file, "a", "b", "c") == first


def test_a_kept_port_that_was_taken_meanwhile_is_replaced_alone(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = ports_of(file, "a", "b")
    with closing(socket.create_server(("127.0.0.1", first["a"]))):
        second = ports_of(file, "a", "b")
    assert second["a"] != first["a"]
    assert second["b"] == first["b"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no server could have a reserved port")
def test_a_reserved_port_is_for_its_server_alone(tmp_path: Path) -> None:
    with keep_ports(tmp_path / "ports.json", ("a",)) as ports:
        for _ in range(2):  # it may also be started again
            assert reserve_port(ports["a"]) is None
            with closing(socket.create_server(("127.0.0.1", ports["a"]))):
                assert reserve_port(ports["a"]) is None


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"a": "x"}', '{"a": null}'])
def test_a_damaged_file_of_ports_is_written_again(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "ports.json"
    file.write_text(damage)
    assert ports_of(file, "a") == ports_of(file, "a")


def test_a_taken_port_is_refused_in_one_line() -> None:
    with closing(listen("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} on 127.0.0.1 is taken"):
            listen("127.0.0.1", port)


def test_an_address_of_another_machine_is_refused_in_one_line() -> None:
    with pytest.raises(StartError, match=r"cannot listen on 192\.0\.2\.1:0"):
        listen("192.0.2.1", 0)
