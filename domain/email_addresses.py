"""Mail addresses: how one is checked, and how the one that somebody logs in with is read."""

import unicodedata

from email_validator import EmailNotValidError, validate_email

from domain.errors import Refusal, UserErrorCode
from domain.limits import EMAIL_MAX, RAW_PER_CHARACTER
from domain.usernames import typed_handle


def checked_email(email: str) -> str:
    """The normalized address. Raises Refusal (INVALID_INPUT) unless it is one."""
    normalized = None if len(email) > RAW_PER_CHARACTER * EMAIL_MAX else _normalized(email.strip())
    if normalized is None:
        raise Refusal(UserErrorCode.INVALID_INPUT, "This is not an e-mail address.", field=["email"])
    return normalized


def sendable_email(email: str) -> str:
    """A stored address as mail servers take it: in ASCII, unless the part before the @ is not. Raises ValueError."""
    return validate_email(email, check_deliverability=False).ascii_email or email


def typed_login(text: str) -> str:
    """The handle or the normalized address that is meant by what somebody logs in with. Keeps the case."""
    login = typed_handle(text)
    return (_normalized(login) if "@" in login else None) or unicodedata.normalize("NFC", login)


def _normalized(email: str) -> str | None:
    try:
        return validate_email(email, check_deliverability=False).normalized
    except EmailNotValidError:
        return None
