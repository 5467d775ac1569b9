"""How a record that breaks a promise is made to keep it: mostly, by letting it owe again what leads there.

All of it is safe to repeat and beside workers and clients.
"""

from collections.abc import Awaitable, Callable

from bson import ObjectId

from datasources.jobs.outbox import add_pending
from datasources.media.quota_slots import NO_SLOTS
from datasources.mongo import clock
from datasources.mongo.client import Document
from datasources.mongo.queries import find_by_ids
from datasources.sources import Sources
from domain.jobs import Task
from domain.records.follows import FollowRecord, FollowState

RepairRecord = Callable[[Sources, ObjectId], Awaitable[None]]


def add_pending_tasks(collection: str, *tasks: Task) -> RepairRecord:
    """Lets a fact owe effects again, which changes nothing if they are paid rightly a second time."""

    async def repair_record(sources: Sources, one_id: ObjectId) -> None:
        await sources.database[collection].update_one({"_id": one_id}, [add_pending(tasks, clock.now())])

    return repair_record


def delete(collection: str) -> RepairRecord:
    """Takes a document away unless it has begun to owe something."""

    async def repair_record(sources: Sources, one_id: ObjectId) -> None:
        await sources.database[collection].delete_one({"_id": one_id, "outbox": {"$exists": False}})

    return repair_record


async def delete_comment(sources: Sources, comment_id: ObjectId) -> None:
    """Deletes a comment, as `deleteComment` does."""
    await sources.comments.delete(comment_id, clock.now())


async def erase_comment(sources: Sources, comment_id: ObjectId) -> None:
    """Takes a comment away whose post is gone, with its likes."""
    await sources.comment_likes.delete_by_target(comment_id)
    await sources.comments.delete_documents([comment_id])


async def unfollow(sources: Sources, follow_id: ObjectId) -> None:
    """Ends a following or a request."""
    for follow in await _follow(sources, follow_id):
        await sources.follows.unfollow(follow.follower_id, follow.followee_id, now=clock.now())


async def accept(sources: Sources, follow_id: ObjectId) -> None:
    """Grants a request to follow an account that is public."""
    for follow in await _follow(sources, follow_id):
        (followee,) = await sources.users.by_ids([follow.followee_id])
        if follow.state is FollowState.REQUESTED and followee is not None and not followee.is_private:
            await sources.follows.accept(follow.follower_id, follow.followee_id, now=clock.now())


async def _follow(sources: Sources, follow_id: ObjectId) -> list[FollowRecord]:
    found = await find_by_ids(sources.database["follows"], [follow_id])
    return [FollowRecord.from_document(document) for document in found.values()]


async def end_follow(sources: Sources, follow_id: ObjectId) -> None:
    """Lets the blocks between the two owe the ending of their following again."""
    for follow in await _follow(sources, follow_id):
        pair = follow.follower_id, follow.followee_id
        either: list[Document] = [{"blocker_id": one, "blocked_id": other} for one, other in (pair, pair[::-1])]
        await sources.database["blocks"].update_many({"$or": either}, [add_pending([Task.REMOVE_FOLLOWS], clock.now())])


async def give_slots_back(sources: Sources, upload_id: ObjectId) -> None:
    """Gives back what an upload that was refused takes of the quota."""
    refused = {"_id": upload_id, "failure": {"$exists": True}}
    await sources.database["uploads"].update_one(refused, {"$unset": NO_SLOTS})
