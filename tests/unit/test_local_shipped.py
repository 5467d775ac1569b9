"""The shipped configurations of HAProxy and nginx, as `photogram run --cluster` changes them for this machine."""

import re
import tomllib
from pathlib import Path

import pytest

from config import Settings
from deploy.local import binaries, haproxy, nginx
from deploy.local.errors import StartError
from deploy.local.haproxy import configuration as haproxy_configuration
from deploy.local.nginx import allowed_pages
from deploy.local.shipped import DEPLOY, changed
from deploy.local.supervisor import Supervisor


@pytest.mark.parametrize("number", [1, 2, 5])
def test_haproxy_has_each_process_once_for_requests_and_once_for_sockets(number: int) -> None:
    ports = [21_000 + each for each in range(number)]
    lines = re.findall(r"^ +server (api\d+) 127\.0\.0\.1:(\d+)(.*)$", haproxy_configuration(7, ports), re.MULTILINE)
    expected = [(f"api{each}", str(port)) for each, port in enumerate(ports, 1)]
    assert [line[:2] for line in lines] == expected * 2
    assert [line[2] for line in lines[number:]] == [f" track requests/{name}" for name, _ in expected]


def test_a_wheel_has_the_configurations() -> None:
    with (DEPLOY.parent / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]["deploy"]
    packed = {path for pattern in patterns for path in DEPLOY.glob(pattern)}
    assert {DEPLOY / haproxy.SHIPPED, DEPLOY / nginx.SHIPPED} <= packed


def test_a_folder_that_cannot_be_written_is_no_end_of_the_whole_run(tmp_path: Path) -> None:
    (tmp_path / "nginx").touch()
    (tmp_path / "haproxy").touch()
    settings = Settings(environment="test")
    with pytest.raises(StartError, match="nginx could not be configured"):
        nginx.start(Path("/bin/true"), "nginx", tmp_path, tmp_path, {"nginx": 1}, 0, settings)
    with pytest.raises(StartError, match="HAProxy could not be configured"):
        haproxy.start(Path("/bin/true"), tmp_path / "haproxy", tmp_path / "log", 0, [1])


def test_a_change_of_what_is_not_in_the_file_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not have 'no such line'"):
        changed("haproxy/haproxy.cfg", {"no such line": ""})


@pytest.mark.parametrize(
    ("allowed", "origin", "may_read"),
    [
        ("https://app.example", "https://app.example", True),
        ("https://app.example", "https://app.example.evil", False),
        ("https://*.app.example", "https://a.app.example", True),
        ("https://*.app.example", "https://aXapp.example", False),
    ],
)
def test_nginx_lets_the_pages_of_the_settings_read_images(allowed: str, origin: str, may_read: bool) -> None:
    (line,) = allowed_pages(Settings(environment="test", allowed_origins=(allowed,))).values()
    pattern = re.fullmatch(r'"~\*(.+)" \$http_origin;', line)
    assert pattern is not None
    assert bool(re.search(pattern[1], origin, re.IGNORECASE)) == may_read


def test_nginx_lets_all_pages_read_images_in_development() -> None:
    assert [*allowed_pages(Settings()).values()] == ['default "*";']


def parts(settings: Settings) -> list[str]:
    return Supervisor(settings, Path(), 2, seed=False, cluster=True)._cluster_parts(settings)


def test_what_a_cluster_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_of_system", lambda _name: None)
    assert parts(Settings()) == [
        "  Load balancer     none: HAProxy is not installed, so the API processes share the port",
        "  CDN               none: nginx is not installed, so images come from SeaweedFS itself",
    ]


def test_nginx_has_no_place_before_storage_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_of_system", Path)
    assert parts(Settings(s3_endpoint_url="http://s3.example"))[1] == (
        "  CDN               none: the settings name storage or a CDN of your own"
    )
