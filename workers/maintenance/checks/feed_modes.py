"""Pulled feeds: nothing is pushed to them, and they are refreshed, so that they can become live again."""

from collections.abc import Sequence

from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Document
from datasources.sources import Sources
from domain.jobs import Task
from workers.maintenance.checks.check import Check, Finding, by_id

WRONG = "feed.mode"


async def _find_wrong(sources: Sources, owner_ids: Sequence[ObjectId]) -> list[Finding]:
    """The pulled feeds that are live all the same, or will never be refreshed, with no refresh pending."""
    either = [{"live": True}, {"refresh_at": {"$exists": False}}]
    query: Document = {"_id": {"$in": list(owner_ids)}, "pulled": True, "outbox": {"$ne": Task.REFRESH_FEED.value}}
    feeds = await sources.database["feeds"].find({**query, "$or": either}, {"live": 1}).to_list()
    return [Finding(kind=WRONG, id=str(feed["_id"]), why=_why_wrong(feed)) for feed in feeds]


def _why_wrong(feed: Document) -> str:
    return "it is pulled and pushed to" if feed.get("live") else "it is pulled and will never be refreshed"


async def _refresh(sources: Sources, owner_id: ObjectId) -> None:
    await sources.feed_states.reset([owner_id], clock.now())


FEED_MODES = Check(collection="feeds", stage="feed modes", find=_find_wrong, repairs={WRONG: by_id(_refresh)})
