"""What mails say: a letter, in text and HTML, of the texts of a language.

The HTML loads nothing from anywhere, and what is filled in is escaped. A link has its token after the `#`, which
browsers send to no server.
"""

import functools
import html
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from importlib import resources
from typing import Any

import msgspec

from datasources.mongo import clock
from domain.email_addresses import sendable_email
from domain.mails import MAILS, MailKind

_TEXTS = resources.files("datasources.mail") / "texts"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A mail before it is written out; `id` is the same each time that it is sent, so that clients show it once."""

    id: str
    kind: MailKind
    to: str
    language: str
    username: str | None = None
    values: Mapping[str, str] = {}
    token: str | None = None


def write(letter: Letter, *, sender: str, app_url: str | None) -> EmailMessage:
    """The message, ready to be sent. Raises ValueError for an address that cannot stand in a header."""
    texts = texts_of(letter.language)
    name, address = parseaddr(sender)
    message = EmailMessage()
    message["From"] = Address(name, addr_spec=address)
    message["To"] = sendable_email(letter.to)
    message["Subject"] = texts[letter.kind]["subject"]
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = f"<{letter.id}@{address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = letter.language
    parts = list(_parts(letter, texts, app_url))
    message.set_content("\n\n".join(text for text, _ in parts) + "\n", cte="quoted-printable")
    body = "\n".join(markup for _, markup in parts)
    message.add_alternative(_page(body, letter.language), subtype="html", cte="quoted-printable")
    return message


def _parts(letter: Letter, texts: Mapping[str, Any], app_url: str | None) -> Iterator[tuple[str, str]]:
    """The paragraphs, as text and as HTML."""
    layout, own = texts["layout"], texts[letter.kind]
    values = {**letter.values, "username": f"@{letter.username}"}
    yield _paragraph(layout["greeting" if letter.username else "greeting_unknown"].format_map(values))
    yield from _filled(own["before"], values)
    if letter.token is not None:
        if app_url is not None:
            url = f"{app_url.rstrip('/')}/{MAILS[letter.kind].page}#token={letter.token}"
            style = "background:#1a56db;color:#fff;padding:12px 20px;border-radius:6px;text-decoration:none"
            href, button = html.escape(url), html.escape(own["button"])
            yield f"{own['button']}:\n{url}", f'<p><a href="{href}" style="{style}">{button}</a></p>'
        yield (
            f"{layout['code']}\n{letter.token}",
            f"<p>{html.escape(layout['code'])}<br><code>{letter.token}</code></p>",
        )
    yield from _filled(own.get("after", ()), values)
    footer = layout["footer"]
    yield f"-- \n{footer}", f'<p style="color:#666;font-size:13px">{html.escape(footer)}</p>'


def _filled(texts: Iterable[str], values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The paragraphs that have something to say: a decision may come without a statement."""
    yield from (_paragraph(filled) for text in texts if (filled := text.format_map(values)).strip())


def _paragraph(text: str) -> tuple[str, str]:
    return text, f"<p>{html.escape(text)}</p>"


def _page(body: str, language: str) -> str:
    style = "font-family:sans-serif;font-size:16px;line-height:1.5;max-width:36em;margin:auto;padding:16px"
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"></head>\n<body style="{style}">\n{body}\n</body></html>\n'
    )


@functools.cache
def languages() -> frozenset[str]:
    """The languages that have texts."""
    return frozenset(each.name.removesuffix(".toml") for each in _TEXTS.iterdir() if each.name.endswith(".toml"))


@functools.cache
def texts_of(language: str) -> Mapping[str, Any]:
    """The texts of one of `languages`."""
    return tomllib.loads((_TEXTS / f"{language}.toml").read_text("utf-8"))


def best_language(*wanted: str | None) -> str:
    """The first of these language tags that has texts, if need be without its region; else English."""
    for tag in wanted:
        name = (tag or "").lower()
        while name:
            if name in languages():
                return name
            name = name.rpartition("-")[0]
    return "en"
