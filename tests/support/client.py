"""A client of the API as an app uses it: HTTP, graphql-transport-ws, and presigned requests to S3."""

import asyncio
import base64
import hashlib
import itertools
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Self

import httpx2
from PIL import Image
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.support.waiting import eventually

PASSWORD = "correct horse battery staple"
SOCKETS = Subprotocol("graphql-transport-ws")
_numbers = itertools.count(1)

REGISTER = """mutation ($input: RegisterInput!) {
  register(input: $input) {
    userErrors { code field message } tokens { accessToken refreshToken } viewer { email user { id username } }
  }
}"""
CREATE_UPLOAD = """mutation ($input: CreateUploadInput!) {
  createUpload(input: $input) {
    userErrors { code field message } upload { id status } request { method url headers { name value } }
  }
}"""
UPLOAD_IMAGE = """mutation ($input: UploadImageInput!) {
  uploadImage(input: $input) { userErrors { code field message retryable } upload { id status } }
}"""
CREATE_POST = """mutation ($input: CreatePostInput!) {
  createPost(input: $input) { userErrors { code field message } post { id status } }
}"""
USER_VERBS = (  # the mutations about another person
    "followUser",
    "unfollowUser",
    "acceptFollowRequest",
    "declineFollowRequest",
    "removeFollower",
    "blockUser",
    "unblockUser",
    "muteUser",
    "unmuteUser",
    "dismissSuggestion",
)
WITHOUT_SESSION = {  # the mutations that need no session
    "register",
    "verifyEmail",
    "undoEmailChange",
    "requestEmailVerification",
    "login",
    "completeLogin",
    "beginPasskeyLogin",
    "loginWithPasskey",
    "beginIdentity",
    "loginWithIdentity",
    "refreshSession",
    "requestPasswordReset",
    "resetPassword",
    "requestReport",
    "confirmReport",
}
POST_STATUS = "query ($id: ID!) { post(id: $id) { status } }"


@dataclass(frozen=True)
class Answer:
    """The answer to one operation."""

    status: int
    data: Any
    errors: list[dict[str, Any]]

    @property
    def codes(self) -> list[str]:
        """The codes of the top-level errors."""
        return [error["extensions"]["code"] for error in self.errors]


class Api:
    """The API as one person uses it, or somebody without a session."""

    def __init__(self, http: httpx2.AsyncClient, token: str | None = None) -> None:
        self.http = http
        self.token = token

    async def ask(self, document: str, **variables: Any) -> Answer:
        """Sends one operation."""
        headers = {} if self.token is None else {"authorization": f"Bearer {self.token}"}
        body = {"query": document, "variables": variables}
        response = await self.http.post("/graphql", json=body, headers=headers)
        answer = response.json()
        return Answer(response.status_code, answer.get("data"), answer.get("errors", []))

    async def get(self, document: str, **variables: Any) -> Any:
        """The data of an operation that must not fail."""
        answer = await self.ask(document, **variables)
        assert answer.errors == [], answer
        return answer.data

    async def do(self, name: str, selection: str = "", /, **given: Any) -> Any:
        """The payload of a mutation with this input, `userErrors` included."""
        kind = name[0].upper() + name[1:]
        document = (
            f"mutation ($input: {kind}Input!) {{ {name}(input: $input) {{ "
            f"userErrors {{ code field message retryable retryAfterMs }} {selection} }} }}"
        )
        return (await self.get(document, input=given))[name]

    async def done(self, name: str, selection: str = "", /, **given: Any) -> Any:
        """The payload of a mutation that must not be refused."""
        payload = await self.do(name, selection, **given)
        assert payload["userErrors"] == [], payload
        return payload

    async def refused(self, name: str, /, **given: Any) -> tuple[str, list[str] | None]:
        """The code and field of the one user error with which a mutation must be refused."""
        (error,) = (await self.do(name, **given))["userErrors"]
        assert error["message"]
        return error["code"], error["field"]


class Person(Api):
    """A registered user with a session."""

    id: str
    username: str
    refresh_token: str

    @classmethod
    async def register(cls, http: httpx2.AsyncClient, **given: Any) -> Self:
        name = f"user{next(_numbers)}_{secrets.token_hex(3)}"
        given = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, **given}
        payload = (await Api(http).get(REGISTER, input=given))["register"]
        assert payload["userErrors"] == [], payload
        person = cls(http, payload["tokens"]["accessToken"])
        person.refresh_token = payload["tokens"]["refreshToken"]
        person.id, person.username = payload["viewer"]["user"]["id"], payload["viewer"]["user"]["username"]
        return person

    async def announce(self, data: bytes, **given: Any) -> Any:
        """The payload of `createUpload` for a file."""
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        described = {"format": "JPEG", "byteSize": len(data), "sha256": digest, **given}
        return (await self.get(CREATE_UPLOAD, input=described))["createUpload"]

    async def send(self, request: dict[str, Any], data: bytes) -> httpx2.Response:
        """Sends a file with a presigned request, unchanged but for the length, which is the file's."""
        headers = {header["name"].lower(): header["value"] for header in request["headers"]}
        headers["content-length"] = str(len(data))
        return await self.http.request(request["method"], request["url"], headers=headers, content=data)

    async def upload(self, data: bytes, **given: Any) -> str:
        """Announces a file and sends it to storage; returns the upload's id."""
        payload = await self.announce(data, **given)
        assert payload["userErrors"] == [], payload
        sent = await self.send(payload["request"], data)
        assert sent.is_success, sent.text
        return str(payload["upload"]["id"])

    async def upload_image(
        self, data: bytes, *, called: tuple[str, str] = ("photo.jpg", "image/jpeg"), **given: Any
    ) -> Answer:
        """Sends a file through the API, as a form with the file's name and type. Returns the answer."""
        operations = {"query": UPLOAD_IMAGE, "variables": {"input": {"file": None, **given}}}
        fields = {"operations": json.dumps(operations), "map": '{"0": ["variables.input.file"]}'}
        headers = {"authorization": f"Bearer {self.token}", "graphql-require-preflight": "1"}
        response = await self.http.post(
            "/graphql", data=fields, files={"0": (called[0], data, called[1])}, headers=headers
        )
        answer = response.json()
        return Answer(response.status_code, answer.get("data"), answer.get("errors", []))

    async def create_post(self, *upload_ids: str, **given: Any) -> str:
        """Creates a post and returns its id."""
        images = given.pop("images", [{"uploadId": upload_id} for upload_id in upload_ids])
        payload = (await self.get(CREATE_POST, input={"images": images, **given}))["createPost"]
        assert payload["userErrors"] == [], payload
        return str(payload["post"]["id"])

    async def ready_post(self, data: bytes | None = None, **given: Any) -> str:
        """Creates a post of a small picture, waits until it is READY, and returns its id."""
        post_id = await self.create_post(await self.upload(data or small_jpeg()), **given)
        await self.wait_for_status(post_id, "READY")
        return post_id

    async def wait_for_status(self, post_id: str, status: str, *, seconds: float = 30) -> None:
        """Waits until a post has this status."""

        async def is_so() -> bool:
            post = (await self.get(POST_STATUS, id=post_id))["post"]
            assert post is not None
            return bool(post["status"] == status)

        await eventually(is_so, seconds=seconds, every=0.1)

    @asynccontextmanager
    async def socket(self) -> AsyncIterator["Socket"]:
        """An open socket with this person's session, acknowledged by the server."""
        address = str(self.http.base_url).replace("http", "ws", 1).rstrip("/") + "/graphql"
        async with connect(address, subprotocols=[SOCKETS]) as connection:
            socket = Socket(connection)
            await socket.say({"type": "connection_init", "payload": {"authorization": f"Bearer {self.token}"}})
            assert (await socket.hear())["type"] == "connection_ack"
            yield socket


class Socket:
    """One connection of graphql-transport-ws."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, message: dict[str, Any]) -> None:
        await self.connection.send(json.dumps(message))

    async def hear(self, *, seconds: float = 15) -> dict[str, Any]:
        """The next message."""
        async with asyncio.timeout(seconds):
            message: dict[str, Any] = json.loads(await self.connection.recv())
            return message

    async def subscribe(self, document: str, operation: str = "1", **variables: Any) -> None:
        payload = {"query": document, "variables": variables}
        await self.say({"id": operation, "type": "subscribe", "payload": payload})

    async def next(self, *, seconds: float = 15) -> Any:
        """The data of the next message, which must be a `next` without errors."""
        message = await self.hear(seconds=seconds)
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        return message["payload"]["data"]

    async def closed(self, *, seconds: float = 15) -> int | None:
        """Waits until the server closes. Returns the close code."""
        async with asyncio.timeout(seconds):
            await self.connection.wait_closed()
        return self.connection.close_code


def small_jpeg(colour: tuple[int, int, int] = (60, 120, 200), size: tuple[int, int] = (160, 120)) -> bytes:
    """A picture that is rendered in a moment. No two are the same file."""
    picture = Image.new("RGB", size, colour)
    picture.putpixel((0, 0), tuple(secrets.token_bytes(3)))
    buffer = BytesIO()
    picture.save(buffer, "JPEG", comment=secrets.token_bytes(8))
    return buffer.getvalue()
