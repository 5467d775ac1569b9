"""requestExport: the owner, who has proved who they are, fetches everything; nobody else gets anything."""

import json
import zipfile
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import httpx2
import pytest
from PIL import Image

from domain.ids import from_global_id
from tests.e2e.conftest import Register
from tests.support.client import PASSWORD, Api, Person
from tests.support.factories import World, opened
from tests.support.stack import Stack
from tests.support.waiting import eventually

FIELDS = "id status progress requestedAt byteSize availableUntil files { name byteSize url }"
EXPORT = f"{{ viewer {{ export {{ {FIELDS} }} }} }}"
NODE = "query ($id: ID!) { node(id: $id) { id ... on Export { files { url } } } }"


@pytest.fixture
async def world(stack: Stack) -> AsyncIterator[World]:
    """The stores below the running processes."""
    async with opened(stack.settings) as world:
        yield world


async def export_of(person: Api) -> Any:
    return (await person.get(EXPORT))["viewer"]["export"]


async def when_ready(person: Person) -> dict[str, Any]:
    async def find() -> Any:
        export = await export_of(person)
        return export if export["status"] == "READY" else None

    found: dict[str, Any] = await eventually(find, seconds=30, every=0.2)
    return found


async def test_the_archive_has_the_posts_and_their_images(register: Register, http: httpx2.AsyncClient) -> None:
    ana = await register()
    post_id = await ana.ready_post(caption="hello, archive")
    asked = (await ana.done("requestExport", f"export {{ {FIELDS} }}"))["export"]
    assert (asked["byteSize"], asked["files"], asked["availableUntil"]) == (None, [], None)
    made = await when_ready(ana)
    assert made["progress"] == 1.0
    (file,) = made["files"]
    answer = await http.get(file["url"])
    assert (answer.status_code, len(answer.content)) == (200, file["byteSize"]) == (200, made["byteSize"])
    assert answer.headers["content-disposition"] == f'attachment; filename="{file["name"]}"'
    archive = zipfile.ZipFile(BytesIO(answer.content))
    assert json.loads(archive.read("account.json"))["email"] == f"{ana.username}@example.com"
    (post,) = json.loads(archive.read("posts-0001.json"))
    assert (post["id"], post["caption"]) == (post_id, "hello, archive")
    name = f"images/{post['images'][0]['uploadId']}.jpg"
    assert Image.open(BytesIO(archive.read(name))).size == (160, 120)
    again = (await ana.done("requestExport", f"export {{ {FIELDS} }}"))["export"]
    assert (again["requestedAt"], again["status"]) == (made["requestedAt"], "READY")
    assert (await http.get(file["url"].partition("?")[0])).status_code == 403


async def test_only_its_owner_gets_it_and_only_with_a_fresh_proof(register: Register, world: World) -> None:
    ana, bob = await register(), await register()
    payload = await ana.done("createAccessToken", "text", name="a program", scopes=["READ", "WRITE"])
    program = Api(ana.http, payload["text"])
    document = "mutation { requestExport(input: {}) { userErrors { code } } }"
    assert (await program.ask(document)).codes == ["INSUFFICIENT_SCOPE"]
    await ana.done("requestExport")
    made = await when_ready(ana)
    assert (await bob.get(NODE, id=made["id"]))["node"] is None
    assert await export_of(bob) is None
    assert (await program.get(NODE, id=made["id"]))["node"] == {"id": made["id"], "files": [{"url": None}]}
    sessions = {"user_id": from_global_id(ana.id)[1]}
    await world.sources.database["sessions"].update_many(sessions, {"$unset": {"confirmed_at": ""}})
    assert [file["url"] for file in (await export_of(ana))["files"]] == [None]
    assert await ana.refused("requestExport") == ("IDENTITY_NOT_CONFIRMED", None)
    assert await ana.refused("requestExport", password="not the password") == ("INVALID_CREDENTIALS", ["password"])
    await ana.done("requestExport", password=PASSWORD)
    await ana.done("confirmIdentity", password=PASSWORD)
    assert all(file["url"] for file in (await export_of(ana))["files"])
