"""What every process logs: one shape, and no secrets."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

import pytest
import structlog

from datasources.telemetry.logs import EventLog, JSONLines, configure_logging, name_process, redact


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def redacted(**event: object) -> dict[str, object]:
    return dict(redact(None, "info", dict(event)))


def test_values_under_secret_names_are_cut_out_at_any_depth() -> None:
    event = redacted(password="a", nested={"accessToken": "b", "list": [{"s3_secret_key": "c"}]}, Authorization=b"d")
    assert event == {
        "password": "[redacted]",
        "nested": {"accessToken": "[redacted]", "list": [{"s3_secret_key": "[redacted]"}]},
        "Authorization": "[redacted]",
    }


def test_secrets_inside_text_are_cut_out() -> None:
    text = "GET mongodb://me:pass@host/ with Bearer abc.def and ?X-Amz-Signature=0123&x=1"
    assert redacted(event=text)["event"] == (
        "GET mongodb://me:[redacted]@host/ with Bearer [redacted] and ?X-Amz-Signature=[redacted]&x=1"
    )


def test_counts_and_plain_values_stay() -> None:
    assert redacted(tokens=3, operation="Feed", ok=True) == {"tokens": 3, "operation": "Feed", "ok": True}


def test_both_kinds_of_loggers_write_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "INFO")
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.stdlib.get_logger("ours").info("hello", password="x", size=3)
        logging.getLogger("theirs").warning("from %s", "elsewhere", extra={"token": "x"})
    ours, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (ours["event"], ours["size"], ours["password"], ours["request_id"]) == ("hello", 3, "[redacted]", "r1")
    assert (theirs["event"], theirs["logger"], theirs["level"]) == ("from elsewhere", "theirs", "warning")
    assert theirs["token"] == "[redacted]"
    assert theirs["request_id"] == "r1"
    for line in (ours, theirs):
        assert datetime.fromisoformat(line["timestamp"]).utcoffset() == timedelta(0)


def test_traceback_is_part_of_the_line_and_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "INFO")
    structlog.stdlib.get_logger("ours").error("failed", exc_info=ValueError("redis://:hunter2@host"))
    [line] = capsys.readouterr().err.splitlines()
    assert "ValueError" in json.loads(line)["exception"]
    assert "hunter2" not in line


def test_console_format_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("console", "INFO")
    structlog.stdlib.get_logger("ours").info("hello", size=3)
    assert "size=3" in capsys.readouterr().err


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "WARNING")
    structlog.stdlib.get_logger("ours").info("hello")
    assert capsys.readouterr().err == ""


EVENTS: list[dict[str, object]] = [
    {"status": 200, "bytes": 133, "duration_ms": 1.2, "operation": "Feed", "operation_type": "query", "cost": 3},
    {"path": "/graphql?access_token=1 \u2028 \ud800 \n Bearer abc.def", "status": 0, "token": "x", "tokens": 3},
    {"codes": ["BAD_USER_INPUT", "redis://:hunter2@host"], "nested": {"password": "x"}, "huge": 2**70, "id": {1}},
]


@pytest.mark.parametrize("fields", EVENTS)
@pytest.mark.parametrize("format_", ["json", "console"])
def test_the_line_of_an_event_log_is_the_one_that_any_logger_writes(
    capsys: pytest.CaptureFixture[str], format_: Literal["json", "console"], fields: dict[str, object]
) -> None:
    configure_logging(format_, "INFO")
    EventLog("ours").write(logging.INFO, "request", {"request_id": "r1", **fields})
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.stdlib.get_logger("ours").info("request", **fields)
    one, other = capsys.readouterr().err.splitlines()
    if format_ == "json":
        one, other = (json.dumps({**json.loads(line), "timestamp": ""}, sort_keys=True) for line in (one, other))
        assert one == other
    else:
        assert sorted(one.split()[1:]) == sorted(other.split()[1:])
    assert "hunter2" not in one
    assert "abc.def" not in one


def test_an_event_log_names_the_process(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasources.telemetry.logs._ABOUT", {})
    name_process(2)
    configure_logging("json", "INFO")
    EventLog("ours").write(logging.INFO, "request", {})
    assert json.loads(capsys.readouterr().err)["process"] == 2


def test_an_event_log_keeps_to_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "INFO")
    EventLog("ours").write(logging.DEBUG, "request", {})
    assert capsys.readouterr().err == ""


def test_a_closed_stream_fails_no_request() -> None:
    configure_logging("json", "INFO")
    [handler] = logging.root.handlers
    assert isinstance(handler, JSONLines)
    handler.stream = io.StringIO()
    handler.stream.close()
    EventLog("ours").write(logging.INFO, "request", {})
