"""A real SMTP server that keeps what it takes, and reading mails as their recipients do."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from config import Settings
from tests.support.waiting import eventually

TAKEN = "250 OK"


@dataclass
class MailServer:
    """Takes mails on a port of this machine, or answers what `answer` says, or hangs while `hanging` is set."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    answer: str = TAKEN
    recipient_answer: str = TAKEN
    answers_to: dict[str, str] = field(default_factory=dict)  # by recipient
    hanging: bool = False
    pause: float = 0.0  # seconds before it takes a mail

    async def handle_RCPT(  # noqa: N802  the library calls it so
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        answer = self.answers_to.get(address, self.recipient_answer)
        if answer == TAKEN:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        while self.hanging:
            await asyncio.sleep(0.01)
        await asyncio.sleep(self.pause)
        if self.answer == TAKEN:
            assert isinstance(envelope.content, bytes)
            self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return self.answer

    def settings(self, settings: Settings) -> Settings:
        """These settings with mails that go to this server."""
        update = {"mail": "smtp", "smtp_host": "127.0.0.1", "smtp_port": self.port, "smtp_security": "none"}
        return settings.model_copy(update=update)


@contextlib.asynccontextmanager
async def running_mail_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[MailServer]:
    """A server; with `tls` it offers STARTTLS."""
    kept = MailServer()
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(kept, hostname="localhost", tls_context=tls), "127.0.0.1", 0
    )
    kept.port = server.sockets[0].getsockname()[1]
    try:
        yield kept
    finally:
        kept.hanging = False
        server.close()


def text_of(mail: EmailMessage) -> str:
    """The text of a mail."""
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def html_of(mail: EmailMessage) -> str:
    """The HTML of a mail."""
    body = mail.get_body(("html",))
    assert body is not None
    return str(body.get_content())


def token_in(mail: EmailMessage) -> str:
    """The token in a mail: a line of its own."""
    (token,) = [line for line in text_of(mail).splitlines() if re.fullmatch(r"[A-Za-z0-9_-]{59}", line)]
    return token


def mails_to(folder: Path, address: str) -> list[EmailMessage]:
    """The mails to an address in a folder, the latest last."""
    mails = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(folder.glob("*.eml"))]
    return [mail for mail in mails if mail["To"] == address]


async def mail_to(folder: Path, address: str, subject: str) -> EmailMessage:
    """The latest mail to an address with this subject, as soon as it comes."""

    async def find() -> EmailMessage | None:
        return next((mail for mail in reversed(mails_to(folder, address)) if mail["Subject"] == subject), None)

    found = await eventually(find)
    assert found is not None
    return found
