"""Structured logs of every process: one line for an event, as JSON or for people, without secrets."""

import contextlib
import json
import logging
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

REDACTED = "[redacted]"
SECRET_NAME = re.compile(r"password|token|authorization|secret|cookie|credential|api_?key", re.IGNORECASE)
BEARER = re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]+")
URL_PASSWORD = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/@]+@", re.IGNORECASE)
SIGNATURE = re.compile(r"(?i)((?:x-amz-signature|x-amz-credential|signature)=)[^&\s\"']+")
PLAIN = re.compile(r"[\w./:-]*")  # a text of these characters alone holds no secret of a known shape
QUIETED = ("uvicorn", "asyncio", "pymongo", "botocore", "aiobotocore", "urllib3", "PIL", "httpx2", "httpcore2")
_ABOUT: dict[str, int] = {}  # what every line of this process says
ONLY_ERRORS = ("python_multipart",)  # it warns of every malformed form


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replaces values with secret names, at any depth, and secrets of known shapes inside texts."""
    return {name: _redacted(name, value) for name, value in event.items()}


def name_process(number: int) -> None:
    """Puts `process` into every line, for processes that write to one log. Before `configure_logging`."""
    _ABOUT["process"] = number


def configure_logging(format: Literal["console", "json"], level: str) -> None:  # noqa: A002  the setting's name
    """Sends the records of structlog and of the standard library to stderr, in one shape. Safe to repeat."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_process,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        _add_time,
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr) if format == "console" else JSONLines(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redact,
                structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
                if format == "console"
                else structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in QUIETED:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level)))
    for name in ONLY_ERRORS:
        logging.getLogger(name).setLevel(logging.ERROR)


class JSONLines(logging.StreamHandler[Any]):
    """Writes lines of JSON, also ones for which no record of the standard library was made."""

    def write(self, event: EventDict) -> None:
        """Writes a line. As with other handlers, a stream that takes none is no reason to fail."""
        with self.lock or contextlib.nullcontext(), contextlib.suppress(OSError, ValueError):
            self.stream.write(_encode(event) + self.terminator)
            self.stream.flush()


class EventLog:
    """For the line about each request: writes what structlog's logger would, for a tenth of the cost."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._logger = logging.getLogger(name)
        self._structlog = structlog.stdlib.get_logger(name)

    def write(self, level: int, event: str, fields: Mapping[str, Any]) -> None:
        """Logs an event with fields that JSON knows, at a level of the standard library."""
        match logging.root.handlers:
            case [JSONLines() as handler]:
                if self._logger.isEnabledFor(level):
                    about = {"logger": self._name, "level": logging.getLevelName(level).lower()}
                    line = _add_time(None, event, {**_ABOUT, **fields, "event": event, **about})
                    handler.write(redact(None, event, line))
            case _:  # lines for people, or handlers of somebody else
                self._structlog.log(level, event, **fields)


_add_time = structlog.processors.TimeStamper(fmt="iso", utc=True)
_encode = json.JSONEncoder(default=repr).encode


def _add_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {**_ABOUT, **event} if _ABOUT else event


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return SECRET_NAME.search(name) is not None


def _redacted(name: str, value: Any) -> Any:
    match value:
        case str() | bytes() | list() | dict() if _is_secret(name):
            return REDACTED
        case str():
            return value if PLAIN.fullmatch(value) else _redacted_text(value)
        case Mapping():
            return {str(key): _redacted(str(key), item) for key, item in value.items()}
        case list() | tuple():
            return [_redacted("", item) for item in value]
        case _:
            return value


def _redacted_text(text: str) -> str:
    text = BEARER.sub(rf"\1{REDACTED}", text)
    text = URL_PASSWORD.sub(rf"\g<scheme>{REDACTED}@", text)
    return SIGNATURE.sub(rf"\1{REDACTED}", text)
