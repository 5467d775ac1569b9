"""The messages of graphql-transport-ws. Each that is read is well-formed, or the socket is closed with a code.

Close codes: 4400 malformed message, 4401 subscribe before the acknowledgement, 4403 bad or revoked token,
4406 wrong subprotocol, 4408 no connection_init in time, 4409 duplicate id, 4410 the client does not read,
4429 a second connection_init, 1009 message too large, 1011 our fault, 1012 this server goes away, 1013 try later.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from domain.limits import SOCKET_OPERATION_ID_MAX
from resolvers.transport.documents import asks_by_hash
from resolvers.transport.http import bearer_token
from resolvers.transport.json_parsing import parse_json

REASON_MAX = 123  # bytes, by RFC 6455


class Closed(Exception):
    """The socket must be closed with this code, or the client closed it."""

    def __init__(self, code: int, reason: str = "", *, by_client: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason
        self.by_client = by_client


def short(reason: str) -> str:
    """A close reason that fits into a close frame."""
    return reason.encode()[:REASON_MAX].decode(errors="ignore")


def message_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """The message, with its `type`, of an ASGI event. Raises Closed, with 4400 for what is none, also a binary one."""
    if event["type"] == "websocket.disconnect":
        raise Closed(event.get("code") or 1005, by_client=True)
    try:
        message = parse_json(event.get("text") or "")
    except ValueError:
        raise Closed(4400, "A message must be a JSON object") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise Closed(4400, "A message must be a JSON object with a type")
    return message


def payload_of(message: Mapping[str, Any]) -> dict[str, Any] | None:
    payload = message.get("payload")
    if not isinstance(payload, dict | None):
        raise Closed(4400, "A payload must be an object")
    return payload


def id_of(message: Mapping[str, Any]) -> str:
    id_ = message.get("id")
    if not isinstance(id_, str) or not 0 < len(id_) <= SOCKET_OPERATION_ID_MAX:
        raise Closed(4400, f"An id must be a string of 1 to {SOCKET_OPERATION_ID_MAX} characters")
    return id_


def request_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of a `subscribe`, its members of the types that the protocol gives them. Raises Closed (4400).

    A hash in place of the document is well-formed; `GraphQLRequest` refuses it.
    """
    payload = payload_of(message)
    if payload is None or not (isinstance(payload.get("query"), str) or asks_by_hash(payload)):
        raise Closed(4400, "A subscribe payload must be an object with a query, a string")
    if not isinstance(payload.get("operationName"), str | None):
        raise Closed(4400, "operationName must be a string")
    for name in ("variables", "extensions"):
        if not isinstance(payload.get(name), dict | None):
            raise Closed(4400, f"{name} must be an object")
    return payload


def token_of(payload: Mapping[str, Any]) -> str | None:
    """The bearer token in `authorization` (any case) or `accessToken`. A malformed one is returned, to be refused."""
    members = {name.lower(): value for name, value in payload.items()}
    given = members.get("authorization") or members.get("accesstoken")
    if given is None:
        return None
    return bearer_token(given) or str(given).strip() or None


def next_message(id_: str, payload: bytes) -> bytes:
    """The message `next` of an operation, with a payload that is JSON already."""
    return b'{"id":%b,"type":"next","payload":%b}' % (orjson.dumps(id_), payload)
