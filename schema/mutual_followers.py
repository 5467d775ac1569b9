"""Those who follow an account, and whom the viewer follows, in brief."""

from collections.abc import Sequence

import msgspec
import strawberry

from domain.limits import MUTUAL_FOLLOWERS_SHOWN
from domain.records.users import UserRecord
from schema.fields import plain
from schema.lazy_types import LazyUser


@strawberry.type(description="Who follows an account and is followed by the viewer, in brief.")
class MutualFollowers:
    """Presents a `MutualFollowersData`."""

    users: list[LazyUser] = plain(
        "Some of them, whom the viewer followed latest first.", max_items=MUTUAL_FOLLOWERS_SHOWN
    )
    count: int = plain("How many there are, with these.")


class MutualFollowersData(msgspec.Struct, frozen=True):
    """What `MutualFollowers` presents."""

    users: Sequence[UserRecord]
    count: int


def to_mutual_followers(followers: Sequence[UserRecord]) -> MutualFollowersData:
    """All of them in brief."""
    return MutualFollowersData(followers[:MUTUAL_FOLLOWERS_SHOWN], len(followers))
