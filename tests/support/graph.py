"""The stored relation of two accounts, and the stored follow counters of one."""

from domain.records.users import UserRecord
from domain.visibility import Relation
from tests.support.factories import World


async def relation(world: World, viewer: UserRecord, other: UserRecord) -> Relation:
    """The stored relation of a viewer to another account."""
    (stored,) = await world.sources.relations.by_pairs([(viewer.id, other.id)])
    return stored


async def follow_counts(world: World, user: UserRecord) -> tuple[int, int]:
    """The stored numbers of followers and of followed accounts."""
    stored = await world.stored_user(user.id)
    return stored.follower_count, stored.following_count
