"""Log lines of what matters to security: which mutation opened a session of whom, and which was refused, and why."""

import structlog

from domain.errors import UserErrorCode
from domain.records.users import SessionRecord
from schema.context import Context

log = structlog.stdlib.get_logger(__name__)


def log_session(mutation: str, context: Context, before: SessionRecord | None) -> None:
    """Logs that a mutation has logged somebody in, if the operation's session is another than before it.

    A refresh logs nobody in, also if the access token had expired and the operation had no session before.
    """
    session = context.session
    if mutation != "refreshSession" and session is not None and (before is None or session.id != before.id):
        log.info("session opened", mutation=mutation, account=str(session.user_id), session=str(session.id))


def log_refusal(mutation: str, context: Context, code: UserErrorCode) -> None:
    """Logs that a mutation was refused; to nobody's account, if no session asked."""
    account = {} if context.viewer_id is None else {"account": str(context.viewer_id)}
    log.info("mutation refused", mutation=mutation, code=code.value, **account)
