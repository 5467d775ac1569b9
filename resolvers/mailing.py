"""What needs mails is refused where there are none."""

from datasources.mail.outbox import MailOutbox
from domain.errors import Refusal, UserErrorCode
from schema.context import Info


def expect_mails(info: Info) -> MailOutbox:
    """The outbox of mails. Raises Refusal (NOT_ALLOWED) if the service sends none."""
    mails = info.context.sources.mails
    if not mails.is_on:
        raise Refusal(UserErrorCode.NOT_ALLOWED, "This service sends no mails.")
    return mails
