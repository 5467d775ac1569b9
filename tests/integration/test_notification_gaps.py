"""notificationAdded(after:) says so when it cannot tell all that was taken back after that number."""

import asyncio
import contextlib
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from datasources.mongo.transactions import in_transaction
from datasources.notifications.notifications import Notice
from domain.limits import WITHDRAWN_NOTIFICATION_KEPT
from domain.records.notifications import NotificationKind
from domain.records.users import UserRecord
from resolvers.api import schema
from schema.context import Context
from tests.support.factories import World, now, session_of

ADDED = "subscription ($after: Int) { notificationAdded(after: $after) { seq gap { oldestSeq newestSeq } } }"


async def write(world: World, reader: UserRecord, key: str, at: datetime, *, withdrawn: bool = False) -> None:
    """One numbered change of a reader's notification."""
    kind = NotificationKind.FOLLOWED
    notice = Notice(recipient_id=reader.id, group_key=key, kind=kind, actor_ids=[ObjectId()], withdrawn=withdrawn)
    await in_transaction(world.sources.client, lambda session: world.sources.notifications.write([notice], at, session))


async def expire(world: World, reader: UserRecord) -> int:
    """Removes what the TTL index is about to remove; how many there were."""
    gone = {"recipient_id": reader.id, "expires_at": {"$lte": now()}}
    return (await world.sources.database["notifications"].delete_many(gone)).deleted_count


async def first_events(world: World, reader: UserRecord, after: int, count: int) -> list[dict[str, Any]]:
    """The first events of a subscription."""
    context = Context(world.sources, session_of(reader), "test")
    stream: Any = await schema.subscribe(ADDED, variable_values={"after": after}, context_value=context)
    async with contextlib.aclosing(stream), asyncio.timeout(10):
        return [(await anext(stream)).data["notificationAdded"] for _ in range(count)]


async def test_a_number_before_an_expired_tombstone_is_told_as_a_gap(world: World) -> None:
    reader, long_ago = await world.user(), now() - WITHDRAWN_NOTIFICATION_KEPT - timedelta(days=2)
    await write(world, reader, "a", long_ago)  # 1
    await write(world, reader, "b", long_ago)  # 2
    await write(world, reader, "a", long_ago, withdrawn=True)  # 3
    await write(world, reader, "c", now())  # 4
    for _ in range(2):  # it makes no difference whether it is gone yet
        for after in (-1, 0, 1, 2):
            (gap,) = await first_events(world, reader, after, 1)
            assert gap == {"seq": 4, "gap": {"oldestSeq": 2, "newestSeq": 4}}
        assert await first_events(world, reader, 3, 1) == [{"seq": 4, "gap": None}]
        await expire(world, reader)
    assert await expire(world, reader) == 0


async def test_what_was_taken_back_lately_is_told_itself(world: World) -> None:
    reader = await world.user()
    await write(world, reader, "a", now() - timedelta(days=20))  # 1
    await write(world, reader, "a", now() - timedelta(days=20), withdrawn=True)  # 2
    await write(world, reader, "b", now())  # 3
    assert await first_events(world, reader, 1, 2) == [{"seq": 2, "gap": None}, {"seq": 3, "gap": None}]


async def test_the_last_of_a_log_expired_is_no_gap_for_who_has_read_it(world: World) -> None:
    reader, long_ago = await world.user(), now() - WITHDRAWN_NOTIFICATION_KEPT - timedelta(days=2)
    await write(world, reader, "a", long_ago)  # 1
    await write(world, reader, "a", long_ago, withdrawn=True)  # 2
    assert await expire(world, reader) == 1
    assert await first_events(world, reader, 1, 1) == [{"seq": 2, "gap": {"oldestSeq": 0, "newestSeq": 2}}]
    events = asyncio.create_task(first_events(world, reader, 2, 1))
    await write(world, reader, "b", now())  # 3
    await world.sources.notifications.wake_subscribers(reader.id)
    assert await events == [{"seq": 3, "gap": None}]


async def test_taking_back_many_in_one_transaction_counts_the_last(world: World) -> None:
    reader, long_ago = await world.user(), now() - WITHDRAWN_NOTIFICATION_KEPT - timedelta(days=2)
    for key in "abc":
        await write(world, reader, key, long_ago)
    there = await world.sources.notifications.changed_after(reader.id, 0, 10)
    await in_transaction(
        world.sources.client, lambda session: world.sources.notifications.withdraw(there, long_ago, session)
    )
    span = await world.sources.notifications.range_of(reader.id)
    assert (span.newest, span.floor) == (6, 6)
