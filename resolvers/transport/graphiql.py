"""Serves GraphiQL from our own files, under a policy that lets the page load nothing from anywhere else."""

from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FILES = Path(__file__).parent / "static" / "graphiql"
PATH = "/graphiql"

# Scripts only from files of ours. GraphiQL's editor and its animations set styles from script, and its fonts and
# icons are data URLs. 'self' covers the WebSocket to this host.
POLICY = "; ".join(  # noqa: FLY002  one directive a line
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def graphiql_routes() -> list[BaseRoute]:
    """The page at `/graphiql`, where `/` leads too, and its files below `/graphiql/static`; `graphql` is beside it."""
    return [
        Route("/", RedirectResponse(PATH, status_code=307), methods=["GET"]),
        Route(PATH, page, methods=["GET"]),
        Mount(f"{PATH}/static", _Revalidated(StaticFiles(directory=FILES))),
    ]


async def page(_request: Request) -> Response:
    return FileResponse(FILES / "index.html", headers={"content-security-policy": POLICY, "cache-control": "no-cache"})


class _Revalidated:
    """Has browsers ask each time whether a file changed: an ETag and an empty answer, once they have it.

    The ETag is a weak one: it stands for the file in whatever coding it is sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["cache-control"] = "no-cache"
                if headers.get("etag", "W/").startswith('"'):
                    headers["etag"] = f"W/{headers['etag']}"
            await send(message)

        await self._app(scope, receive, marked)
