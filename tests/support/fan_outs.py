"""Authors with followers, and how far the fan-outs of their posts are."""

from collections.abc import Sequence

from bson import ObjectId

from domain.jobs import Task
from domain.records.users import UserRecord
from tests.support.factories import World
from workers.handlers.fan_out import fan_out, split_fan_out


async def create_followed_author(world: World, count: int) -> tuple[UserRecord, list[UserRecord]]:
    """An author with so many followers, whose feeds are live."""
    author, fans = await world.user(), await world.users(count)
    for fan in fans:
        await world.follow(fan, author)
    await world.open_feeds(*fans)
    return author, fans


async def feeds_with(world: World, post_id: ObjectId) -> set[ObjectId]:
    """The owners of the feeds that hold a post."""
    entries = await world.sources.database["feed_entries"].find({"_id.p": post_id}).to_list()
    return {entry["_id"]["o"] for entry in entries}


async def begin_fan_out(world: World, post_id: ObjectId) -> None:
    """Fans a post out, or splits the fan-out if it is a long one, as the two workers do."""
    await fan_out(world.tools, str(post_id))
    for row in await world.sources.database["fan_outs"].find({"post_id": post_id, "outbox": "split_fan_out"}).to_list():
        await split_fan_out(world.tools, str(row["_id"]))


async def open_chunk_ids(world: World, post_id: ObjectId) -> list[str]:
    """The ids of a post's chunks that are not done, in the order of their followers."""
    rows = await world.sources.database["fan_outs"].find({"post_id": post_id}, sort=[("above", 1)]).to_list()
    return [str(row["_id"]) for row in rows]


async def is_fan_out_pending(world: World, post_id: ObjectId) -> bool:
    """Whether a post's fan-out is pending."""
    return bool(await world.sources.posts.pending(Task.FAN_OUT, [post_id]))


def ids_of(users: Sequence[UserRecord]) -> set[ObjectId]:
    """The ids of these users."""
    return {user.id for user in users}
