"""Accounts are notified of what moderators decided about them."""

from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Session
from datasources.mongo.transactions import in_transaction
from datasources.notifications.notification_log import Notice
from domain.jobs import Task
from domain.records.notifications import NotificationKind
from domain.records.users import UserState
from workers.runtime.handler import Tools


async def notify_decisions(tools: Tools, *keys: str) -> None:
    """Notifies the accounts that decisions are about; a deleted one, whose place a pseudonym may have, is passed over.

    Safe to run twice: a decision has one notification, which is written in the transaction that marks the task done.
    """
    sources = tools.sources
    decisions = await sources.moderation.decisions.pending(Task.NOTIFY, [ObjectId(key) for key in keys])
    accounts = await sources.users.by_ids(list({decision.subject_id for decision in decisions}))
    notified = {user.id for user in accounts if user is not None and user.state is not UserState.DELETED}
    notices = [
        Notice(
            recipient_id=decision.subject_id,
            group_key=f"DECISION:{decision.id}",
            kind=NotificationKind.DECIDED,
            decision_id=decision.id,
        )
        for decision in decisions
        if decision.subject_id in notified
    ]

    async def apply(session: Session) -> None:
        await sources.notifications.write(notices, clock.now(), session)
        await sources.moderation.decisions.mark_done([each.id for each in decisions], Task.NOTIFY, session)

    async with sources.notifications.changing(notified):
        await in_transaction(sources.client, apply)
