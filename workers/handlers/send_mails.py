"""Mails are given to the mail server, at least once."""

import asyncio
from collections.abc import Sequence

import structlog
from bson import ObjectId

from datasources.accounts.mail_recipients import Recipient
from datasources.mail.letters import Letter, best_language, write
from datasources.mail.outbox import MailOutcome
from datasources.mail.transport import MailDeferredError, MailOutageError, MailRefusedError, Send, open_transport
from datasources.mongo import clock
from datasources.sources import Sources
from datasources.telemetry.metrics import Tally
from domain.mails import MAILS
from domain.records.mails import MailRecord
from workers.runtime.handler import Tools

log = structlog.get_logger(__name__)

SECONDS = 40.0  # of one call, within the workers' lease to the mails; what is left then is sent by another call
_COUNTED = Tally("photogram_mails", "Mails that were sent, refused, dropped, or failed and stay pending.", "outcome")


async def send_mails(tools: Tools, *keys: str) -> None:
    """Sends those of these mails that are pending, over one connection.

    Safe to run twice: a worker leases the mails that it sends. One that dies between sending and marking leaves a mail
    to be sent again, with the same Message-ID. While the server is away, or mails are turned off here, they stay
    pending, and the relay has them tried again, until nobody wants them any more.
    """
    sources = tools.sources
    left = {mail.id: mail for mail in await sources.mails.claim([ObjectId(key) for key in keys], clock.now())}
    try:
        async with asyncio.timeout(SECONDS):
            for mail in await _drop_late(sources, list(left.values())):
                left.pop(mail.id)
            if left and sources.mails.is_on:
                async with open_transport(sources.settings) as send:
                    for mail in list(left.values()):
                        if await _deliver(sources, mail, send):
                            left.pop(mail.id)
    except (MailOutageError, TimeoutError) as error:
        _COUNTED.add("failed", by=len(left))
        log.warning("mail.outage", mails=len(left), error=str(error) or "slow")
    finally:
        if left:
            await sources.mails.release(list(left.values()))


async def _drop_late(sources: Sources, mails: Sequence[MailRecord]) -> list[MailRecord]:
    """Drops the mails that nobody wants any more; returns these."""
    late = [mail for mail in mails if mail.give_up_at < clock.now()]
    for mail in late:
        log.error("mail.given_up", mail=str(mail.id), kind=mail.kind.value)
        await _finish(sources, mail, MailOutcome.DROPPED)
    return late


async def _deliver(sources: Sources, mail: MailRecord, send: Send) -> bool:
    """Sends a mail if there is somebody to send it to, and marks it done. Raises MailOutageError.

    False, and it is not done, if the server does not take this mail now.
    """
    recipient = await sources.mail_recipients.find(mail)
    if recipient is None:
        await _finish(sources, mail, MailOutcome.DROPPED)
        return True
    spec = MAILS[recipient.kind]
    if await sources.mails.count_sent(recipient.kind, recipient.address, clock.now()) >= spec.per_hour:
        log.warning("mail.too_many", mail=str(mail.id), kind=recipient.kind.value)
        await _finish(sources, mail, MailOutcome.DROPPED)
        return True
    try:
        letter = await _letter(sources, mail, recipient)
        await send(write(letter, sender=sources.settings.mail_from, app_url=sources.settings.app_url))
    except MailDeferredError as error:
        log.warning("mail.deferred", mail=str(mail.id), kind=recipient.kind.value, error=str(error))
        _COUNTED.add("failed")
        return False
    except (MailRefusedError, ValueError) as error:  # ValueError: an address that cannot stand in a header
        reason = str(error) if isinstance(error, MailRefusedError) else "address"
        log.warning("mail.refused", mail=str(mail.id), kind=recipient.kind.value, error=reason)
        await _finish(sources, mail, MailOutcome.REFUSED)
    else:
        await _finish(sources, mail, MailOutcome.SENT, recipient)
    return True


async def _letter(sources: Sources, mail: MailRecord, recipient: Recipient) -> Letter:
    purpose, token = MAILS[recipient.kind].purpose, None
    if purpose is not None:
        token = await sources.mail_tokens.make(purpose, recipient.address, recipient.user_id)
    return Letter(
        id=str(mail.id),
        kind=recipient.kind,
        to=recipient.address,
        language=best_language(recipient.language, sources.settings.mail_language),
        username=recipient.username,
        values={**mail.values, **recipient.counted},
        token=token,
    )


async def _finish(sources: Sources, mail: MailRecord, outcome: MailOutcome, recipient: Recipient | None = None) -> None:
    went_to = None if recipient is None else (recipient.kind, recipient.address)
    await sources.mails.finish(mail, outcome, clock.now(), recipient=went_to)
    _COUNTED.add(outcome.value)
