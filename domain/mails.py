"""Kinds of mails, and what each of them carries; the texts stand in `datasources/mail/texts/`."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

import msgspec

from domain.limits import EMAIL_TOKEN_LIFE, EMAIL_UNDO_DAYS, PASSWORD_RESET_LIFE


class TokenPurpose(StrEnum):
    """What the token in a mail is good for, once."""

    REPORT = "report"  # confirms a report of somebody without an account
    REGISTRATION = "registration"  # makes the account that somebody has registered
    EMAIL = "email"  # verifies the address of an account, which may be its new one
    EMAIL_UNDO = "email_undo"  # puts back the address that an account had, and sets a new password
    PASSWORD_RESET = "password_reset"  # noqa: S105  sets a new password

    @property
    def life(self) -> timedelta:
        """How long such a token is good for."""
        match self:
            case TokenPurpose.PASSWORD_RESET:
                return PASSWORD_RESET_LIFE
            case TokenPurpose.EMAIL_UNDO:
                return timedelta(days=EMAIL_UNDO_DAYS)
        return EMAIL_TOKEN_LIFE


class MailKind(StrEnum):
    """Each is a table of the texts, in every language."""

    REGISTRATION = "registration"
    ADDRESS_IN_USE = "address_in_use"
    ADDRESS_BARRED = "address_barred"
    VERIFY_EMAIL = "verify_email"
    EMAIL_CHANGED = "email_changed"  # to an address that was never verified
    EMAIL_MOVED = "email_moved"  # to one that was, which can take the account back
    EMAIL_RESTORED = "email_restored"
    PASSWORD_RESET = "password_reset"  # noqa: S105
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    NEW_LOGIN = "new_login"
    FACTORS_CHANGED = "factors_changed"
    FACTORS_RESET = "factors_reset"
    WRONG_CODES = "wrong_codes"
    USERNAME_CHANGED = "username_changed"
    DEACTIVATED = "deactivated"
    EXPORT_READY = "export_ready"
    DECIDED = "decided"
    APPEAL_ACCEPTED = "appeal_accepted"
    APPEAL_MOOT = "appeal_moot"  # accepted, and nothing was to be undone
    APPEAL_REFUSED = "appeal_refused"
    CONFIRM_REPORT = "confirm_report"


class MailSpec(msgspec.Struct, frozen=True):
    """`values` are the names that texts may use, besides `username`. Those of `counted` too, which are looked up when
    the mail is sent. After `give_up` nobody wants the mail any more.

    With `has_own_words` they are words of the account, which nobody may send to an address that is not verified.

    `purpose` is that of the token, made when the mail is sent, and `page` is where the app takes it. One address gets
    `per_hour` mails of a kind in an hour; more are dropped, so that nobody fills another one's mailbox.
    """

    values: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    has_own_words: bool = False
    purpose: TokenPurpose | None = None
    page: str = ""
    give_up: timedelta = timedelta(days=1)
    per_hour: int = 20


_ASKED_FOR = 5  # of mails that anybody can have sent to any address

MAILS: Mapping[MailKind, MailSpec] = {
    MailKind.REGISTRATION: MailSpec(purpose=TokenPurpose.REGISTRATION, page="verify-email", per_hour=_ASKED_FOR),
    MailKind.ADDRESS_IN_USE: MailSpec(per_hour=_ASKED_FOR),
    MailKind.ADDRESS_BARRED: MailSpec(per_hour=_ASKED_FOR),
    MailKind.VERIFY_EMAIL: MailSpec(purpose=TokenPurpose.EMAIL, page="verify-email", per_hour=_ASKED_FOR),
    MailKind.EMAIL_CHANGED: MailSpec(),
    MailKind.EMAIL_MOVED: MailSpec(purpose=TokenPurpose.EMAIL_UNDO, page="undo-email-change"),
    MailKind.EMAIL_RESTORED: MailSpec(),
    MailKind.PASSWORD_RESET: MailSpec(
        purpose=TokenPurpose.PASSWORD_RESET, page="reset-password", give_up=timedelta(hours=1), per_hour=_ASKED_FOR
    ),
    MailKind.PASSWORD_CHANGED: MailSpec(counted=("passkeys", "identities")),
    MailKind.NEW_LOGIN: MailSpec(values=("client", "time"), has_own_words=True),
    MailKind.FACTORS_CHANGED: MailSpec(),
    MailKind.FACTORS_RESET: MailSpec(),
    MailKind.WRONG_CODES: MailSpec(),
    MailKind.USERNAME_CHANGED: MailSpec(values=("old", "new"), has_own_words=True),
    MailKind.DEACTIVATED: MailSpec(),
    MailKind.EXPORT_READY: MailSpec(),
    MailKind.CONFIRM_REPORT: MailSpec(purpose=TokenPurpose.REPORT, page="confirm-report", per_hour=_ASKED_FOR),
    MailKind.DECIDED: MailSpec(values=("statement",)),
    MailKind.APPEAL_ACCEPTED: MailSpec(values=("statement",)),
    MailKind.APPEAL_MOOT: MailSpec(values=("statement",)),
    MailKind.APPEAL_REFUSED: MailSpec(values=("statement",)),
}
