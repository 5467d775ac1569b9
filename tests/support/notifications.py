"""The stored notifications of a user."""

from domain.records.notifications import NotificationKind, NotificationRecord
from domain.records.users import UserRecord
from tests.support.factories import World


async def notifications_of(world: World, user: UserRecord, *kinds: NotificationKind) -> list[NotificationRecord]:
    """A user's notifications of these kinds, or of all, latest first."""
    return [notice for notice in await world.inbox(user) if not kinds or notice.kind in kinds]


async def log_of(world: World, user: UserRecord) -> list[NotificationRecord]:
    """A user's whole log, withdrawn entries too, in the order of the numbers."""
    return await world.sources.notifications.changed_after(user.id, 0, 1_000)
