"""Structured logs of every process: one line for an event, as JSON or for people, without secrets."""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

REDACTED = "[redacted]"
SECRET_NAME = re.compile(r"password|token|authorization|secret|cookie|credential|api_?key", re.IGNORECASE)
BEARER = re.compile(r"(?i)\b(bearer\s+)[\w.~+/=-]+")
URL_PASSWORD = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s/@]+@", re.IGNORECASE)
SIGNATURE = re.compile(r"(?i)((?:x-amz-signature|x-amz-credential|signature)=)[^&\s\"']+")
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
        structlog.processors.TimeStamper(fmt="iso", utc=True),
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
    handler = logging.StreamHandler(sys.stderr)
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


def _add_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {**_ABOUT, **event} if _ABOUT else event


def _redacted(name: str, value: Any) -> Any:
    if SECRET_NAME.search(name) and isinstance(value, str | bytes | list | dict):
        return REDACTED
    match value:
        case str():
            text = BEARER.sub(rf"\1{REDACTED}", value)
            text = URL_PASSWORD.sub(rf"\g<scheme>{REDACTED}@", text)
            return SIGNATURE.sub(rf"\1{REDACTED}", text)
        case Mapping():
            return {str(key): _redacted(str(key), item) for key, item in value.items()}
        case list() | tuple():
            return [_redacted("", item) for item in value]
        case _:
            return value
