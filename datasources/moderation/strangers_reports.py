"""Reports of people without an account: they count once somebody has opened the link that was mailed to the address.

The owner of an address has one open report of a target, as members have: a verified address of an account counts as
the account. Another one stands in its report as a hash, whose key is a secret of the case that goes when it is closed.
"""

import hashlib
import hmac
from datetime import datetime

from bson import ObjectId

from datasources.accounts.mail_recipients import RecipientStore
from datasources.accounts.mail_tokens import MailToken, MailTokenStore, token_expired
from datasources.mail.outbox import MailOutbox
from datasources.moderation.cases import CaseStore
from datasources.moderation.reported_texts import ReportedTexts
from datasources.moderation.reports import ReportStore
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.transactions import in_transaction
from domain.limits import EMAIL_TOKEN_LIFE
from domain.mails import MailKind
from domain.records.moderation import ReportReason, ReportTargetType, Target


class StrangersReports:
    """The collection `strangers_reports`. A TTL index removes what nobody confirms; an address stays no longer."""

    def __init__(
        self,
        database: Database,
        cases: CaseStore,
        reports: ReportStore,
        texts: ReportedTexts,
        mails: MailOutbox,
        recipients: RecipientStore,
    ) -> None:
        self._waiting = database["strangers_reports"]
        self._client = database.client
        self._cases = cases
        self._reports = reports
        self._texts = texts
        self._mails = mails
        self._recipients = recipients
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
            "reported_text": await self._texts.read(target),
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
        """Adds the report to the target's case, unless its owner has an open one of it, or it is about themselves.

        Raises Refusal (TOKEN_EXPIRED). Atomic; the token is good once.
        """
        account_id = await self._recipients.owner_of_verified(token.email)

        async def apply(session: Session) -> None:
            await self._tokens.use(token, session)
            row = await self._waiting.find_one_and_delete({"_id": token.user_id}, session=session)
            if row is None:
                raise token_expired()
            target = Target(
                id=row["target_id"], type=ReportTargetType(row["target_type"]), subject_id=row["subject_id"]
            )
            if account_id == target.subject_id:
                return
            reporter_id = account_id or _hashed(token.email, await self._cases.reporter_key(target, now, session))
            reason, text = ReportReason(row["reason"]), row.get("reported_text")
            await self._reports.add(reporter_id, target, reason, row["note"], now, session, text=text)

        await in_transaction(self._client, apply)

    async def erase(self, user_id: ObjectId) -> None:
        """Deletes the reports about a deleted account that wait. Safe to repeat."""
        await self._waiting.delete_many({"subject_id": user_id})


def _hashed(email: str, key: bytes) -> ObjectId:
    """What stands for the owner of an address in one case, in the place of an account's id."""
    return ObjectId(hmac.digest(key, email.lower().encode(), hashlib.sha256)[:12])
