"""Finds the last error in a server's log, and keeps logs from growing without end."""

import json
from pathlib import Path

TAIL_BYTES = 64 * 1024
MAX_LENGTH = 300


def rotate(log: Path) -> None:
    """Keeps the log of the run before as `NAME.1`: a log has one run, and a folder at most two logs of each name."""
    if log.exists() and log.stat().st_size:
        log.replace(log.with_name(log.name + ".1"))


def last_error(log: Path) -> str:
    """The last error in `log`, else its last line; one line of at most 300 characters."""
    try:
        lines = _tail(log)
    except OSError as error:
        return f"its log cannot be read ({error.strerror})"
    if any("No space left on device" in line for line in lines):
        return "no space left on the disk that holds the data folder"
    errors = [message for line in lines if (message := _error_in(line))]
    text = errors[-1] if errors else _plain(lines[-1]) if lines else "it wrote nothing"
    return " ".join(text.split())[:MAX_LENGTH]


def names_taken_port(log: Path) -> bool:
    """Whether a server says in `log` that another program has its port."""
    return any("address already in use" in line.lower() for line in _tail(log))


def _tail(log: Path) -> list[str]:
    with log.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return [line.strip() for line in lines if line.strip()]


def _error_in(line: str) -> str | None:
    """The message of an error in one of the formats met here: MongoDB's and structlog's JSON, glog, Valkey, Python."""
    if line.startswith("{"):
        entry = _json(line)
        # An ASSERT entry only says where in MongoDB's source; the one before it says why.
        is_error = entry.get("s") in ("E", "F") and entry.get("c") != "ASSERT"
        return _message(entry) if is_error or entry.get("level") in ("error", "critical") else None
    if line[:1] in "EF" and line[1:5].isdigit():  # glog: E1122 15:04:17.478700 file.go:1 text
        return line.split("] ", 1)[-1] if "] " in line else " ".join(line.split()[3:])
    if " # " in line[:60] and "WARNING" not in line:  # Valkey: 1:M 22 Nov 2026 15:00:00.000 # text
        return line.split(" # ", 1)[1]
    name = line.split(":", 1)[0]
    return line if name.endswith(("Error", "Exception")) and " " not in name else None


def _plain(line: str) -> str:
    return (_message(_json(line)) if line.startswith("{") else None) or line


def _json(line: str) -> dict[str, object]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _message(entry: dict[str, object]) -> str | None:
    text = entry.get("msg") or entry.get("event")
    attributes = entry.get("attr")
    detail = attributes.get("error") if isinstance(attributes, dict) else entry.get("error")
    if isinstance(detail, dict):
        detail = detail.get("errmsg")
    return f"{text}: {detail}" if text and detail else str(text) if text else None
