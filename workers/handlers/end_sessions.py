"""Nobody stays signed in to an account that its owner has deactivated."""

from bson import ObjectId

from datasources.mail.outbox import mail_id_of
from datasources.mongo import clock
from domain.mails import MailKind
from workers.runtime.handler import Tools


async def end_sessions(tools: Tools, key: str) -> None:
    """Ends the sessions that were opened before a deactivation, has the feed dropped, and tells the owner by mail.

    `deactivateAccount` does the first two before it answers, unless its process dies. Safe to run twice, and while the
    owner comes back: a session that was opened later stays.
    """
    sources, user_id = tools.sources, ObjectId(key)
    deactivated_at = await sources.account.deactivation.pending_since(user_id)
    if deactivated_at is not None:
        await sources.sessions.end_opened_by(user_id, deactivated_at)
        await sources.feed_states.note_absence(user_id, clock.now())
        mail_id = mail_id_of("deactivated", user_id, deactivated_at)
        await sources.mails.add(MailKind.DEACTIVATED, user_id=user_id, mail_id=mail_id)
    await sources.account.deactivation.mark_sessions_ended(user_id, deactivated_at)
