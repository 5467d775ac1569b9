from pathlib import Path

import pytest

from deploy.local.server_logs import last_error, rotate


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (
            (
                '{"s":"E","msg":"Failed to set up listener","attr":{"error":{"errmsg":"Address already in use"}}}\n'
                '{"s":"I","msg":"now exiting"}\n'
            ),
            "Failed to set up listener: Address already in use",
        ),
        ("1:M 22 Nov 2026 15:00:00.001 # Fatal error loading the DB\n1:M 22 Nov 2026 15:00:00.002 * bye\n", "Fatal"),
        ("F1122 15:04:17.478700 volume.go:10] cannot create volume\nI1122 15:04:17.4 x.go:1] bye\n", "cannot create"),
        ("F1122 15:04:17.478700 volume.go:10 cannot create volume\n", "cannot create volume"),
        ('{"level":"error","event":"could not start","error":"no indexes"}\n', "could not start: no indexes"),
        ("Traceback (most recent call last):\n  File x\nbuiltins.ValueError: no such thing\n", "ValueError: no such"),
        ("weed: error while loading shared libraries: libcurl.so.4\n\n", "weed: error while loading shared libraries"),
        ("", "it wrote nothing"),
    ],
)
def test_the_last_error_is_shown_or_else_the_last_line(tmp_path: Path, log: str, words: str) -> None:
    file = tmp_path / "server.log"
    file.write_text(log)
    assert words in last_error(file)


def test_a_full_disk_wins_over_later_lines(tmp_path: Path) -> None:
    file = tmp_path / "server.log"
    file.write_text("write x: No space left on device\n" + '{"s":"F","msg":"fassert"}\n')
    assert last_error(file).startswith("no space left")


def test_the_error_is_one_bounded_line(tmp_path: Path) -> None:
    file = tmp_path / "server.log"
    file.write_text("x" * 200_000)
    assert len(last_error(file)) <= 300


def test_a_log_holds_one_run_and_the_run_before_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    for run in ("first", "second", "third"):
        rotate(log)
        log.write_text(run)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"api.log": "third", "api.log.1": "second"}
