"""Deleted accounts: what is left of one that owes nothing any more, as after a process that slept for an hour."""

from collections.abc import Sequence

from bson import ObjectId

from datasources.accounts.account_references import left_of
from datasources.mongo import clock
from datasources.mongo.client import Document, Session
from datasources.mongo.queries import find_by_ids
from datasources.sources import Sources
from domain.jobs import Task
from domain.records.users import UserState
from workers.maintenance.checks.check import Finding
from workers.maintenance.gc_run import GcRun

LEFT = "user.left"
_GONE = {"state": UserState.DELETED.value}


async def left_behind(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The deleted accounts among these that something names still, and nobody owes to take it away."""
    query: Document = {"_id": {"$in": list(ids)}, "outbox": {"$ne": Task.CLEAN_UP.value}, **_GONE}
    gone = await sources.database["users"].find(query, {"_id": 1}, session=session).to_list()
    left = await left_of(sources.database, [account["_id"] for account in gone], session)
    why = "it is deleted, and something names it still"
    return [Finding(kind=LEFT, id=str(one), expected=[], found=names, why=why) for one, names in left.items()]


async def clean_again(sources: Sources, user_id: ObjectId) -> None:
    """Lets a deleted account owe again that what it left is taken away. Safe to repeat."""
    await sources.users.restart_deletion(user_id, clock.now())


async def deleted_among(sources: Sources, user_ids: Sequence[ObjectId]) -> list[ObjectId]:
    """Those of these accounts that are deleted."""
    query: Document = {"_id": {"$in": list(set(user_ids))}, **_GONE}
    return [account["_id"] async for account in sources.database["users"].find(query, {"_id": 1})]


async def remove_interests(run: GcRun) -> None:
    """Takes deleted accounts out of what others care about, where it has not been weighed since."""
    collection = run.sources.database["interests"]
    async for ids in run.walk.ids("interests", "interests"):
        found = await find_by_ids(collection, ids, projection={"authors.author_id": 1})
        authors = [one["author_id"] for interests in found.values() for one in interests.get("authors", ())]
        gone = set(await deleted_among(run.sources, authors))
        naming = [
            one_id for one_id, one in found.items() if gone & {author["author_id"] for author in one.get("authors", ())}
        ]
        if naming and run.counts("interests", len(naming)):
            out = {"$pull": {"authors": {"author_id": {"$in": list(gone)}}}}
            await collection.update_many({"_id": {"$in": naming}}, out)
