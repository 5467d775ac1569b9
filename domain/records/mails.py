"""Mails that wait to be sent."""

from datetime import datetime

from bson import ObjectId

from domain.mails import MailKind
from domain.records.record import Stored


class MailRecord(Stored, frozen=True, kw_only=True):
    """A mail to an account, at the address that it has when the mail is sent, or to an address, or both.

    `subject_id` says what the token in it is about, if that is no account.
    """

    kind: MailKind
    user_id: ObjectId | None = None
    to: str | None = None
    language: str | None = None
    subject_id: ObjectId | None = None
    values: dict[str, str] = {}
    give_up_at: datetime
