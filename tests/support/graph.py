"""What is stored about two accounts, and about one."""

from domain.records.users import UserRecord
from domain.visibility import Relation
from tests.support.factories import World


async def relation(world: World, viewer: UserRecord, other: UserRecord) -> Relation:
    """How one stands to the other."""
    (found,) = await world.sources.relations.by_pairs([(viewer.id, other.id)])
    return found


async def follow_counts(world: World, user: UserRecord) -> tuple[int, int]:
    """The stored counters: followers, following."""
    stored = await world.stored_user(user.id)
    return stored.follower_count, stored.following_count
