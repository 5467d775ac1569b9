"""Where letters go: an SMTP server, or a folder on this machine for development.

Errors never carry what the server says, because it repeats addresses, and errors go into logs.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import aiosmtplib

from datasources.mongo import clock
from datasources.settings.mail import MailSettings

KEPT_IN_FOLDER = 200
_PERMANENT = 500  # SMTP codes from here on: the same mail will never be taken

Send = Callable[[EmailMessage], Awaitable[None]]


class MailRefusedError(Exception):
    """The server will not take this mail, whenever it is sent."""


class MailDeferredError(Exception):
    """The server does not take this mail now; it may be sent again later, and others may be sent meanwhile."""


class MailOutageError(Exception):
    """The mail could not be sent now; nobody may know whether it was. It may be sent again later."""


@contextlib.asynccontextmanager
async def open_transport(settings: MailSettings) -> AsyncIterator[Send]:
    """Opens a connection; its function sends one mail after the other. Both raise MailOutageError.

    Sending raises MailRefusedError and MailDeferredError too.
    """
    if settings.mail_folder is not None and settings.mail == "folder":
        folder = settings.mail_folder

        async def keep(message: EmailMessage) -> None:
            await asyncio.to_thread(_keep, folder, message)

        yield keep
        return
    client = _client(settings)
    try:
        await client.connect()
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        client.close()
        raise MailOutageError(_reason(error)) from None
    try:
        yield lambda message: _send(client, message)
        with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
            await client.quit()
    finally:
        client.close()


def _client(settings: MailSettings) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        hostname=settings.smtp_host,
        port=settings.smtp_port,
        username=settings.smtp_user,
        password=settings.smtp_password.get_secret_value() if settings.smtp_user else None,
        timeout=settings.mail_timeout,
        use_tls=settings.smtp_security == "tls",
        start_tls=settings.smtp_security == "starttls",
    )


async def _send(client: aiosmtplib.SMTP, message: EmailMessage) -> None:
    try:
        await client.send_message(message)
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        raise _kind(error)(_reason(error)) from None


def _kind(error: Exception) -> type[Exception]:
    """What an error means for this mail and for others. That the server wants a login is the operator's matter."""
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            codes = [each.code for each in error.recipients]
        case aiosmtplib.SMTPRecipientRefused() | aiosmtplib.SMTPDataError():
            codes = [error.code]
        case aiosmtplib.SMTPNotSupported():  # an address that this server cannot write
            return MailRefusedError
        case _:
            return MailOutageError
    if aiosmtplib.SMTPStatus.domain_unavailable in codes:  # the server ends the connection
        return MailOutageError
    return MailRefusedError if min(codes) >= _PERMANENT else MailDeferredError


def _reason(error: Exception) -> str:
    """What may stand in a log: the kind of the error and its code."""
    of_recipients = error.recipients if isinstance(error, aiosmtplib.SMTPRecipientsRefused) else []
    codes = [each.code for each in (error, *of_recipients) if isinstance(each, aiosmtplib.SMTPResponseException)]
    return " ".join([type(error).__name__, *map(str, codes)])


def _keep(folder: Path, message: EmailMessage) -> None:
    """Writes a mail into a folder, and removes the oldest ones from it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{clock.now():%Y%m%dT%H%M%S%f}-{message['Message-ID'].strip('<>').partition('@')[0]}.eml"
    part = folder / f"{name}.part"
    part.write_bytes(message.as_bytes(policy=SMTP))
    part.rename(folder / name)
    for path in sorted(folder.glob("*.eml"))[:-KEPT_IN_FOLDER]:
        path.unlink(missing_ok=True)
