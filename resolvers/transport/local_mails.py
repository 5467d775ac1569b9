"""A page that shows the mails of a development server, which are files in a folder; never served in production.

Only this machine sees it, whatever address the server listens at: who reads the mails can enter every account. The
host that is asked must be local too, or a page elsewhere could have its own name lead here.
"""

import asyncio
import html
from email import message_from_bytes, policy
from email.message import EmailMessage
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

PATH = "/mails"
SHOWN = 50
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_FORWARDED = ("forwarded", "x-forwarded-for")
_STYLE = (
    "body{font-family:sans-serif;max-width:50em;margin:2em auto;padding:0 1em}"
    "article{border:1px solid #ccc;border-radius:6px;padding:0 1em;margin:1em 0}pre{white-space:pre-wrap}"
)


def mail_routes(folder: Path) -> list[BaseRoute]:
    """The page at `/mails`: the text of the newest mails, the latest first."""

    async def page(request: Request) -> Response:
        if not _is_local(request):
            return Response(status_code=HTTPStatus.NOT_FOUND)
        mails = await asyncio.to_thread(_read, folder)
        body = "\n".join(map(_article, mails)) or "<p>No mails yet.</p>"
        head = f'<meta charset="utf-8"><title>Mails of Photogram</title><style>{_STYLE}</style>'
        text = f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><h1>Mails</h1>\n{body}\n</body></html>\n'
        return HTMLResponse(text, headers={"content-security-policy": POLICY, "cache-control": "no-store"})

    return [Route(PATH, page, methods=["GET"])]


def _is_local(request: Request) -> bool:
    """Whether a request comes from this machine, and through no proxy, which would hide who asks."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return False
    return _is_loopback(request.client.host) and (host == "localhost" or _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None  # on a socket for both
    return (mapped or address).is_loopback


def _read(folder: Path) -> list[EmailMessage]:
    newest = sorted(folder.glob("*.eml"), reverse=True)[:SHOWN]
    return [message_from_bytes(path.read_bytes(), policy=policy.default) for path in newest if path.exists()]


def _article(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    text = html.escape("\n".join(body.get_content().splitlines()) if body is not None else "")
    subject, to, date = (html.escape(str(mail[name])) for name in ("Subject", "To", "Date"))
    return f"<article><h2>{subject}</h2><p>To {to}, {date}</p><pre>{text}</pre></article>"
