"""The badge: how many unseen notifications the viewer may see, exactly up to 99, whatever is hidden before them."""

import pytest
from bson import ObjectId

from datasources.notifications.notification_log import MAX_UNSEEN_READ
from domain.records.notifications import NotificationKind
from domain.records.users import UserRecord
from tests.support.factories import World, now


async def badge(world: World, viewer: UserRecord) -> int:
    result = await world.execute("{ viewer { unreadNotificationCount } }", viewer)
    assert result.errors is None, result.errors
    return int((result.data or {})["viewer"]["unreadNotificationCount"])


async def notify(world: World, recipient: UserRecord, actor: UserRecord, count: int, first_seq: int) -> None:
    """Inserts notifications of follows, all by one user."""
    rows = [
        {
            "recipient_id": recipient.id,
            "group_key": f"{number}:{ObjectId()}",
            "kind": NotificationKind.FOLLOWED.value,
            "seq": first_seq + number,
            "actor_ids": [actor.id],
            "actor_count": 1,
            "post_id": None,
            "comment_id": None,
            "created_at": now(),
            "updated_at": now(),
            "is_seen": False,
            "is_read": False,
            "withdrawn": False,
        }
        for number in range(count)
    ]
    await world.sources.database["notifications"].insert_many(rows)


@pytest.mark.parametrize("hidden_first", [True, False], ids=["hidden before", "hidden after"])
async def test_notifications_by_blocked_users_do_not_use_up_the_badge(world: World, hidden_first: bool) -> None:
    ana, bob, eve = await world.users(3)
    await notify(world, ana, eve, 105, first_seq=1000 if hidden_first else 1)
    await notify(world, ana, bob, 3, first_seq=500)
    await world.sources.blocks.block(ana.id, eve.id, now=now())
    assert await badge(world, ana) == 3


@pytest.mark.parametrize("count", [0, 1, 99, 100, 250])
async def test_the_badge_is_exact_to_ninety_nine(world: World, count: int) -> None:
    ana, bob, eve = await world.users(3)
    for number in range(0, count, 50):
        await notify(world, ana, bob, min(50, count - number), first_seq=1 + 4 * number)
        await notify(world, ana, eve, 50, first_seq=101 + 4 * number)
    await world.sources.blocks.block(ana.id, eve.id, now=now())
    assert await badge(world, ana) == min(count, 100)


async def test_the_badge_does_not_count_post_ready(world: World) -> None:
    ana, bob = await world.users(2)
    post = await world.post(ana)
    await world.drain()
    assert await badge(world, ana) == 0
    await world.comment(post, bob)
    await world.drain()
    assert await badge(world, ana) == 1


async def test_the_badge_reads_a_bounded_number_of_notifications(world: World) -> None:
    ana, eve = await world.users(2)
    await notify(world, ana, eve, 3 * MAX_UNSEEN_READ, first_seq=1)
    await world.sources.blocks.block(ana.id, eve.id, now=now())
    batches = [batch async for batch in world.sources.notifications.unseen(ana.id)]
    assert sum(map(len, batches)) == MAX_UNSEEN_READ
    assert await badge(world, ana) == 0
