"""The mails to send: facts of the collection `mails`, which the worker `mail` gives to the mail server.

A fact holds no token and no text: both are made when the mail is sent. Who reads the database or a copy of it cannot
use a link of a mail. What was sent stays for a day, with a hash in place of the address, to count by.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.jobs.outbox import mark_done, pending_fields
from datasources.jobs.queue import JobQueue
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.lenient_reads import readable
from datasources.mongo.transactions import after_transaction
from domain.jobs import Fact, Task
from domain.mails import MAILS, MailKind
from domain.records.mails import MailRecord

LEASE = timedelta(seconds=60)  # of a worker to the mails that it sends
KEPT = timedelta(days=1)
_HOUR = timedelta(hours=1)


class MailOutcome(StrEnum):
    """What became of a mail that nobody will try to send again."""

    SENT = "sent"
    REFUSED = "refused"  # by the server, for good
    DROPPED = "dropped"  # nobody to send it to, too many of its kind, or too late


class MailOutbox:
    """The collection `mails`. Where mails are turned off, nothing is added."""

    def __init__(self, database: Database, job_queue: JobQueue, *, is_on: bool) -> None:
        self._mails = database["mails"]
        self._job_queue = job_queue
        self.is_on = is_on

    async def add(
        self,
        kind: MailKind,
        *,
        user_id: ObjectId | None = None,
        to: str | None = None,
        language: str | None = None,
        values: Mapping[str, str] | None = None,
        mail_id: ObjectId | None = None,
        session: Session | None = None,
    ) -> None:
        """Has a mail sent, at least once; within the caller's transaction (`in_transaction`) if there is a `session`.

        `values` are those that `MAILS` names for the kind, and no secrets. With the `mail_id` of a fact it is safe to
        repeat: the fact then has one mail.
        """
        if not self.is_on:
            return
        values = dict(values or {})
        if set(values) != set(MAILS[kind].values):
            raise ValueError(f"a mail of the kind {kind} has the values {MAILS[kind].values}")
        now = clock.now()
        optional = {"user_id": user_id, "to": to, "language": language}
        mail: Document = {
            "_id": mail_id or clock.new_id(),
            "kind": kind.value,
            **{name: value for name, value in optional.items() if value is not None},
            "values": values,
            "created_at": now,
            "give_up_at": now + MAILS[kind].give_up,
            **pending_fields([Task.SEND_MAIL], now),
        }
        try:
            await self._mails.insert_one(mail, session=session)
        except DuplicateKeyError:
            if mail_id is None or session is not None:
                raise
            return
        enqueue = partial(self._job_queue.enqueue_pending, Fact.MAIL, [mail])
        if session is None:
            await enqueue()
        else:
            after_transaction(session, enqueue)

    async def claim(self, mail_ids: Sequence[ObjectId], now: datetime) -> list[MailRecord]:
        """Those of these mails that are pending and that no other worker sends now; they are the caller's for `LEASE`.

        The caller calls `finish` or `release` for each. What cannot be read, such as a kind of a newer version, is left
        to other workers at once.
        """
        lease = clock.new_id()
        free: Document = {"$or": [{"leased_until": {"$exists": False}}, {"leased_until": {"$lt": now}}]}
        await self._mails.update_many(
            {"_id": {"$in": list(mail_ids)}, "outbox": Task.SEND_MAIL.value, **free},
            {"$set": {"lease": lease, "leased_until": now + LEASE}},
        )
        rows = await self._mails.find({"_id": {"$in": list(mail_ids)}, "lease": lease}).to_list()
        mails = {row["_id"]: readable(MailRecord, row) for row in rows}
        await self._release([mail_id for mail_id, mail in mails.items() if mail is None])
        return [mail for mail in mails.values() if mail is not None]

    async def count_sent(self, kind: MailKind, address: str, now: datetime) -> int:
        """How many mails of this kind an address got in the last hour, up to the limit of the kind."""
        query = {"recipient": _hash(address), "kind": kind.value, "sent_at": {"$gt": now - _HOUR}}
        return await self._mails.count_documents(query, limit=MAILS[kind].per_hour)

    async def finish(
        self, mail: MailRecord, outcome: MailOutcome, now: datetime, *, recipient: tuple[MailKind, str] | None = None
    ) -> None:
        """Marks a mail done; `recipient` says which kind went to which address. Safe to repeat."""
        counted: Document = {}
        if recipient is not None:
            counted = {"kind": recipient[0].value, "recipient": _hash(recipient[1]), "sent_at": now}
        done = {"outcome": outcome.value, "expires_at": now + KEPT, **counted}
        cleared = ["to", "values", "lease", "leased_until"]
        await self._mails.update_one(
            {"_id": mail.id}, [{"$set": done}, {"$unset": cleared}, *mark_done(Task.SEND_MAIL)]
        )

    async def release(self, mails: Sequence[MailRecord]) -> None:
        """Lets other workers send mails that could not be sent now, when the relay enqueues them. Safe to repeat."""
        await self._release([mail.id for mail in mails])

    async def _release(self, mail_ids: Sequence[ObjectId]) -> None:
        if mail_ids:
            freed = {"$unset": {"lease": "", "leased_until": ""}}
            await self._mails.update_many({"_id": {"$in": mail_ids}}, freed)

    async def withdraw(self, kind: MailKind, user_id: ObjectId, session: Session) -> None:
        """Deletes an account's waiting mails to other addresses than its own, within the caller's transaction."""
        waiting: Document = {"user_id": user_id, "kind": kind.value, "to": {"$exists": True}}
        await self._mails.delete_many(waiting, session=session)

    async def delete_of_account(self, user_id: ObjectId) -> bool:
        """Deletes the mails to a deleted account; False, as there are no more then. Safe to repeat."""
        await self._mails.delete_many({"user_id": user_id})
        return False


def mail_id_of(*facts: object) -> ObjectId:
    """The id of the one mail that tells of something, made of what names it."""
    return ObjectId(hashlib.sha256("/".join(map(str, facts)).encode()).digest()[:12])


def _hash(address: str) -> bytes:
    return hashlib.sha256(address.lower().encode()).digest()
