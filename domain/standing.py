"""What the standing of an account means for what it may do."""

from domain.errors import Refusal, UserErrorCode
from domain.records.users import SessionRecord


def refuse_suspended(session: SessionRecord | None) -> None:
    """Raises Refusal (ACCOUNT_SUSPENDED) for the session of a suspended or banned account."""
    if session is not None and session.is_restricted:
        raise Refusal(UserErrorCode.ACCOUNT_SUSPENDED, "Your account is suspended: it can read, and cannot act.")
