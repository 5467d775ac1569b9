"""GraphQL over HTTP, as its specification says: POST for everything but subscriptions, GET for queries."""

import contextlib
import time
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson
import structlog
from graphql import OperationType
from starlette.datastructures import Headers, QueryParams
from starlette.requests import ClientDisconnect
from starlette.responses import RedirectResponse
from starlette.types import Receive, Scope, Send

from datasources.telemetry.tracing import TRACEPARENT, current_traceparent, operation_part
from domain.errors import RequestError, RequestErrorCode
from domain.limits import FORM_BYTES_MAX, REQUEST_BYTES_MAX, REQUEST_SECONDS_MAX
from domain.rate_limits import RateLimited
from resolvers.transport.answer import Answer
from resolvers.transport.client_address import address_of
from resolvers.transport.content_negotiation import GRAPHQL_JSON, JSON, answer_type, prefers_page
from resolvers.transport.documents import GraphQLRequest, Operation
from resolvers.transport.errors import MASKED, Rejected, bad_request, error_codes, error_with_code, to_rejection
from resolvers.transport.execution import OperationExecutor
from resolvers.transport.multipart import MULTIPART, Form, boundary_of, read_form
from resolvers.transport.origins import Origins
from resolvers.transport.request_body import CLOSING, Body, decode_json
from resolvers.transport.request_log import add_to_log_line, request_id_of

log = structlog.stdlib.get_logger(__name__)

METHODS = "GET, POST"
DEVICE = "photogram-device"  # the header with the `deviceToken` of a device on which somebody has logged in
NOT_COUNTED = (403, 429)  # a page of another origin must not use up what its visitor has; and what counting refused
CONTENT_TYPES = {media: f"{media}; charset=utf-8".encode() for media in (GRAPHQL_JSON, JSON)}


class _Sender(NamedTuple):
    """Who sent a request: a bearer token, an address, and to whom it counts without a session."""

    token: str | None
    address: str
    counted: str


class HttpAnswer(NamedTuple):
    """One answer, ready to be sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    async def send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


class GraphQLHTTP:
    """The endpoint as an ASGI application. With `page`, a browser that asks for HTML is redirected there.

    A client has `form_timeout` seconds to send a file, and the operation that takes it has so much more time.
    """

    def __init__(
        self,
        executor: OperationExecutor,
        *,
        page: str | None = None,
        form_timeout: float,
        origins: Iterable[str] = (),
    ) -> None:
        self._executor = executor
        self._origins = Origins(origins)
        self._page = page
        self._form_timeout = form_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        is_page = scope["method"] == "GET" and "query" not in _parameters(scope) and prefers_page(headers.get("accept"))
        if self._page and is_page:
            await RedirectResponse(self._page, status_code=303)(scope, receive, send)
            return
        answer = await self.respond(scope, headers, receive)
        if answer is not None:
            await answer.send(send)

    async def respond(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> HttpAnswer | None:
        """The answer to one request; None if the client leaves before it has sent all. Headers are in lower case."""
        media_type = answer_type(headers.get("accept"))
        sender = self._sender(scope, headers)
        source: Hashable = None
        try:
            if self._origins.is_foreign(headers):
                raise bad_request("Pages of this origin may not call the API.", status=403, headers=CLOSING)
            source = self._refuse_flood(sender)
            if media_type is None:
                raise bad_request(f"This endpoint answers with {GRAPHQL_JSON} or {JSON}.", status=406)
            answer = await self._serve(scope, headers, receive, sender)
        except ClientDisconnect:
            return None
        except Rejected as rejection:
            if 400 <= rejection.status < 500 and rejection.status not in NOT_COUNTED:
                self._executor.hooks.refused.count(source)
            return _rejected(scope, rejection, media_type or JSON)
        except RequestError as error:
            return _rejected(scope, to_rejection(error), media_type or JSON)
        if "errors" in answer.payload:
            add_to_log_line(scope, codes=answer.codes)
        return _encoded(answer.payload, 200 if media_type == JSON else answer.status, media_type, answer.headers)

    def _refuse_flood(self, sender: _Sender) -> Hashable:
        """To whom a request counts that is refused: a device that has used up what it has counts as its address.

        Raises Rejected (429), before anything is read, if too much of this source was refused lately.
        """
        refused, source = self._executor.hooks.refused, self._executor.source(sender.token, sender.counted)
        try:
            if source == sender.counted != sender.address:
                with contextlib.suppress(RateLimited):
                    refused.check(source)
                    return source
                source = sender.address
            refused.check(source)
        except RateLimited as limited:
            rejection = to_rejection(limited)
            rejection.headers.update(CLOSING)
            raise rejection from None
        return source

    def _sender(self, scope: Scope, headers: Mapping[str, str]) -> _Sender:
        self._executor.hooks.proxies.look_at(scope, headers)
        address, device = address_of(scope), headers.get(DEVICE)
        owner = None if device is None else self._executor.hooks.owner_of_device(device)
        return _Sender(bearer_token(headers.get("authorization")), address, owner or address)

    async def _serve(self, scope: Scope, headers: Mapping[str, str], receive: Receive, sender: _Sender) -> Answer:
        if scope["method"] == "POST" and _media_type(headers)[0] == MULTIPART:
            return await self._serve_form(scope, headers, receive, sender)
        return await self._answer(scope, headers, await _read(scope, headers, receive), sender)

    async def _serve_form(self, scope: Scope, headers: Mapping[str, str], receive: Receive, sender: _Sender) -> Answer:
        _check_uncompressed(headers)
        body = Body(receive, headers, limit=FORM_BYTES_MAX, seconds=self._form_timeout)
        try:
            asked, file = await read_form(Form(body, boundary_of(headers)))
            answer = await self._answer(scope, headers, asked, sender, more_seconds=self._form_timeout)
        except (Rejected, RequestError):
            await body.drain()
            raise
        await body.drain()
        if file.failure is not None:
            raise file.failure
        return answer

    async def _answer(
        self,
        scope: Scope,
        headers: Mapping[str, str],
        asked: GraphQLRequest,
        sender: _Sender,
        more_seconds: float = 0.0,
    ) -> Answer:
        executor, operation = self._executor, self._executor.operation(asked)
        name = None if operation.name is None else operation.name[:64]
        add_to_log_line(scope, operation=name, operation_type=operation.kind.value, cost=operation.cost)
        _check_transport(scope["method"], operation)
        request_id = request_id_of(scope)
        token, address, counted = sender
        with operation_part(name, operation.kind.value, headers.get(TRACEPARENT)) as part:
            async with executor.admitted(operation, executor.sender(token, counted)):
                began = time.monotonic()  # the time limit is for authentication and execution together
                identity = await executor.identify(operation, token, request_id, address)
                account = executor.hooks.name_in_logs(identity)
                add_to_log_line(scope, account=account, traceparent=current_traceparent())
                part.set(account=account, request_id=request_id, cost=operation.cost)
                more_seconds -= time.monotonic() - began
                answer = await executor.run(
                    operation, identity, request_id, address=address, sender=counted, more_seconds=more_seconds
                )
                if "errors" in answer.payload:
                    part.fail(", ".join(answer.codes))
                return answer


def bearer_token(authorization: object) -> str | None:
    """The token in `Bearer <token>`; None for anything else."""
    if not isinstance(authorization, str):
        return None
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


async def _read(scope: Scope, headers: Mapping[str, str], receive: Receive) -> GraphQLRequest:
    if scope["method"] == "GET":
        return GraphQLRequest.from_json(_from_query_string(_parameters(scope)))
    if scope["method"] != "POST":
        raise bad_request(f"Use one of {METHODS}.", status=405, headers={"allow": METHODS})
    _check_content_type(headers)
    body = Body(receive, headers, limit=REQUEST_BYTES_MAX, seconds=REQUEST_SECONDS_MAX)
    return GraphQLRequest.from_json(decode_json(await body.whole()))


def _parameters(scope: Scope) -> Mapping[str, str]:
    return QueryParams(scope["query_string"])


def _from_query_string(parameters: Mapping[str, str]) -> dict[str, Any]:
    value: dict[str, Any] = dict(parameters)
    for name in ("variables", "extensions"):
        if name in parameters:
            value[name] = decode_json(parameters[name]) if parameters[name] else None
    return value


def _media_type(headers: Mapping[str, str]) -> list[str]:
    """The content type and its parameters."""
    return [each.strip().lower() for each in headers.get("content-type", "").split(";")]


def _check_content_type(headers: Mapping[str, str]) -> None:
    """Allows only JSON, which a page of another origin cannot send without a CORS preflight."""
    media, *parameters = _media_type(headers)
    charset = next((each[8:].strip('"') for each in parameters if each.startswith("charset=")), "utf-8")
    if media != JSON or charset not in ("utf-8", "utf8"):
        accepted = {"accept-post": f"{JSON}, {MULTIPART}", **CLOSING}
        raise bad_request(f"Send the request as {JSON} in UTF-8.", status=415, headers=accepted)
    _check_uncompressed(headers)


def _check_uncompressed(headers: Mapping[str, str]) -> None:
    if headers.get("content-encoding", "identity") != "identity":
        raise bad_request(
            "Send the request uncompressed.", status=415, headers={"accept-encoding": "identity", **CLOSING}
        )


def _check_transport(method: str, operation: Operation) -> None:
    if operation.kind is OperationType.SUBSCRIPTION:
        raise bad_request("Subscribe over the WebSocket (graphql-transport-ws), not over HTTP.")
    if method == "GET" and operation.kind is not OperationType.QUERY:
        raise bad_request("Only queries can be sent by GET.", status=405, headers={"allow": "POST"})


def _rejected(scope: Scope, rejection: Rejected, media_type: str) -> HttpAnswer:
    add_to_log_line(scope, codes=error_codes(rejection.errors))
    legacy = media_type == JSON and rejection.well_formed
    payload: dict[str, Any] = {"errors": rejection.errors}
    if legacy and rejection.status == 401:
        payload["data"] = None  # a client that ignores errors must not take this for an answer
    return _encoded(payload, 200 if legacy else rejection.status, media_type, rejection.headers)


def _encoded(
    payload: Mapping[str, Any], status: int, media_type: str, headers: Mapping[str, str] | None = None
) -> HttpAnswer:
    try:
        body = orjson.dumps(payload)
    except TypeError:  # a scalar let a Python object through
        log.exception("answer cannot be encoded")
        body = orjson.dumps({"errors": [error_with_code(RequestErrorCode.INTERNAL_SERVER_ERROR, MASKED)]})
        status = 500
    sent = [
        (b"content-type", CONTENT_TYPES[media_type]),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    if headers:
        sent += [(name.encode(), value.encode()) for name, value in headers.items()]
    return HttpAnswer(status, sent, body)
