"""Sockets that are woken together share reads of the log, and none misses a notification."""

import asyncio

import pytest
from bson import ObjectId

from datasources.mongo.transactions import in_transaction
from datasources.notifications import notification_log
from datasources.notifications.notification_log import Notice
from domain.records.notifications import NotificationKind
from tests.support.factories import World, now
from tests.support.operation_counter import OperationCounter

SOCKETS = 50
READ = "find notifications"


async def notify(world: World, *recipient_ids: ObjectId) -> None:
    """One more notification for each of them."""
    notices = [
        Notice(
            recipient_id=recipient_id,
            group_key=f"FOLLOWED:{ObjectId()}",
            kind=NotificationKind.FOLLOWED,
            actor_ids=[ObjectId()],
        )
        for recipient_id in recipient_ids
    ]
    await in_transaction(
        world.sources.client, lambda session: world.sources.notifications.write(notices, now(), session)
    )


async def seqs_after(world: World, recipient_id: ObjectId, seq: int) -> list[int]:
    """The numbers that a socket reads."""
    return [record.seq for record in await world.sources.notifications.changed_after(recipient_id, seq, 10)]


async def test_sockets_woken_together_share_one_operation(counted: World, operations: OperationCounter) -> None:
    ana, ben = ObjectId(), ObjectId()
    for _ in range(3):
        await notify(counted, ana, ben)
    operations.counts.clear()
    of_ana, of_ben, behind = await asyncio.gather(
        asyncio.gather(*(seqs_after(counted, ana, 2) for _ in range(SOCKETS))),
        asyncio.gather(*(seqs_after(counted, ben, 2) for _ in range(SOCKETS))),
        seqs_after(counted, ana, 0),
    )
    assert (of_ana, of_ben, behind) == ([[3]] * SOCKETS, [[3]] * SOCKETS, [1, 2, 3])
    assert operations.counts[READ] == 1


async def test_logs_with_much_to_read_are_read_each_alone_up_to_its_limit(
    counted: World, operations: OperationCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notification_log, "MAX_LOG_ROWS", 13)
    ana, ben, cleo = ObjectId(), ObjectId(), ObjectId()
    for _ in range(12):
        await notify(counted, ana, ben)
    await notify(counted, cleo)
    operations.counts.clear()
    read = await asyncio.gather(*(seqs_after(counted, reader, 0) for reader in (ana, ben, cleo)))
    assert read == [list(range(1, 11)), list(range(1, 11)), [1]]
    assert operations.counts[READ] == 4
    positions = {ana: 10, ben: 2, cleo: 0}
    read = await asyncio.gather(*(seqs_after(counted, reader, seq) for reader, seq in positions.items()))
    assert read == [[11, 12], list(range(3, 13)), [1]]


async def test_a_socket_that_is_woken_while_another_reads_gets_what_was_written_meanwhile(
    counted: World, operations: OperationCounter
) -> None:
    ana = ObjectId()
    for last in range(20):
        early = asyncio.create_task(seqs_after(counted, ana, last))
        reads = operations.counts[READ]
        while operations.counts[READ] == reads:
            await asyncio.sleep(0)
        await notify(counted, ana)
        assert await seqs_after(counted, ana, last) == [last + 1]
        await early


async def test_a_socket_that_is_closed_while_it_reads_stops_no_other(counted: World) -> None:
    ana = ObjectId()
    await notify(counted, ana)
    readers = [asyncio.create_task(seqs_after(counted, ana, 0)) for _ in range(3)]
    await asyncio.sleep(0)
    readers[0].cancel()
    assert await asyncio.gather(*readers[1:]) == [[1], [1]]
