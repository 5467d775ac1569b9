"""Authors with followers, and how far the fan-outs of their posts are."""

from collections.abc import Sequence

from bson import ObjectId

from domain.jobs import Task
from domain.records.users import UserRecord
from tests.support.factories import World


async def create_followed_author(world: World, count: int) -> tuple[UserRecord, list[UserRecord]]:
    """Somebody with so many followers, whose feeds they look at."""
    author, fans = await world.user(), await world.users(count)
    for fan in fans:
        await world.follow(fan, author)
    await world.open_feeds(*fans)
    return author, fans


async def feeds_with(world: World, post_id: ObjectId) -> set[ObjectId]:
    """Whose feeds hold a post."""
    entries = await world.sources.database["feed_entries"].find({"_id.p": post_id}).to_list()
    return {entry["_id"]["o"] for entry in entries}


async def open_chunk_ids(world: World, post_id: ObjectId) -> list[str]:
    """The chunks of a post that are not done."""
    rows = await world.sources.database["fan_outs"].find({"post_id": post_id}, sort=[("_id", 1)]).to_list()
    return [str(row["_id"]) for row in rows]


async def is_fan_out_pending(world: World, post_id: ObjectId) -> bool:
    """Whether a post owes its fan-out."""
    document = await world.sources.posts.document(post_id)
    return document is not None and Task.FAN_OUT.value in document.get("outbox", ())


def ids_of(users: Sequence[UserRecord]) -> set[ObjectId]:
    """Whose ids these are."""
    return {user.id for user in users}
