"""`notificationAdded(after:)` sends a gap when withdrawals after that number may have expired."""

import asyncio
import contextlib
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from datasources.mongo.transactions import in_transaction
from datasources.notifications.notification_log import Notice
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
    """Removes what the TTL index would; how many there were."""
    query = {"recipient_id": reader.id, "expires_at": {"$lte": now()}}
    return (await world.sources.database["notifications"].delete_many(query)).deleted_count


async def first_events(world: World, reader: UserRecord, after: int, count: int) -> list[dict[str, Any]]:
    """The first events of a subscription."""
    context = Context(world.sources, session_of(reader), "test")
    stream: Any = await schema.subscribe(ADDED, variable_values={"after": after}, context_value=context)
    async with contextlib.aclosing(stream), asyncio.timeout(10):
        return [(await anext(stream)).data["notificationAdded"] for _ in range(count)]


async def test_a_number_before_an_expired_tombstone_gives_a_gap(world: World) -> None:
    reader, long_ago = await world.user(), now() - WITHDRAWN_NOTIFICATION_KEPT - timedelta(days=2)
    await write(world, reader, "a", long_ago)  # 1
    await write(world, reader, "b", long_ago)  # 2
    await write(world, reader, "a", long_ago, withdrawn=True)  # 3
    await write(world, reader, "c", now())  # 4
    for _ in range(2):  # whether or not the tombstone is removed yet
        for after in (-1, 0, 1, 2):
            (gap,) = await first_events(world, reader, after, 1)
            assert gap == {"seq": 4, "gap": {"oldestSeq": 2, "newestSeq": 4}}
        assert await first_events(world, reader, 3, 1) == [{"seq": 4, "gap": None}]
        await expire(world, reader)
    assert await expire(world, reader) == 0


async def test_a_recent_withdrawal_is_sent_as_such(world: World) -> None:
    reader = await world.user()
    await write(world, reader, "a", now() - timedelta(days=20))  # 1
    await write(world, reader, "a", now() - timedelta(days=20), withdrawn=True)  # 2
    await write(world, reader, "b", now())  # 3
    assert await first_events(world, reader, 1, 2) == [{"seq": 2, "gap": None}, {"seq": 3, "gap": None}]


async def test_an_expired_last_entry_is_no_gap_for_a_reader_who_has_seen_it(world: World) -> None:
    reader, long_ago = await world.user(), now() - WITHDRAWN_NOTIFICATION_KEPT - timedelta(days=2)
    await write(world, reader, "a", long_ago)  # 1
    await write(world, reader, "a", long_ago, withdrawn=True)  # 2
    assert await expire(world, reader) == 1
    assert await first_events(world, reader, 1, 1) == [{"seq": 2, "gap": {"oldestSeq": 0, "newestSeq": 2}}]
    events = asyncio.create_task(first_events(world, reader, 2, 1))
    await write(world, reader, "b", now())  # 3
    async with world.sources.notifications.changing([reader.id]):
        pass
    assert await events == [{"seq": 3, "gap": None}]


async def test_withdrawing_many_in_one_transaction_raises_the_floor_to_the_last(world: World) -> None:
    reader, long_ago = await world.user(), now() - WITHDRAWN_NOTIFICATION_KEPT - timedelta(days=2)
    for key in "abc":
        await write(world, reader, key, long_ago)
    log = await world.sources.notifications.changed_after(reader.id, 0, 10)
    await in_transaction(
        world.sources.client, lambda session: world.sources.notifications.withdraw(log, long_ago, session)
    )
    span = await world.sources.notifications.range_of(reader.id)
    assert (span.newest, span.floor) == (6, 6)
