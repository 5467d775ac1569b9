"""Reports of people without an account: they count once somebody has opened the link that was mailed to the address."""

from datetime import datetime

from bson import ObjectId

from datasources.accounts.mail_tokens import MailToken, MailTokenStore, token_expired
from datasources.mail.outbox import MailOutbox
from datasources.moderation.reports import ReportStore
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.transactions import in_transaction
from domain.limits import EMAIL_TOKEN_LIFE
from domain.mails import MailKind
from domain.records.moderation import ReportReason, ReportTargetType, Target


class StrangersReports:
    """The collection `strangers_reports`. A TTL index removes what nobody confirms; an address stays no longer."""

    def __init__(self, database: Database, reports: ReportStore, mails: MailOutbox) -> None:
        self._waiting = database["strangers_reports"]
        self._client = database.client
        self._reports = reports
        self._mails = mails
        self._tokens = MailTokenStore(database)

    async def begin(self, target: Target, reason: ReportReason, note: str, email: str, language: str | None) -> None:
        """Notes a report, and has a link mailed to this address. Atomic."""
        now = clock.now()
        document: Document = {
            "_id": clock.new_id(),
            "target_type": target.type.value,
            "target_id": target.id,
            "subject_id": target.subject_id,
            "reason": reason.value,
            "note": note,
            "expires_at": now + 2 * EMAIL_TOKEN_LIFE,  # the mail may be sent late
        }

        async def apply(session: Session) -> None:
            await self._waiting.insert_one(document, session=session)
            report_id = document["_id"]
            await self._mails.add(
                MailKind.CONFIRM_REPORT, user_id=report_id, to=email, language=language, session=session
            )

        await in_transaction(self._client, apply)

    async def confirm(self, token: MailToken, now: datetime) -> None:
        """Adds the report to the target's case. Raises Refusal (TOKEN_EXPIRED). Atomic; the token is good once."""

        async def apply(session: Session) -> Document:
            await self._tokens.use(token, session)
            row = await self._waiting.find_one_and_delete({"_id": token.user_id}, session=session)
            if row is None:
                raise token_expired()
            target = Target(
                id=row["target_id"], type=ReportTargetType(row["target_type"]), subject_id=row["subject_id"]
            )
            return await self._reports.add(None, target, ReportReason(row["reason"]), row["note"], now, session)

        await self._reports.enqueue(await in_transaction(self._client, apply))

    async def erase(self, user_id: ObjectId) -> None:
        """Deletes the reports about a deleted account that wait. Safe to repeat."""
        await self._waiting.delete_many({"subject_id": user_id})
