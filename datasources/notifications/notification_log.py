"""Notifications: durable, per recipient, grouped by a stable key, numbered without gaps.

Every change of a notification gives it the recipient's next `seq` (`inboxes.py`). A withdrawn notification stays as a
tombstone for a while (`docs/design/notifications.md`).
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from weakref import WeakValueDictionary

import msgspec
from bson import ObjectId
from pymongo import UpdateOne

from datasources.concurrency.tasks import run_all
from datasources.mongo import clock
from datasources.mongo.batched_operations import BatchedReads, MongoBatcher
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.indexes import UNSEEN
from datasources.mongo.lenient_reads import readable
from datasources.mongo.pages import find_page
from datasources.mongo.queries import find_ids
from datasources.notifications.inboxes import Inboxes
from datasources.redis.pubsub import News
from domain.limits import WITHDRAWN_NOTIFICATION_KEPT
from domain.paging import Page, PageRequest, cut_page
from domain.records.comments import CommentRecord
from domain.records.notifications import NotificationKind, NotificationRecord, follow_group_keys

Key = tuple[ObjectId, str]  # recipient and group
LogRead = tuple[ObjectId, int, int]  # a recipient, the last number read, and a limit
UNSEEN_BATCH, MAX_UNSEEN_READ = 100, 1_000
MAX_LOG_READS, LOG_READS_AT_ONCE = 1_000, 8  # callers that share reads of logs, and operations
MAX_LOGS, MAX_LOG_ROWS = 50, 200  # recipients whose logs are read by one operation, and what it reads at most


def notifications_topic(user_id: ObjectId) -> str:
    """The topic of a user's notifications."""
    return f"notifications:{user_id}"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """The draft of a notification: the state it should have. With `is_news` it becomes unseen and the latest again."""

    recipient_id: ObjectId
    group_key: str
    kind: NotificationKind
    actor_ids: list[ObjectId] = []
    actor_count: int = 0
    post_id: ObjectId | None = None
    comment_id: ObjectId | None = None
    decision_id: ObjectId | None = None
    withdrawn: bool = False
    is_news: bool = True

    @property
    def key(self) -> tuple[ObjectId, str]:
        """The unique key of the notification."""
        return self.recipient_id, self.group_key


_CONTENT = ("kind", "actor_ids", "actor_count", "post_id", "comment_id", "decision_id", "withdrawn")


class SeqRange(msgspec.Struct, frozen=True):
    """The numbers in a recipient's log; all 0 before the first one. After `floor` none is missing."""

    oldest: int
    newest: int
    floor: int


class NotificationStore(BatchedReads[NotificationRecord]):
    """The collection `notifications`, with the numbers from `inboxes`."""

    def __init__(self, database: Database, news: News) -> None:
        super().__init__(database["notifications"], NotificationRecord)
        self._notifications = database["notifications"]
        self._inboxes = Inboxes(database)
        self._news = news
        news.set_check("notifications", self._inboxes.last_seqs)
        self._locks: WeakValueDictionary[ObjectId, asyncio.Lock] = WeakValueDictionary()
        self._log_reads: MongoBatcher[LogRead, list[NotificationRecord]] = MongoBatcher(self._read_logs, MAX_LOG_READS)

    @contextlib.asynccontextmanager
    async def changing(self, recipient_ids: Collection[ObjectId]) -> AsyncIterator[None]:
        """Holds these recipients' locks during the block, and wakes their subscriptions after it (best effort).

        Without the locks, concurrent transactions of this process that change one `inboxes` document would conflict:
        all but one would run again. Recipients that are added to `recipient_ids` during the block are woken too.
        """
        async with contextlib.AsyncExitStack() as stack:
            for recipient_id in sorted(set(recipient_ids)):
                await stack.enter_async_context(self._locks.setdefault(recipient_id, asyncio.Lock()))
            yield
        await self._news.publish(*map(notifications_topic, recipient_ids))

    async def by_keys(self, keys: Iterable[Key], session: Session) -> dict[Key, NotificationRecord]:
        """Notifications by recipient and group key, withdrawn ones too; one operation, none for no keys."""
        either = [{"recipient_id": recipient_id, "group_key": group_key} for recipient_id, group_key in keys]
        rows = await self._notifications.find({"$or": either}, session=session).to_list() if either else []
        return {(row["recipient_id"], row["group_key"]): NotificationRecord.from_document(row) for row in rows}

    async def write(
        self,
        notices: Sequence[Notice],
        now: datetime,
        session: Session,
        before: Mapping[Key, NotificationRecord] | None = None,
    ) -> None:
        """Creates or changes notifications within the caller's transaction, numbered in this order; keys are unique.

        At most four operations, however many there are. Safe to repeat: what does not change gets no new number.
        Withdrawing a notification that does not exist does nothing. `before` has what `by_keys` returns for these keys,
        if the caller has read them in this transaction.
        """
        if before is None:
            before = await self.by_keys((notice.key for notice in notices), session)
        changed = [notice for notice in notices if _changes(notice, before.get(notice.key))]
        seqs = await self._inboxes.take_seqs(
            [(notice.recipient_id, notice.withdrawn) for notice in changed], now, session
        )
        writes = [
            _upsert(notice, seq, now, is_new=notice.key not in before)
            for notice, seq in zip(changed, seqs, strict=True)
        ]
        if writes:
            await self._notifications.bulk_write(writes, session=session)

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
        return cut_page(request, [(row["seq"], _shown(row)) for row in rows])

    async def changed_after(self, recipient_id: ObjectId, seq: int, limit: int) -> list[NotificationRecord]:
        """Up to `limit` notifications that changed after `seq`, withdrawn ones too, in the order of the numbers.

        Simultaneous callers share operations, which begin after each has called: one for those of one recipient, who
        are woken together, and one for up to `MAX_LOGS` recipients who have few.
        """
        return await self._log_reads.submit((recipient_id, seq, limit), self._limit)

    async def _read_logs(self, asked: Sequence[LogRead]) -> list[list[NotificationRecord]]:
        distinct = list(dict.fromkeys(asked))
        groups = [distinct[start : start + MAX_LOGS] for start in range(0, len(distinct), MAX_LOGS)]
        found = dict[LogRead, list[NotificationRecord]]()
        for some in await run_all(LOG_READS_AT_ONCE, self._read_some_logs, groups):
            found |= some
        return [found[each] for each in asked]

    async def _read_some_logs(self, asked: Sequence[LogRead]) -> dict[LogRead, list[NotificationRecord]]:
        """One operation, unless there is much: then one more for each."""
        if len(asked) > 1:
            either = [{"recipient_id": recipient_id, "seq": {"$gt": seq}} for recipient_id, seq, _ in asked]
            rows = await self._notifications.find({"$or": either}, limit=MAX_LOG_ROWS).to_list()
            if len(rows) < MAX_LOG_ROWS:
                records = sorted(map(_shown, rows), key=lambda record: record.seq)
                of_recipient = defaultdict[ObjectId, list[NotificationRecord]](list)
                for record in records:
                    of_recipient[record.recipient_id].append(record)
                return {
                    (recipient_id, seq, limit): [each for each in of_recipient[recipient_id] if each.seq > seq][:limit]
                    for recipient_id, seq, limit in asked
                }
        return {each: await self._read_log(*each) for each in asked}

    async def _read_log(self, recipient_id: ObjectId, seq: int, limit: int) -> list[NotificationRecord]:
        query = {"recipient_id": recipient_id, "seq": {"$gt": seq}}
        rows = await self._notifications.find(query, sort=[("seq", 1)], limit=limit).to_list()
        return [_shown(row) for row in rows]

    async def range_of(self, recipient_id: ObjectId) -> SeqRange:
        """The numbers in a recipient's log; two operations."""
        last, floor = await self._inboxes.last_and_floor(recipient_id, clock.now())
        oldest = await self._notifications.find_one({"recipient_id": recipient_id}, {"seq": 1}, sort=[("seq", 1)])
        return SeqRange(oldest["seq"] if oldest and last else 0, last, floor)

    async def unseen(self, recipient_id: ObjectId) -> AsyncGenerator[list[NotificationRecord]]:
        """Up to `MAX_UNSEEN_READ` unseen ones but POST_READY, latest change first, in batches of one operation each."""
        query: Document = {"recipient_id": recipient_id, "is_seen": False, "withdrawn": False}
        query["kind"] = {"$ne": NotificationKind.POST_READY.value}
        for _ in range(MAX_UNSEEN_READ // UNSEEN_BATCH):
            rows = await self._notifications.find(query, sort=[("seq", -1)], limit=UNSEEN_BATCH, hint=UNSEEN).to_list()
            yield [_shown(row) for row in rows]
            if len(rows) < UNSEEN_BATCH:
                return
            query["seq"] = {"$lt": rows[-1]["seq"]}

    async def mark_seen(self, recipient_id: ObjectId, up_to_seq: int) -> None:
        """Marks the notifications up to a number as seen in the list. Safe to repeat."""
        query = {"recipient_id": recipient_id, "seq": {"$lte": up_to_seq}, "is_seen": False}
        await self._notifications.update_many(query, {"$set": {"is_seen": True}})

    async def mark_read(
        self, recipient_id: ObjectId, ids: Sequence[ObjectId] = (), up_to_seq: int | None = None
    ) -> None:
        """Marks these notifications, and all up to a number, as read and seen. Safe to repeat."""
        either: list[Document] = [{"_id": {"$in": list(ids)}}]
        if up_to_seq is not None:
            either.append({"seq": {"$lte": up_to_seq}})
        query = {"recipient_id": recipient_id, "is_read": False, "$or": either}
        await self._notifications.update_many(query, {"$set": {"is_read": True, "is_seen": True}})

    async def about_post(self, post_id: ObjectId, session: Session) -> list[NotificationRecord]:
        """The notifications about a post and the comments below it, without withdrawn ones."""
        return await self._about([{"post_id": post_id}], session)

    async def about_comments(self, comments: Sequence[CommentRecord], session: Session) -> list[NotificationRecord]:
        """The notifications about these comments, without withdrawn ones."""
        either = [{"post_id": comment.post_id, "comment_id": comment.id} for comment in comments]
        return await self._about(either, session)

    async def mentions_and_tags(self, post_id: ObjectId, session: Session) -> list[NotificationRecord]:
        """The notifications of mentions and tags in a post itself, without withdrawn ones."""
        kinds = [NotificationKind.MENTIONED.value, NotificationKind.TAGGED.value]
        return await self._about([{"post_id": post_id, "comment_id": None, "kind": {"$in": kinds}}], session)

    async def withdraw(self, notifications: Sequence[NotificationRecord], now: datetime, session: Session) -> None:
        """Withdraws notifications, none of them withdrawn before, within the caller's transaction."""
        seqs = await self._inboxes.take_seqs(
            [(notification.recipient_id, True) for notification in notifications], now, session
        )
        values = {"withdrawn": True, "expires_at": now + WITHDRAWN_NOTIFICATION_KEPT, "actor_ids": [], "actor_count": 0}
        writes = [
            UpdateOne({"_id": notification.id}, {"$set": {**values, "seq": seq}})
            for notification, seq in zip(notifications, seqs, strict=True)
        ]
        if writes:
            await self._notifications.bulk_write(writes, session=session)

    async def delete_of_recipient(
        self, recipient_id: ObjectId, limit: int, session: Session
    ) -> list[NotificationRecord]:
        """Deletes up to `limit` of a recipient's notifications, and the inbox with the last; returns them."""
        rows = await self._notifications.find({"recipient_id": recipient_id}, limit=limit, session=session).to_list()
        await self._notifications.delete_many({"_id": {"$in": [row["_id"] for row in rows]}}, session=session)
        if len(rows) < limit:
            await self._inboxes.delete(recipient_id, session)
        return [_shown(row) for row in rows]

    async def anonymize_withdrawn(self, actor_id: ObjectId, limit: int) -> bool:
        """Removes a user from up to `limit` withdrawn notifications of follows; whether there were any. Repeatable."""
        query = {"group_key": {"$in": follow_group_keys(actor_id)}, "withdrawn": True}
        ids = await find_ids(self._notifications, query, limit=limit)
        group_key = {"$concat": ["GONE:", {"$toString": "$_id"}]}
        anonymized = {"$set": {"group_key": group_key, "actor_ids": [], "actor_count": 0}}
        await self._notifications.update_many({"_id": {"$in": ids}, "withdrawn": True}, [anonymized])
        return bool(ids)

    async def _about(self, either: Sequence[Document], session: Session) -> list[NotificationRecord]:
        query = {"$or": [{**subject, "withdrawn": False} for subject in either]}
        rows = await self._notifications.find(query, session=session).to_list() if either else []
        return [NotificationRecord.from_document(row) for row in rows]


def _changes(notice: Notice, before: NotificationRecord | None) -> bool:
    if before is None:
        return not notice.withdrawn
    return any(getattr(before, name) != getattr(notice, name) for name in _CONTENT)


def _upsert(notice: Notice, seq: int, now: datetime, *, is_new: bool) -> UpdateOne:
    values: Document = {name: getattr(notice, name) for name in _CONTENT} | {"kind": notice.kind.value, "seq": seq}
    update: Document = {"$set": values, "$setOnInsert": {"created_at": now}}
    if is_new or (notice.is_news and not notice.withdrawn):
        values |= {"updated_at": now, "is_seen": False, "is_read": False}
    if notice.withdrawn:
        values["expires_at"] = now + WITHDRAWN_NOTIFICATION_KEPT
    else:
        update["$unset"] = {"expires_at": ""}
    recipient_id, group_key = notice.key
    return UpdateOne({"recipient_id": recipient_id, "group_key": group_key}, update, upsert=True)


def _shown(row: Document) -> NotificationRecord:
    """A notification to show. An unreadable one is shown as withdrawn: its number must not be missing."""
    return readable(NotificationRecord, row) or NotificationRecord(
        id=row["_id"],
        recipient_id=row["recipient_id"],
        kind=NotificationKind.POST_READY,
        seq=row["seq"],
        created_at=row["_id"].generation_time,
        updated_at=row["_id"].generation_time,
        withdrawn=True,
    )
