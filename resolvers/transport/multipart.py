"""GraphQL multipart requests (graphql-multipart-request-spec): one operation, then one file, read as it arrives.

Nothing of the file is kept here: the mutation reads it piece by piece, and the client waits meanwhile.
"""

from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect

from domain.errors import RequestError, RequestErrorCode
from domain.limits import FORM_MAP_BYTES_MAX, FORM_PART_HEADERS_MAX, REQUEST_BYTES_MAX
from resolvers.transport.documents import GraphQLRequest
from resolvers.transport.errors import Rejected, bad_request
from resolvers.transport.request_body import Body, decode_json

MULTIPART = "multipart/form-data"

# A page of another origin can send a form, but no header of its own without a CORS preflight. Clients send these
# headers already: the names are those of GraphQL servers in general, of Hot Chocolate, and of Apollo.
PREFLIGHT_HEADERS = (
    "graphql-require-preflight",
    "graphql-preflight",
    "apollo-require-preflight",
    "x-apollo-operation-name",
)

PartName = str
Event = bytes | PartName | None  # data of a part; a part begins; the form ends


def boundary_of(headers: Mapping[str, str]) -> bytes:
    """The form's boundary. Raises Rejected (400) if there is none, or if a foreign page may have sent the form."""
    if not any(headers.get(name) for name in PREFLIGHT_HEADERS):
        message = f"A multipart request needs one of these headers, with any value: {', '.join(PREFLIGHT_HEADERS)}."
        raise bad_request(message)
    boundary = parse_options_header(headers["content-type"])[1].get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:  # RFC 2046
        raise bad_request("A multipart request names its boundary, of at most 70 characters.")
    return boundary


class Form:
    """The parts of a form, in the order they come."""

    def __init__(self, body: Body, boundary: bytes) -> None:
        self._body = body
        self._events: deque[Event] = deque()
        self._header: list[bytes] = [b"", b""]
        self._name: PartName | None = None
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_begin": self._begin_header,
                "on_header_field": lambda data, start, end: self._add_to_header(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._add_to_header(1, data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._name_part,
                "on_part_data": lambda data, start, end: self._events.append(data[start:end]),
                "on_end": lambda: self._events.append(None),
            },
            max_header_count=FORM_PART_HEADERS_MAX,
        )

    async def begin(self, name: PartName) -> None:
        """Moves to the next part. Raises Rejected (400) unless it has this name."""
        if await self._next() != name:
            raise bad_request(f"The form's parts are `operations`, `map` and the file, in this order: no {name!r}.")
        self._events.popleft()

    async def data(self) -> bytes:
        """The next bytes of the current part, none at its end."""
        event = await self._next()
        if not isinstance(event, bytes):
            return b""
        self._events.popleft()
        return event

    async def value(self, name: PartName, limit: int) -> object:
        """The JSON of the next part, which has this name. Raises Rejected (400, 413)."""
        await self.begin(name)
        text = bytearray()
        while data := await self.data():
            text += data
            if len(text) > limit:
                raise bad_request(f"`{name}` is larger than {limit} bytes.", status=413)
        return decode_json(bytes(text), f"`{name}`")

    async def end(self) -> None:
        """Raises Rejected (400) unless the form ends here."""
        if await self._next() is not None:
            raise bad_request("A request carries one file.")

    async def _next(self) -> Event:
        """The next event, without taking it. Raises Rejected (400, and as `Body.read`), ClientDisconnect."""
        while not self._events:
            chunk = await self._body.read()
            if not chunk:
                raise bad_request("The form is cut off.")
            try:
                self._parser.write(chunk)
            except FormParserError:
                raise bad_request("The form is malformed.") from None
        return self._events[0]

    def _begin_part(self) -> None:
        self._name = None

    def _begin_header(self) -> None:
        self._header = [b"", b""]

    def _add_to_header(self, side: int, data: bytes) -> None:
        self._header[side] += data

    def _end_header(self) -> None:
        field, value = self._header
        if field.lower() == b"content-disposition":
            name = parse_options_header(value)[1].get(b"name")
            self._name = None if name is None else name.decode(errors="replace")

    def _name_part(self) -> None:
        if self._name is None:
            raise bad_request("Every part of the form has a name.")
        self._events.append(self._name)


class FormFile(AsyncIterator[bytes]):
    """The file of a form, as the value of a variable: its bytes as they arrive, to be read once.

    Reading raises RequestError if the rest does not arrive, or if the form does not end with the file. `failure` is
    then the client's answer. So a reader that reaches the end has read the whole file.
    """

    def __init__(self, form: Form) -> None:
        self._form = form
        self._begun = False
        self.failure: Rejected | ClientDisconnect | None = None

    def __aiter__(self) -> Self:
        if self._begun:
            raise RequestError(RequestErrorCode.BAD_USER_INPUT, "One file makes one upload.")
        self._begun = True
        return self

    async def __anext__(self) -> bytes:
        try:
            data = await self._form.data()
            if not data:
                await self._form.end()
        except (Rejected, ClientDisconnect) as failure:
            self.failure = failure
            raise RequestError(RequestErrorCode.BAD_REQUEST, str(failure)) from None
        if not data:
            raise StopAsyncIteration
        return data


async def read_form(form: Form) -> tuple[GraphQLRequest, FormFile]:
    """The request, with the file in its variables, still to be read. Raises Rejected, ClientDisconnect."""
    request = GraphQLRequest.from_json(await form.value("operations", REQUEST_BYTES_MAX))
    match await form.value("map", FORM_MAP_BYTES_MAX):
        case dict(files) if len(files) == 1:
            [(name, paths)] = files.items()
        case _:
            raise bad_request("`map` is an object that names one file.")
    match paths:
        case [str(path)]:
            file = FormFile(form)
            _put(file, {"variables": request.variables}, path)
        case _:
            raise bad_request("In `map` a file has a list of one path.")
    await form.begin(name)
    return request, file


def _put(file: FormFile, root: Any, path: str) -> None:
    """Puts the file where a dotted path leads, in place of null. Raises Rejected (400)."""
    *steps, last = path.split(".")
    holder = root
    for step in steps:
        holder = holder[_key(holder, step, path)]
    key = _key(holder, last, path)
    if holder[key] is not None:
        raise _leads_nowhere(path)
    holder[key] = file


def _key(holder: object, step: str, path: str) -> Any:
    match holder:
        case dict() if step in holder:
            return step
        case list() if step.isdecimal() and int(step) < len(holder):
            return int(step)
    raise _leads_nowhere(path)


def _leads_nowhere(path: str) -> Rejected:
    return bad_request(f"`map` leads to a variable that is null; {path[:100]!r} does not.")
