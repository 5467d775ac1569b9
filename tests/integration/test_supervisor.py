"""`photogram run`: up with one command, down with one signal, and one clear line when it cannot start."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from deploy.local import data_folder
from deploy.local.ports import listen
from tests.support.stack import ROOT
from tests.support.supervised import PATIENCE, RUN, STARTER, await_gone, await_true, running


def refusal(data_dir: Path, *options: str) -> tuple[int, str]:
    """The exit code and the output of a `run` that cannot start."""
    done = subprocess.run(  # noqa: S603
        [*RUN, "--data-dir", str(data_dir), *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=ROOT,
    )
    return done.returncode, done.stderr


def command(data_dir: Path, *words: str, **given: str) -> subprocess.CompletedProcess[str]:
    """The result of a command from a second terminal that knows only the folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PHOTOGRAM_")}
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "deploy.cli", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=ROOT,
        env={**kept, "PHOTOGRAM_DATA_DIR": str(data_dir), **given},
    )


def is_ready(endpoint: str) -> bool:
    with contextlib.suppress(httpx2.HTTPError):
        return httpx2.get(endpoint.replace("/graphql", "/readyz"), timeout=2).status_code == 200
    return False


def test_a_killed_api_and_worker_come_back_and_a_signal_stops_everything(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        endpoint = run.await_line(r"GraphQL endpoint +(http://127\.0\.0\.1:\d+/graphql)")[1]
        assert is_ready(endpoint)
        assert "No mails yet" in httpx2.get(endpoint.replace("/graphql", "/mails"), timeout=5).text
        for victim in [run.child("deploy.cli", "serve"), run.child("deploy.cli", "worker")]:
            victim.kill()
        for _ in range(2):
            run.await_line(r"(API|worker) was started again")
        await_true(lambda: is_ready(endpoint))
        run.stop()
        assert not (tmp_path / "connection.env").exists()


def test_a_command_finds_the_running_stack_unless_the_settings_name_another(tmp_path: Path) -> None:
    away = {"PHOTOGRAM_MONGO_TIMEOUT": "0.2"}
    with running(tmp_path) as run:
        run.await_line("GraphQL endpoint")
        assert f"PHOTOGRAM_MAIL_FOLDER={tmp_path / 'mails'}" in (tmp_path / "connection.env").read_text()
        verified = command(tmp_path, "verify")
        assert (verified.returncode, verified.stderr) == (0, f"photogram: using what runs in {tmp_path}\n")
        listed = command(tmp_path, "dlq", "list", PHOTOGRAM_MONGO_URL="mongodb://127.0.0.1:1/", **away)
        assert (listed.returncode, "using" in listed.stderr) == (3, False)
        run.popen.kill()  # what it had written stays
        await_true(lambda: not data_folder.is_held(tmp_path))
    assert (tmp_path / "connection.env").exists()
    listed_later = command(tmp_path, "dlq", "list", PHOTOGRAM_MONGO_URL="mongodb://127.0.0.1:1/", **away)
    assert (listed_later.returncode, "using" in listed_later.stderr) == (3, False)


def test_a_supervisor_killed_while_it_starts_leaves_no_child(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        run.await_line("Preparing indexes and buckets")
        await_true(lambda: len(run.family()) >= 5)
        family = run.family()
        run.popen.kill()
        await_gone(family)


def test_a_dead_database_stops_everything_with_one_line(tmp_path: Path) -> None:
    with running(tmp_path) as run:
        run.await_line("GraphQL endpoint")
        family = run.family()
        run.child("mongod").kill()
        run.await_line(r"^photogram: MongoDB was killed by SIGKILL")
        assert run.popen.wait(timeout=PATIENCE) == 1
        await_gone(family)


def test_the_death_of_the_parent_process_stops_everything(tmp_path: Path) -> None:
    with running(tmp_path, command=[sys.executable, "-c", STARTER, *RUN]) as run:
        run.await_line("GraphQL endpoint")
        family = run.family()
        assert len(family) >= 6
        run.popen.kill()
        await_gone(family)


def test_a_taken_port_gives_one_line_and_starts_nothing(tmp_path: Path) -> None:
    with contextlib.closing(listen("127.0.0.1", 0)) as other:
        code, line_printed = refusal(tmp_path / "data", "--port", str(other.getsockname()[1]))
        with data_folder.hold(tmp_path / "held"):
            _, line_for_both = refusal(tmp_path / "held", "--port", str(other.getsockname()[1]))
    assert code == 1
    assert re.fullmatch(r"photogram: port \d+ on 127\.0\.0\.1 is taken by another program; .*--port\n", line_printed)
    assert not (tmp_path / "data").exists()
    assert line_for_both == f"photogram: the data folder {tmp_path / 'held'} is in use by process {os.getpid()}\n"


def test_a_folder_in_use_gives_one_line_that_names_the_process(tmp_path: Path) -> None:
    with data_folder.hold(tmp_path):
        code, line_printed = refusal(tmp_path, "--port", "0")
    assert code == 1
    assert line_printed == f"photogram: the data folder {tmp_path} is in use by process {os.getpid()}\n"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("PHOTOGRAM_MONGO_TIMEOUT", "-1", r"photogram: PHOTOGRAM_MONGO_TIMEOUT: Input should be greater than 0\n"),
        ("PHOTOGRAM_ALLOWED_ORIGINS", "[", r"photogram: PHOTOGRAM_ALLOWED_ORIGINS: .*\n"),
        ("PHOTOGRAM_ENVIRONMENT", "production", r"photogram: PHOTOGRAM_S3_SECRET_KEY has its default value.*\n"),
    ],
)
def test_invalid_settings_give_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, line: str
) -> None:
    monkeypatch.setenv(name, value)
    code, line_printed = refusal(tmp_path)
    assert (code, bool(re.fullmatch(line, line_printed))) == (2, True), line_printed
