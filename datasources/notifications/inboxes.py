"""The numbers of the recipients' logs of notifications: the last one, and the floor above which none is missing.

A transaction that changes a recipient's notifications also writes their `inboxes` document, so such transactions
conflict, and the numbers of a log appear in their order.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument, UpdateOne

from datasources.mongo.client import Database, Document, Session
from domain.notification_gaps import floor_at, record_withdrawal


class Inboxes:
    """The collection `inboxes`."""

    def __init__(self, database: Database) -> None:
        self._inboxes = database["inboxes"]

    async def last_and_floor(self, recipient_id: ObjectId, now: datetime) -> tuple[int, int]:
        """The last number of a log, and the one after which none is missing; both 0 for an empty log."""
        inbox = await self._inboxes.find_one({"_id": recipient_id})
        return (0, 0) if inbox is None else (inbox["last_seq"], floor_at(*_withdrawn(inbox), now))

    async def last_seqs(self, recipient_ids: Sequence[ObjectId]) -> dict[ObjectId, int]:
        """The last numbers of these recipients' logs, 0 for an empty one; one operation."""
        rows = await self._inboxes.find({"_id": {"$in": recipient_ids}}, {"last_seq": 1}).to_list()
        return dict.fromkeys(recipient_ids, 0) | {row["_id"]: row["last_seq"] for row in rows}

    async def take_seqs(self, changes: Sequence[tuple[ObjectId, bool]], now: datetime, session: Session) -> list[int]:
        """Takes the next numbers of logs within the caller's transaction; two operations at most, none for no changes.

        A change is a recipient, and whether it is a withdrawal. The numbers are in the order of the changes.
        """
        ids = sorted({recipient_id for recipient_id, _ in changes})
        if len(ids) == 1 and not any(is_withdrawal for _, is_withdrawal in changes):
            return await self._take_next(ids[0], len(changes), session)
        if not ids:
            return []
        rows = await self._inboxes.find({"_id": {"$in": ids}}, session=session).to_list()
        inboxes: dict[ObjectId, Document] = {id_: {"last_seq": 0} for id_ in ids} | {row["_id"]: row for row in rows}
        seqs = []
        for recipient_id, is_withdrawal in changes:
            inbox = inboxes[recipient_id]
            inbox["last_seq"] += 1
            seqs.append(inbox["last_seq"])
            if is_withdrawal:
                withdrawn = record_withdrawal(*_withdrawn(inbox), inbox["last_seq"], now)
                inbox["floor"], inbox["withdrawn_by_day"] = withdrawn
        updates = [
            UpdateOne({"_id": id_}, {"$set": {name: inbox[name] for name in inbox if name != "_id"}}, upsert=True)
            for id_, inbox in inboxes.items()
        ]
        await self._inboxes.bulk_write(updates, session=session)
        return seqs

    async def _take_next(self, recipient_id: ObjectId, count: int, session: Session) -> list[int]:
        inbox: Any = await self._inboxes.find_one_and_update(  # never None, for it upserts
            {"_id": recipient_id},
            {"$inc": {"last_seq": count}},
            {"last_seq": 1},
            upsert=True,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        return list(range(inbox["last_seq"] - count + 1, inbox["last_seq"] + 1))

    async def delete(self, recipient_id: ObjectId, session: Session) -> None:
        """Deletes a recipient's inbox within the caller's transaction. Safe to repeat."""
        await self._inboxes.delete_one({"_id": recipient_id}, session=session)


def _withdrawn(inbox: Document) -> tuple[int, dict[str, int]]:
    """An inbox's floor, and the highest number withdrawn on each day."""
    return inbox.get("floor", 0), inbox.get("withdrawn_by_day", {})
