"""The comments shown below posts against the posts' latest comments."""

from collections.abc import Sequence

from bson import ObjectId

from datasources.mongo.client import Document, Session
from datasources.mongo.transactions import in_transaction
from datasources.sources import Sources
from domain import limits
from domain.jobs import Task
from workers.maintenance.checks.check import Check, Finding, by_id, from_snapshot
from workers.maintenance.checks.counters import SHOWN

PREVIEWS = "post.preview_comment_ids"


async def _find_wrong(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The posts that show other comments than their latest; those with comments still to be counted are passed over."""
    comment: Document = {"$and": [SHOWN, {"$eq": [{"$ifNull": ["$parent_id", None]}, None]}]}
    pipeline: list[Document] = [
        {"$match": {"post_id": {"$in": list(ids)}}},
        {
            "$project": {
                "post_id": 1,
                "shown": {"$cond": [comment, "$_id", None]},
                "is_pending": {"$in": [Task.COUNT.value, {"$ifNull": ["$outbox", []]}]},
            }
        },
        {
            "$group": {
                "_id": "$post_id",
                "pending": {"$sum": {"$cond": ["$is_pending", 1, 0]}},
                "latest": {"$topN": {"n": limits.PREVIEW_COMMENTS, "sortBy": {"shown": -1}, "output": "$shown"}},
            }
        },
    ]
    rows = await sources.database["comments"].aggregate(pipeline, session=session)
    comments = {row["_id"]: row async for row in rows}
    query = {"_id": {"$in": list(ids)}, "deleted": {"$ne": True}}
    posts = await sources.database["posts"].find(query, {"preview_comment_ids": 1}, session=session).to_list()
    findings = []
    for post in posts:
        of_post = comments.get(post["_id"], {"pending": 0, "latest": []})
        expected = [str(comment_id) for comment_id in of_post["latest"] if comment_id is not None]
        found = [str(comment_id) for comment_id in post.get("preview_comment_ids", [])]
        if not of_post["pending"] and found != expected:
            why = "the comments shown below the post are not its latest"
            findings.append(Finding(kind=PREVIEWS, id=str(post["_id"]), expected=expected, found=found, why=why))
    return findings


async def correct_previews(sources: Sources, post_id: ObjectId) -> None:
    """Makes a post show its latest comments, in a transaction. Safe to repeat and beside workers."""

    async def apply(session: Session) -> None:
        latest = await sources.comments.preview_ids([post_id], session)
        await sources.posts.correct_counts(post_id, {"preview_comment_ids": latest.get(post_id, [])}, session)

    await in_transaction(sources.client, apply)


PREVIEW_COMMENTS = Check(
    collection="posts", find=from_snapshot(_find_wrong), repairs={PREVIEWS: by_id(correct_previews)}
)
