"""Mails that wait to be sent."""

from datetime import datetime

from bson import ObjectId

from domain.mails import MailKind
from domain.records.record import Stored


class MailRecord(Stored, frozen=True, kw_only=True):
    """A mail to an account, at the address that it has when the mail is sent, or to an address, or both.

    A registration has the id of the account that it will be.
    """

    kind: MailKind
    user_id: ObjectId | None = None
    to: str | None = None
    language: str | None = None
    values: dict[str, str] = {}
    give_up_at: datetime
