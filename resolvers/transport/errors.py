"""Turns exceptions into the errors of a GraphQL answer: each has a code, and nothing internal is shown."""

import math
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from graphql import DocumentNode, GraphQLError, StringValueNode, Visitor, visit

from datasources.outages import server_of
from domain.errors import Refusal, RequestError, RequestErrorCode
from domain.limits import ERROR_MESSAGE_MAX
from domain.rate_limits import RateLimited, Throttle

log = structlog.stdlib.get_logger(__name__)

FormattedError = dict[str, Any]

MASKED = "Something went wrong on our side."
TOO_SLOW = "This took too long and was given up."
AWAY = "A part of the service is away. Try again in a moment."

HTTP_STATUS = {
    RequestErrorCode.UNAUTHENTICATED: 401,
    RequestErrorCode.INSUFFICIENT_SCOPE: 403,
    RequestErrorCode.RATE_LIMITED: 429,
    RequestErrorCode.TIMEOUT: 504,
    RequestErrorCode.BUSY: 503,  # not 429: the service is overloaded, and another process may have room
    RequestErrorCode.UNAVAILABLE: 503,
    RequestErrorCode.INTERNAL_SERVER_ERROR: 500,
}
LOGGED_PER_ANSWER = 3  # one fault often shows in every item of a list


class Rejected(Exception):
    """A request that was not executed.

    `errors` are ready to be sent. `well_formed` tells a GraphQL request that cannot be served from a malformed one.
    """

    def __init__(
        self,
        errors: list[FormattedError],
        *,
        status: int = 400,
        well_formed: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(errors[0]["message"])
        self.errors = errors
        self.status = status
        self.well_formed = well_formed
        self.headers = dict(headers or {})


def bad_request(message: str, *, status: int = 400, headers: Mapping[str, str] | None = None) -> Rejected:
    """The rejection of a request that is no GraphQL request."""
    return Rejected(
        [error_with_code(RequestErrorCode.BAD_REQUEST, message)], status=status, well_formed=False, headers=headers
    )


def to_rejection(error: RequestError) -> Rejected:
    """The rejection of a GraphQL request that cannot be served as it stands."""
    headers = throttle_headers(error.throttle) if isinstance(error, RateLimited) else {}
    if error.retry_after_ms is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after_ms / 1000))
    if error.code is RequestErrorCode.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"  # RFC 6750
    return Rejected([_shown(error)], status=HTTP_STATUS.get(error.code, 400), headers=headers)


def throttle_headers(throttle: Throttle | None) -> dict[str, str]:
    """The headers that tell a client its general points, as most HTTP APIs do; none without limits."""
    if throttle is None:
        return {}
    return {
        "ratelimit-limit": str(throttle.maximum),
        "ratelimit-remaining": str(throttle.available),
        "ratelimit-reset": str(throttle.seconds_to_full),
    }


def bad_token_rejection() -> Rejected:
    """The rejection of a request whose access token is not valid."""
    message = "This access token has expired or was revoked: refresh the session or log in again."
    header = {"www-authenticate": 'Bearer error="invalid_token"'}  # RFC 6750
    return Rejected([error_with_code(RequestErrorCode.UNAUTHENTICATED, message)], status=401, headers=header)


def document_rejection(errors: Iterable[GraphQLError], code: RequestErrorCode) -> Rejected:
    """The rejection of a document that does not parse or validate."""
    return Rejected([{**error.formatted, **error_with_code(code, error.message)} for error in errors])


def error_with_code(code: RequestErrorCode, message: str, **extensions: object) -> FormattedError:
    """One error. Its message is cut, for GraphQL's own ones may quote the client's whole input."""
    return {"message": message[:ERROR_MESSAGE_MAX], "extensions": {"code": code, **extensions}}


def _shown(error: RequestError) -> FormattedError:
    wait = {} if error.retry_after_ms is None else {"retryAfterMs": error.retry_after_ms}
    return error_with_code(error.code, error.message, **wait)


def error_codes(errors: Iterable[FormattedError]) -> list[str]:
    """The different codes of some errors, sorted, for the log."""
    return sorted({str(error["extensions"]["code"]) for error in errors})


@dataclass(frozen=True, slots=True)
class Culprit:
    """The operation in which something failed. Logs never show its literals and variables."""

    request_id: str
    operation_name: str | None
    document: DocumentNode | None
    variables: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ErrorPresenter:
    """Shows our own errors as they are, tells outages, and masks and logs all other errors."""

    is_outage: Callable[[BaseException], bool]

    def present(self, errors: Sequence[GraphQLError], culprit: Culprit) -> list[FormattedError]:
        """The errors of one executed operation, in order, ready to be sent."""
        presented: list[FormattedError] = []
        logged = 0
        for error in errors:
            cause = root_cause(error)
            answer = self._answer(error, cause, culprit.request_id)
            if logged < LOGGED_PER_ANSWER:
                logged += log_failure(answer["extensions"]["code"], cause, culprit)
            presented.append({**error.formatted, **answer})
        return presented

    def fault(self, cause: Exception, culprit: Culprit) -> Rejected:
        """The rejection for an exception that escaped from execution itself."""
        answer = self.unexpected(cause, culprit.request_id)
        code: RequestErrorCode = answer["extensions"]["code"]
        log_failure(code, cause, culprit)
        return Rejected([answer], status=HTTP_STATUS[code])

    def unexpected(self, cause: BaseException, request_id: str) -> FormattedError:
        """The error of an outage, or a masked one."""
        if self.is_outage(cause):
            return error_with_code(RequestErrorCode.UNAVAILABLE, AWAY, requestId=request_id)
        return error_with_code(RequestErrorCode.INTERNAL_SERVER_ERROR, MASKED, requestId=request_id)

    def _answer(self, error: GraphQLError, cause: BaseException, request_id: str) -> FormattedError:
        match cause:
            case RequestError():
                return _shown(cause)
            case Refusal():
                return error_with_code(RequestErrorCode.BAD_USER_INPUT, cause.message)
            case GraphQLError() if error.path is None or cause.nodes:
                # GraphQL's error about a variable or an argument. One without nodes is about a value that we were to
                # send, which is our fault.
                return error_with_code(RequestErrorCode.BAD_USER_INPUT, cause.message)
            case TimeoutError() if not self.is_outage(cause):
                return error_with_code(RequestErrorCode.TIMEOUT, TOO_SLOW)
            case _:
                return self.unexpected(cause, request_id)


def root_cause(error: BaseException) -> BaseException:
    """The exception inside GraphQL's wrapping."""
    while isinstance(error, GraphQLError) and error.original_error is not None:
        error = error.original_error
    return error


def log_failure(code: RequestErrorCode, cause: BaseException, culprit: Culprit) -> bool:
    """Logs an outage by name, or a fault with its traceback. Returns whether it was one of these."""
    if code == RequestErrorCode.UNAVAILABLE:
        error = type(cause).__qualname__
        log.warning("dependency away", request_id=culprit.request_id, server=server_of(cause), error=error)
    elif code == RequestErrorCode.INTERNAL_SERVER_ERROR:
        _log_fault(cause, culprit)
    return code in (RequestErrorCode.UNAVAILABLE, RequestErrorCode.INTERNAL_SERVER_ERROR)


def _log_fault(cause: BaseException, culprit: Culprit) -> None:
    """Logs a traceback from which all strings of the document and its variables are removed."""
    text = "".join(traceback.format_exception(cause))
    for literal in sorted(_literals(culprit), key=len, reverse=True):
        text = text.replace(literal, "…")
    log.error(
        "operation failed unexpectedly",
        request_id=culprit.request_id,
        operation=culprit.operation_name,
        error=type(cause).__qualname__,
        exception=text.rstrip(),
    )


class _Strings(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.values: set[str] = set()

    def enter_string_value(self, node: StringValueNode, *_: object) -> None:
        self.values.add(node.value)


def _literals(culprit: Culprit) -> set[str]:
    strings = _Strings()
    if culprit.document is not None:
        visit(culprit.document, strings)
    pending: list[object] = [dict(culprit.variables)]
    while pending:
        match pending.pop():
            case str(text):
                strings.values.add(text)
            case dict(members):
                pending.extend(members.values())
            case list(items):
                pending.extend(items)
    return {text for text in strings.values if len(text) > 2}
