"""Files over the GraphQL multipart request: what is accepted, and how everything else is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from domain.limits import FORM_BYTES_MAX, FORM_MAP_BYTES_MAX, REQUEST_BYTES_MAX
from resolvers.transport.multipart import PREFLIGHT_HEADERS
from tests.support.toy.http import BOUNDARY, FORM_HEADERS, MEASURE, Part, form
from tests.support.toy.server import Served, served, until

GRAPHQL = "application/graphql-response+json"
PARCEL = "mutation ($parcel: Parcel!) { measureParcel(parcel: $parcel) }"
FILE = b"GIF89a\r\n--\r\n" * 100


@pytest.fixture(scope="module")
async def toy() -> AsyncIterator[Served]:
    async with served(form_timeout=1.0, origins=("https://app.example",)) as running:
        yield running


@pytest.fixture(scope="module")
async def client(toy: Served) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=toy.url, timeout=20) as opened:
        yield opened


def parts(
    *, query: str = MEASURE, variables: Any = None, paths: Any = None, file: bytes = FILE, **members: Any
) -> list[Part]:
    """The parts of a good request, but for what is given."""
    variables = {"file": None} if variables is None else variables
    operations = {"query": query, "variables": variables, **members}
    files = {"0": ["variables.file"] if paths is None else paths}
    return [("operations", json.dumps(operations).encode()), ("map", json.dumps(files).encode()), ("0", file)]


async def send(client: httpx2.AsyncClient, body: bytes | AsyncIterator[bytes], **headers: str) -> httpx2.Response:
    return await client.post("/graphql", content=body, headers={**FORM_HEADERS, **headers})


def code(response: httpx2.Response) -> str:
    body = response.json()
    assert "data" not in body, body
    [error] = body["errors"]
    assert error["message"]
    return str(error["extensions"]["code"])


async def test_a_file_reaches_the_resolver(client: httpx2.AsyncClient) -> None:
    response = await send(client, form(parts()))
    assert response.status_code == 200
    assert response.headers["content-type"] == f"{GRAPHQL}; charset=utf-8"
    assert response.json()["data"] == {"measure": f"{len(FILE)} bytes"}


async def test_form_may_come_in_pieces_of_any_size(client: httpx2.AsyncClient) -> None:
    body = form(parts(file=FILE[:300]))

    async def dripping() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 7):
            yield body[start : start + 7]

    assert (await send(client, dripping())).json()["data"] == {"measure": "300 bytes"}


async def test_file_may_be_deep_in_the_variables(client: httpx2.AsyncClient) -> None:
    given = parts(query=PARCEL, variables={"parcel": {"files": [None]}}, paths=["variables.parcel.files.0"])
    assert (await send(client, form(given))).json()["data"] == {"measureParcel": f"{len(FILE)} bytes"}


async def test_empty_file_is_a_file(client: httpx2.AsyncClient) -> None:
    assert (await send(client, form(parts(file=b"")))).json()["data"] == {"measure": "0 bytes"}


async def test_a_form_as_a_client_library_writes_it_is_accepted(client: httpx2.AsyncClient) -> None:
    fields = {name: value.decode() for name, value in parts()[:2]}
    response = await client.post(
        "/graphql", data=fields, files={"0": ("a.gif", FILE, "image/gif")}, headers={"apollo-require-preflight": "true"}
    )
    assert response.json()["data"] == {"measure": f"{len(FILE)} bytes"}


async def test_file_is_never_held_in_one_piece(client: httpx2.AsyncClient, toy: Served) -> None:
    toy.world.largest = 0
    response = await send(client, form(parts(file=b"x" * 4_000_000)))
    assert response.json()["data"] == {"measure": "4000000 bytes"}
    assert 0 < toy.world.largest <= 256 * 1024


@pytest.mark.parametrize("name", PREFLIGHT_HEADERS)
async def test_form_a_foreign_page_could_send_is_refused(client: httpx2.AsyncClient, toy: Served, name: str) -> None:
    before = len(toy.world.contexts)
    headers = {"content-type": FORM_HEADERS["content-type"], "accept": GRAPHQL}
    refused = await client.post("/graphql", content=form(parts()), headers=headers)
    assert (refused.status_code, code(refused)) == (400, "BAD_REQUEST")
    empty = await client.post("/graphql", content=form(parts()), headers={**headers, name: ""})
    assert empty.status_code == 400
    assert len(toy.world.contexts) == before
    taken = await client.post("/graphql", content=form(parts()), headers={**headers, name: "any"})
    assert taken.status_code == 200


@pytest.mark.parametrize("name", PREFLIGHT_HEADERS)
async def test_only_allowed_origins_may_send_the_header(client: httpx2.AsyncClient, name: str) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": f"authorization,{name}"}
    allowed = await client.options("/graphql", headers={"origin": "https://app.example", **asked})
    assert (allowed.status_code, name in allowed.headers["access-control-allow-headers"]) == (200, True)
    refused = await client.options("/graphql", headers={"origin": "https://evil.example", **asked})
    assert "access-control-allow-origin" not in refused.headers


OPERATIONS, MAP, THE_FILE = parts()
PATHS: list[Any] = [
    *("variables.file", {}, [], [None], [7], ["variables.file", "variables.list.0"], [["variables.file"]]),
    *([""], ["."], ["variables"], ["variables."], ["file"], ["query"], ["operations.variables.file"]),
    *(["variables.other"], ["variables.file.deeper"], ["variables.text"], ["variables.text.0"]),
    *(["variables.list.1"], ["variables.list.-1"], ["variables.list.x"], ["variables.list." + "9" * 3_000]),
    *(["variables.list.²"], ["variables.__class__"], ["variables" * 400]),
]
MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "no form": b"hello",
    "no parts": form([]),
    "only an end": b"--",
    "another boundary": form(parts()).replace(BOUNDARY.encode(), b"----other"),
    "cut off in the operations": form(parts())[:60],
    "cut off before the map": form([OPERATIONS], ended=False),
    "cut off before the file": form([OPERATIONS, MAP], ended=False),
    "cut off in the file": form(parts(), ended=False)[:-20],
    "cut off after the file": form(parts(), ended=False),
    "file missing": form([OPERATIONS, MAP]),
    "map missing": form([OPERATIONS, THE_FILE]),
    "operations missing": form([MAP, THE_FILE]),
    "file first": form([THE_FILE, OPERATIONS, MAP]),
    "map first": form([MAP, OPERATIONS, THE_FILE]),
    "operations twice": form([OPERATIONS, OPERATIONS, MAP, THE_FILE]),
    "map twice": form([OPERATIONS, MAP, MAP, THE_FILE]),
    "file twice": form([OPERATIONS, MAP, THE_FILE, THE_FILE]),
    "field after the file": form([OPERATIONS, MAP, THE_FILE, ("note", b"hello")]),
    "file of another name": form([OPERATIONS, MAP, ("1", FILE)]),
    "part without a name": form(parts()).replace(b'name="0"; ', b""),
    "part without headers": f"--{BOUNDARY}\r\n\r\nhello\r\n--{BOUNDARY}--\r\n".encode(),
    "header without a name": form(parts()).replace(b"Content-Disposition", b""),
    "endless header": form(parts()).replace(b"Content-Disposition", b"x" * 100_000),
    "many headers": form(parts()).replace(b"Content-Disposition", b"a: b\r\n" * 100 + b"Content-Disposition"),
    "operations not JSON": form([("operations", b"{"), MAP, THE_FILE]),
    "operations not UTF-8": form([("operations", b'{"query":"\xff"}'), MAP, THE_FILE]),
    "operations a string": form([("operations", b'"x"'), MAP, THE_FILE]),
    "operations null": form([("operations", b"null"), MAP, THE_FILE]),
    "a batch": form([("operations", b"[" + OPERATIONS[1] + b"]"), ("map", b'{"0":["0.variables.file"]}'), THE_FILE]),
    "operations nested deeply": form([("operations", b"[" * 50_000), MAP, THE_FILE]),
    "variables nested deeply": form([("operations", b'{"query":"{hello}","variables":' + b'{"a":' * 50_000), MAP]),
    "variables a list": form(parts(variables=[None], paths=["variables.0"])),
    "variables a number": form(parts(variables=7)),
    "map not JSON": form([OPERATIONS, ("map", b"{"), THE_FILE]),
    "map nested deeply": form([OPERATIONS, ("map", b"[" * 4_000), THE_FILE]),
    "map a list": form([OPERATIONS, ("map", b'[["variables.file"]]'), THE_FILE]),
    "map null": form([OPERATIONS, ("map", b"null"), THE_FILE]),
    "map empty": form([OPERATIONS, ("map", b"{}"), THE_FILE]),
    "several files": form([OPERATIONS, ("map", b'{"0":["variables.file"],"1":["variables.other"]}'), THE_FILE]),
    **{
        f"paths {paths}": form(parts(paths=paths, variables={"file": None, "list": [None], "text": "there"}))
        for paths in PATHS
    },
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_malformed_form_is_a_bad_request(client: httpx2.AsyncClient, toy: Served, body: bytes) -> None:
    with capture_logs() as logs:
        response = await send(client, body)
    assert (response.status_code, code(response)) == (400, "BAD_REQUEST")
    legacy = await send(client, body, accept="application/json")
    assert (legacy.status_code, legacy.headers["content-type"]) == (400, "application/json; charset=utf-8")
    assert [line["event"] for line in logs] == ["request"]
    assert toy.world.running == 0


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        f"multipart/form-data; boundary={'x' * 71}",
        "multipart/form-data; charset=utf-8",
        "MULTIPART/FORM-DATA; boundary*=utf-8''x",
    ],
)
async def test_form_without_a_sane_boundary_is_a_bad_request(client: httpx2.AsyncClient, content_type: str) -> None:
    response = await send(client, form(parts()), **{"content-type": content_type})
    assert (response.status_code, code(response)) == (400, "BAD_REQUEST")


async def test_compressed_form_is_refused(client: httpx2.AsyncClient) -> None:
    response = await send(client, form(parts()), **{"content-encoding": "gzip"})
    assert (response.status_code, code(response)) == (415, "BAD_REQUEST")


@pytest.mark.parametrize(
    ("given", "status", "expected"),
    [
        (parts(query="{"), 400, "GRAPHQL_PARSE_FAILED"),
        (parts(query="{nope}"), 400, "GRAPHQL_VALIDATION_FAILED"),
        (parts(query='mutation { measure(file: "a string") }'), 400, "GRAPHQL_VALIDATION_FAILED"),
        (parts(query="query ($file: String!) { hello(name: $file) }"), 400, "BAD_USER_INPUT"),
        (parts(query="subscription ($file: Upload!) { count }"), 400, "GRAPHQL_VALIDATION_FAILED"),
        (parts(query="subscription { count }"), 400, "BAD_REQUEST"),
        (parts(query="{" + "hello " * 3_000 + "}"), 400, "OPERATION_TOO_COMPLEX"),
        (parts(operationName=7), 400, "BAD_REQUEST"),
        (parts(query=""), 400, "BAD_REQUEST"),
        ([("operations", b" " * (REQUEST_BYTES_MAX + 1)), MAP, THE_FILE], 413, "BAD_REQUEST"),
        ([OPERATIONS, ("map", b" " * (FORM_MAP_BYTES_MAX + 1)), THE_FILE], 413, "BAD_REQUEST"),
    ],
)
async def test_request_that_cannot_be_served_says_why(
    client: httpx2.AsyncClient, given: list[Part], status: int, expected: str
) -> None:
    response = await send(client, form(given))
    assert (response.status_code, code(response)) == (status, expected)


@pytest.mark.parametrize("value", ["a.gif", 7, {}, [], True])
async def test_only_a_file_is_an_upload(client: httpx2.AsyncClient, value: object) -> None:
    body = {"query": MEASURE, "variables": {"file": value}}
    response = await client.post("/graphql", json=body, headers={"accept": GRAPHQL})
    assert (response.status_code, code(response)) == (400, "BAD_USER_INPUT")


async def test_one_file_is_read_once(client: httpx2.AsyncClient) -> None:
    response = await send(
        client, form(parts(query="mutation ($file: Upload!) { a: measure(file: $file) b: measure(file: $file) }"))
    )
    body = response.json()
    assert body["data"] == {"a": f"{len(FILE)} bytes", "b": None}
    assert [error["extensions"]["code"] for error in body["errors"]] == ["BAD_USER_INPUT"]


async def test_a_client_that_sends_a_large_file_gets_a_refusal_made_without_reading_it(
    client: httpx2.AsyncClient,
) -> None:
    refuse = "mutation ($file: Upload!) { refuse(file: $file) }"
    for _ in range(2):  # over the same connection
        response = await send(client, form(parts(query=refuse, file=b"x" * 5_000_000)))
        assert response.status_code == 200
        assert [error["extensions"]["code"] for error in response.json()["errors"]] == ["UNAUTHENTICATED"]


async def test_a_bad_token_is_refused_before_the_file_is_taken(client: httpx2.AsyncClient, toy: Served) -> None:
    toy.world.largest = 0
    for _ in range(2):  # over the same connection
        response = await client.post(
            "/graphql", content=form(parts()), headers={**FORM_HEADERS, "authorization": "Bearer bad"}
        )
        assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")
    assert toy.world.largest == 0


async def begun(toy: Served, sent: bytes, length: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request of so many bytes, of which these have been sent."""
    headers = {"host": "x", **FORM_HEADERS, "content-length": length}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", toy.port)
    writer.write(f"POST /graphql HTTP/1.1\r\n{head}\r\n".encode() + sent)
    return reader, writer


async def closing_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[bytes, str]:
    """Status and code of the answer that the server closes the connection after."""
    async with asyncio.timeout(10):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head.split()[1], json.loads(body)["errors"][0]["extensions"]["code"]


async def test_form_that_is_announced_to_be_too_large_is_refused_unread(toy: Served) -> None:
    assert await closing_answer(*await begun(toy, b"", FORM_BYTES_MAX + 1)) == (b"413", "BAD_REQUEST")


async def test_form_without_an_end_is_refused(client: httpx2.AsyncClient, toy: Served) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield form(parts(), ended=False)[:-2]
        while True:
            yield b"x" * 65_536

    try:
        response = await send(client, endless())
    except (httpx2.WriteError, httpx2.ReadError):
        pass  # the server hung up while we were still sending
    else:
        assert (response.status_code, code(response)) == (413, "BAD_REQUEST")
    await until(lambda: toy.world.running == 0)


@pytest.mark.parametrize("sent", [0, 100, -20], ids=["nothing", "part of the operations", "part of the file"])
async def test_sender_who_stops_half_way_is_given_up(toy: Served, sent: int) -> None:
    body = form(parts())
    assert await closing_answer(*await begun(toy, body[:sent], len(body))) == (b"408", "BAD_REQUEST")
    assert toy.world.running == 0


async def test_sender_who_leaves_half_way_stops_the_operation_and_nothing_else(
    client: httpx2.AsyncClient, toy: Served
) -> None:
    body = form(parts())
    with capture_logs() as logs:
        _, writer = await begun(toy, body[:-20], len(body))
        await until(lambda: toy.world.running == 1)
        writer.close()
        await writer.wait_closed()
        await until(lambda: toy.world.running == 0)
        await until(lambda: logs)
    assert [(line["event"], line["status"]) for line in logs] == [("request", 0)]
    assert (await send(client, form(parts()))).status_code == 200
