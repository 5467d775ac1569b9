"""Nobody stays signed in to an account that its owner has deactivated."""

from bson import ObjectId

from datasources.mongo import clock
from workers.runtime.handler import Tools


async def end_sessions(tools: Tools, key: str) -> None:
    """Ends the sessions that were opened before a deactivation, and has the feed dropped.

    `deactivateAccount` does the same before it answers, unless its process dies. Safe to run twice, and while the owner
    comes back: a session that was opened later stays.
    """
    sources, user_id = tools.sources, ObjectId(key)
    deactivated_at = await sources.account.deactivation.pending_since(user_id)
    if deactivated_at is not None:
        await sources.sessions.end_opened_by(user_id, deactivated_at)
        await sources.feed_states.note_absence(user_id, clock.now())
    await sources.account.deactivation.mark_sessions_ended(user_id, deactivated_at)
