"""GraphQL over HTTP, as its specification says: POST for everything but subscriptions, GET for queries."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import structlog
from graphql import OperationType
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from domain.errors import RequestErrorCode
from domain.limits import FORM_BYTES_MAX, REQUEST_BYTES_MAX, REQUEST_SECONDS_MAX
from resolvers.transport.client_address import address_of
from resolvers.transport.content_negotiation import GRAPHQL_JSON, JSON, answer_type, prefers_page
from resolvers.transport.documents import GraphQLRequest, Operation
from resolvers.transport.errors import MASKED, Rejected, bad_request, error_codes, error_with_code
from resolvers.transport.execution import Answer, OperationExecutor
from resolvers.transport.multipart import MULTIPART, Form, boundary_of, read_form
from resolvers.transport.origins import Origins
from resolvers.transport.request_body import CLOSING, Body, decode_json
from resolvers.transport.request_log import add_to_log_line, request_id_of

log = structlog.stdlib.get_logger(__name__)

METHODS = "GET, POST"


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
        request = Request(scope, receive)
        accept = request.headers.get("accept")
        if self._page and request.method == "GET" and "query" not in request.query_params and prefers_page(accept):
            response: Response = RedirectResponse(self._page, status_code=303)
        else:
            try:
                response = await self._respond(request, answer_type(accept))
            except ClientDisconnect:
                return
        await response(scope, receive, send)

    async def _respond(self, request: Request, media_type: str | None) -> Response:
        try:
            if media_type is None:
                raise bad_request(f"This endpoint answers with {GRAPHQL_JSON} or {JSON}.", status=406)
            if self._origins.is_foreign(request.headers):
                raise bad_request("Pages of this origin may not call the API.", status=403, headers=CLOSING)
            answer = await self._serve(request)
        except Rejected as rejection:
            legacy = media_type == JSON and rejection.well_formed
            add_to_log_line(request.scope, codes=error_codes(rejection.errors))
            status = 200 if legacy else rejection.status
            payload: dict[str, Any] = {"errors": rejection.errors}
            if legacy and rejection.status == 401:
                payload["data"] = None  # a client that ignores errors must not take this for an answer
            return _encoded(payload, status, media_type or JSON, rejection.headers)
        add_to_log_line(request.scope, codes=answer.codes)
        return _encoded(answer.payload, 200 if media_type == JSON else answer.status, media_type)

    async def _serve(self, request: Request) -> Answer:
        if request.method == "POST" and _media_type(request.headers)[0] == MULTIPART:
            return await self._serve_form(request)
        return await self._answer(request, await _read(request))

    async def _serve_form(self, request: Request) -> Answer:
        _check_uncompressed(request.headers)
        body = Body(request, limit=FORM_BYTES_MAX, seconds=self._form_timeout)
        try:
            asked, file = await read_form(Form(body, boundary_of(request.headers)))
            answer = await self._answer(request, asked, more_seconds=self._form_timeout)
        except Rejected:
            await body.drain()
            raise
        await body.drain()
        if file.failure is not None:
            raise file.failure
        return answer

    async def _answer(self, request: Request, asked: GraphQLRequest, more_seconds: float = 0.0) -> Answer:
        operation = self._executor.operation(asked)
        name = None if operation.name is None else operation.name[:64]
        add_to_log_line(request.scope, operation=name, operation_type=operation.kind.value, cost=operation.cost)
        _check_transport(request.method, operation)
        request_id = request_id_of(request.scope)
        token, address = bearer_token(request.headers.get("authorization")), address_of(request.scope)
        async with self._executor.admitted(operation, self._executor.sender(token, address)):
            began = time.monotonic()  # the time limit is for authentication and execution together
            identity = await self._executor.identify(operation, token, request_id, address)
            more_seconds -= time.monotonic() - began
            return await self._executor.run(operation, identity, request_id, address=address, more_seconds=more_seconds)


def bearer_token(authorization: object) -> str | None:
    """The token in `Bearer <token>`; None for anything else."""
    if not isinstance(authorization, str):
        return None
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


async def _read(request: Request) -> GraphQLRequest:
    if request.method == "GET":
        return GraphQLRequest.from_json(_from_query_string(request.query_params))
    if request.method != "POST":
        raise bad_request(f"Use one of {METHODS}.", status=405, headers={"allow": METHODS})
    _check_content_type(request.headers)
    body = Body(request, limit=REQUEST_BYTES_MAX, seconds=REQUEST_SECONDS_MAX)
    return GraphQLRequest.from_json(decode_json(await body.whole()))


def _from_query_string(parameters: Mapping[str, str]) -> dict[str, Any]:
    value: dict[str, Any] = dict(parameters)
    for name in ("variables", "extensions"):
        if name in parameters:
            value[name] = decode_json(parameters[name]) if parameters[name] else None
    return value


def _media_type(headers: Headers) -> list[str]:
    """The content type and its parameters."""
    return [each.strip().lower() for each in headers.get("content-type", "").split(";")]


def _check_content_type(headers: Headers) -> None:
    """Allows only JSON, which a page of another origin cannot send without a CORS preflight."""
    media, *parameters = _media_type(headers)
    charset = next((each[8:].strip('"') for each in parameters if each.startswith("charset=")), "utf-8")
    if media != JSON or charset not in ("utf-8", "utf8"):
        accepted = {"accept-post": f"{JSON}, {MULTIPART}", **CLOSING}
        raise bad_request(f"Send the request as {JSON} in UTF-8.", status=415, headers=accepted)
    _check_uncompressed(headers)


def _check_uncompressed(headers: Headers) -> None:
    if headers.get("content-encoding", "identity") != "identity":
        raise bad_request(
            "Send the request uncompressed.", status=415, headers={"accept-encoding": "identity", **CLOSING}
        )


def _check_transport(method: str, operation: Operation) -> None:
    if operation.kind is OperationType.SUBSCRIPTION:
        raise bad_request("Subscribe over the WebSocket (graphql-transport-ws), not over HTTP.")
    if method == "GET" and operation.kind is not OperationType.QUERY:
        raise bad_request("Only queries can be sent by GET.", status=405, headers={"allow": "POST"})


def _encoded(
    payload: Mapping[str, Any], status: int, media_type: str, headers: Mapping[str, str] | None = None
) -> Response:
    try:
        content = orjson.dumps(payload)
    except TypeError:  # a scalar let a Python object through
        log.exception("answer cannot be encoded")
        content = orjson.dumps({"errors": [error_with_code(RequestErrorCode.INTERNAL_SERVER_ERROR, MASKED)]})
        status = 500
    return Response(
        content,
        status_code=status,
        headers={"cache-control": "no-store", **(headers or {})},
        media_type=f"{media_type}; charset=utf-8",
    )
