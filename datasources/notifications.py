"""Notifications: durable, per recipient, grouped by a stable key, numbered without gaps.

The collection is its own log: every change of a notification gives it the recipient's next `seq`, in one transaction
that the recipient's `inboxes` document puts in line, so a reader who has seen `seq` n has seen all before it. What was
taken back stays as a `withdrawn` tombstone for a while, so that a subscriber who was away hears of it too.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from weakref import WeakValueDictionary

import msgspec
from bson import ObjectId

from datasources.live import Live, notifications_of
from datasources.mongo import Database, Document, Session, find_by_ids, find_page
from domain.paging import Page, PageRequest, cut_page
from domain.records import NotificationKind, NotificationRecord

UNSEEN_MOST = 1_000
WITHDRAWN_KEPT = timedelta(days=30)


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """The state that a recipient's notification should have; `is_news` makes it unseen again and moves it up."""

    recipient_id: ObjectId
    group_key: str
    kind: NotificationKind
    actor_ids: list[ObjectId] = []
    actor_count: int = 0
    post_id: ObjectId | None = None
    comment_id: ObjectId | None = None
    withdrawn: bool = False
    is_news: bool = True


class SeqRange(msgspec.Struct, frozen=True):
    """What a recipient's log holds; both 0 when nothing was ever told."""

    oldest: int
    newest: int


class NotificationStore:
    """The collections `notifications` and `inboxes`."""

    def __init__(self, database: Database, live: Live) -> None:
        self._notifications = database["notifications"]
        self._inboxes = database["inboxes"]
        self._live = live
        self._lines: WeakValueDictionary[ObjectId, asyncio.Lock] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def in_line(self, *recipient_ids: ObjectId) -> AsyncIterator[None]:
        """Waits until nobody else in this process writes to these recipients.

        Their transactions would all change one `inboxes` document, and all but one be thrown away and run again.
        """
        async with contextlib.AsyncExitStack() as stack:
            for recipient_id in sorted(set(recipient_ids)):
                await stack.enter_async_context(self._lines.setdefault(recipient_id, asyncio.Lock()))
            yield

    async def write(self, notice: Notice, now: datetime, session: Session) -> None:
        """Makes or changes a notification within the caller's transaction; ring `tell` after the commit.

        Safe to repeat: what is already so gets no new number. Withdrawing what was never told does nothing.
        """
        key = {"recipient_id": notice.recipient_id, "group_key": notice.group_key}
        before = await self._notifications.find_one(key, session=session)
        values = _values(notice)
        if before is None and notice.withdrawn:
            return
        if before is not None and all(before.get(name) == value for name, value in values.items()):
            return
        values["seq"] = await self._next_seq(notice.recipient_id, session)
        if notice.is_news and not notice.withdrawn:
            values |= {"updated_at": now, "is_seen": False, "is_read": False}
        update: Document = {"$set": values, "$setOnInsert": {"created_at": now}}
        if notice.withdrawn:
            values["expires_at"] = now + WITHDRAWN_KEPT
        else:
            update["$unset"] = {"expires_at": ""}
        if before is None and not notice.is_news:
            update["$setOnInsert"] |= {"updated_at": now, "is_seen": False, "is_read": False}
        await self._notifications.update_one(key, update, upsert=True, session=session)

    async def actor_count(self, recipient_id: ObjectId, group_key: str, session: Session) -> int:
        """How many people a notification names in all; 0 for one that is not there."""
        key = {"recipient_id": recipient_id, "group_key": group_key}
        found = await self._notifications.find_one(key, {"actor_count": 1}, session=session)
        return int(found["actor_count"]) if found else 0

    async def tell(self, *recipient_ids: ObjectId) -> None:
        """Wakes the recipients' subscriptions. Best effort."""
        await self._live.publish(*(notifications_of(recipient_id) for recipient_id in recipient_ids))

    async def of_recipient(
        self,
        recipient_id: ObjectId,
        request: PageRequest,
        *,
        unread_only: bool = False,
        kinds: Sequence[NotificationKind] | None = None,
    ) -> Page[NotificationRecord]:
        """A recipient's notifications, latest change first; keyed by `seq`."""
        query: Document = {"recipient_id": recipient_id, "withdrawn": False}
        if unread_only:
            query["is_read"] = False
        if kinds is not None:
            query["kind"] = {"$in": [kind.value for kind in kinds]}
        rows = await find_page(self._notifications, query, request.expects(int), field="seq")
        return cut_page(request, [(row["seq"], NotificationRecord.from_document(row)) for row in rows])

    async def after(self, recipient_id: ObjectId, seq: int, most: int) -> list[NotificationRecord]:
        """What changed after `seq`, withdrawn ones too, in the order of the numbers."""
        query = {"recipient_id": recipient_id, "seq": {"$gt": seq}}
        rows = await self._notifications.find(query, sort=[("seq", 1)], limit=most).to_list()
        return [NotificationRecord.from_document(row) for row in rows]

    async def range_of(self, recipient_id: ObjectId) -> SeqRange:
        """The numbers a recipient's log runs over."""
        inbox = await self._inboxes.find_one({"_id": recipient_id})
        oldest = await self._notifications.find_one({"recipient_id": recipient_id}, {"seq": 1}, sort=[("seq", 1)])
        return SeqRange(oldest["seq"] if oldest else 0, inbox["last_seq"] if inbox else 0)

    async def by_ids(self, ids: Sequence[ObjectId]) -> list[NotificationRecord | None]:
        """Notifications in the order of `ids`, None for a missing one; one operation."""
        found = await find_by_ids(self._notifications, ids)
        return [NotificationRecord.from_document(found[one]) if one in found else None for one in ids]

    async def unseen_count(self, recipient_id: ObjectId) -> int:
        """How many are not seen yet; it stops counting at a thousand."""
        query = {"recipient_id": recipient_id, "is_seen": False, "withdrawn": False}
        return await self._notifications.count_documents(query, limit=UNSEEN_MOST)

    async def mark_seen(self, recipient_id: ObjectId, up_to_seq: int) -> None:
        """Says that the list was shown up to a number. Safe to repeat."""
        query = {"recipient_id": recipient_id, "seq": {"$lte": up_to_seq}, "is_seen": False}
        await self._notifications.update_many(query, {"$set": {"is_seen": True}})

    async def mark_read(
        self, recipient_id: ObjectId, ids: Sequence[ObjectId] = (), up_to_seq: int | None = None
    ) -> None:
        """Says that some were opened: these, and all up to a number. What was read was seen. Safe to repeat."""
        some: list[Document] = [{"_id": {"$in": list(ids)}}]
        if up_to_seq is not None:
            some.append({"seq": {"$lte": up_to_seq}})
        query = {"recipient_id": recipient_id, "is_read": False, "$or": some}
        await self._notifications.update_many(query, {"$set": {"is_read": True, "is_seen": True}})

    async def about(
        self, post_id: ObjectId, session: Session, comment_id: ObjectId | None = None
    ) -> list[NotificationRecord]:
        """Every notification about a post or the comments below it, or one of them, that still stands."""
        query: Document = {"post_id": post_id, "withdrawn": False}
        if comment_id is not None:
            query["comment_id"] = comment_id
        rows = await self._notifications.find(query, session=session).to_list()
        return [NotificationRecord.from_document(row) for row in rows]

    async def withdraw(self, notification: NotificationRecord, now: datetime, session: Session) -> None:
        """Takes a notification back within the caller's transaction. Safe to repeat."""
        seq = await self._next_seq(notification.recipient_id, session)
        values = {"withdrawn": True, "seq": seq, "expires_at": now + WITHDRAWN_KEPT, "actor_ids": [], "actor_count": 0}
        query = {"_id": notification.id, "withdrawn": False}
        await self._notifications.update_one(query, {"$set": values}, session=session)

    async def _next_seq(self, recipient_id: ObjectId, session: Session) -> int:
        inbox = await self._inboxes.find_one_and_update(
            {"_id": recipient_id}, {"$inc": {"last_seq": 1}}, upsert=True, return_document=True, session=session
        )
        return int(inbox["last_seq"]) if inbox else 1


def _values(notice: Notice) -> Document:
    return {
        "kind": notice.kind.value,
        "actor_ids": notice.actor_ids,
        "actor_count": notice.actor_count,
        "post_id": notice.post_id,
        "comment_id": notice.comment_id,
        "withdrawn": notice.withdrawn,
    }
