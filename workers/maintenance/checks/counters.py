"""Counters against facts: what a counter should be, how to see that it is not, and how to set it right.

The law: a counter is the number of facts marked as counted, at every moment. A fact whose mark is behind what it says
must owe the counting. So what is still owed is no error, and both rules can be checked while the system runs.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from bson import ObjectId

from datasources.jobs.outbox import add_pending
from datasources.mongo import clock
from datasources.mongo.client import Document, Session
from datasources.mongo.transactions import in_transaction
from datasources.sources import Sources
from domain.jobs import Fact, Task
from domain.limits import PREVIEW_COMMENTS
from workers.maintenance.checks.check import Finding

_LIKED = "$liked"
_ALIVE = {"$not": "$deleted"}
_SHOWN = {"$not": [{"$or": ["$deleted", "$hidden"]}]}
_READY = {"$and": [_ALIVE, {"$eq": ["$status", "READY"]}]}
_FOLLOWING = {"$eq": ["$state", "FOLLOWING"]}
PREVIEWS = "post.preview_comment_ids"


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """A field that counts facts: those with the target's id under `key` for which the expression `counts` is true.

    `mark` is the fact's field that says whether the counter has it; while it lags, the fact owes `effect`.
    """

    target: str
    field: str
    fact: Fact
    key: str
    counts: Any
    mark: str = "counted"
    task: Task = Task.COUNT

    @property
    def kind(self) -> str:
        """Its name in findings."""
        return f"{self.target}.{self.field}"

    @property
    def targets(self) -> str:
        """The collection of what has the counter."""
        return f"{self.target}s"

    @property
    def facts(self) -> str:
        """The collection of what is counted."""
        return f"{self.fact.value}s"

    @property
    def differs(self) -> Document:
        """An expression: the mark says something else than the fact."""
        return {"$ne": [{"$toBool": {"$ifNull": [f"${self.mark}", False]}}, {"$toBool": self.counts}]}


COUNTERS = (
    Counter(target="post", field="like_count", fact=Fact.POST_LIKE, key="target_id", counts=_LIKED),
    Counter(target="post", field="comment_count", fact=Fact.COMMENT, key="post_id", counts=_SHOWN),
    Counter(target="comment", field="like_count", fact=Fact.COMMENT_LIKE, key="target_id", counts=_LIKED),
    Counter(target="comment", field="reply_count", fact=Fact.COMMENT, key="parent_id", counts=_SHOWN),
    Counter(target="user", field="post_count", fact=Fact.POST, key="author_id", counts=_READY),
    Counter(target="user", field="follower_count", fact=Fact.FOLLOW, key="followee_id", counts=_FOLLOWING),
    Counter(
        target="user",
        field="following_count",
        fact=Fact.FOLLOW,
        key="follower_id",
        counts=_FOLLOWING,
        mark="counted_following",
        task=Task.COUNT_FOLLOWING,
    ),
)


async def wrong_counts(sources: Sources, counter: Counter, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The counters among these targets that differ from their facts, and facts that neither count nor owe it.

    Targets that are deleted or gone are passed over: their facts are being cleaned away.
    """
    targets = await _living(sources, counter, ids, session)
    sums = await _sums(sources, counter, ids, session)
    nothing = {"counted": 0, "lost": 0}
    findings = []
    for target in targets:
        target_id, there = target["_id"], target.get(counter.field, 0)
        due, lost = (sums.get(target_id, nothing)[name] for name in ("counted", "lost"))
        if there != due:
            why = "the counter is not the number of facts marked as counted"
            findings.append(Finding(kind=counter.kind, id=str(target_id), expected=due, found=there, why=why))
        if lost:
            why = "facts that should change the counter owe nothing"
            findings.append(Finding(kind=counter.kind, id=str(target_id), expected=0, found=lost, why=why))
    return findings


async def _living(sources: Sources, counter: Counter, ids: Sequence[ObjectId], session: Session) -> list[Document]:
    query = {"_id": {"$in": list(ids)}, "deleted": {"$ne": True}}
    fields = {counter.field: 1, "post_id": 1}
    found = await sources.database[counter.targets].find(query, fields, session=session).to_list()
    if counter.target != "comment":
        return found
    post_ids = list({comment["post_id"] for comment in found})
    query = {"_id": {"$in": post_ids}, "deleted": {"$ne": True}}
    posts = {post["_id"] async for post in sources.database["posts"].find(query, {"_id": 1}, session=session)}
    return [comment for comment in found if comment["post_id"] in posts]


async def _sums(
    sources: Sources, counter: Counter, ids: Sequence[ObjectId], session: Session
) -> dict[ObjectId, Document]:
    pending = {"$in": [counter.task.value, {"$ifNull": ["$outbox", []]}]}
    lost = {"$and": [counter.differs, {"$not": pending}]}
    pipeline: list[Document] = [
        {"$match": {counter.key: {"$in": list(ids)}}},
        {
            "$group": {
                "_id": f"${counter.key}",
                "counted": {"$sum": {"$cond": [{"$ifNull": [f"${counter.mark}", False]}, 1, 0]}},
                "lost": {"$sum": {"$cond": [lost, 1, 0]}},
            }
        },
    ]
    rows = await sources.database[counter.facts].aggregate(pipeline, session=session)
    return {row["_id"]: row async for row in rows}


async def wrong_previews(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The posts among these that show other comments than their latest; those with comments yet to be counted pass."""
    comment: Document = {"$and": [_SHOWN, {"$eq": [{"$ifNull": ["$parent_id", None]}, None]}]}
    pipeline: list[Document] = [
        {"$match": {"post_id": {"$in": list(ids)}}},
        {
            "$project": {
                "post_id": 1,
                "shown": {"$cond": [comment, "$_id", None]},
                "owes": {"$in": [Task.COUNT.value, {"$ifNull": ["$outbox", []]}]},
            }
        },
        {
            "$group": {
                "_id": "$post_id",
                "owed": {"$sum": {"$cond": ["$owes", 1, 0]}},
                "latest": {"$topN": {"n": PREVIEW_COMMENTS, "sortBy": {"shown": -1}, "output": "$shown"}},
            }
        },
    ]
    rows = await sources.database["comments"].aggregate(pipeline, session=session)
    comments = {row["_id"]: row async for row in rows}
    query = {"_id": {"$in": list(ids)}, "deleted": {"$ne": True}}
    posts = await sources.database["posts"].find(query, {"preview_comment_ids": 1}, session=session).to_list()
    findings = []
    for post in posts:
        of_post = comments.get(post["_id"], {"owed": 0, "latest": []})
        due = [str(one) for one in of_post["latest"] if one is not None]
        there = [str(one) for one in post.get("preview_comment_ids", [])]
        if not of_post["owed"] and due != there:
            why = "the comments shown below the post are not its latest"
            findings.append(Finding(kind=PREVIEWS, id=str(post["_id"]), expected=due, found=there, why=why))
    return findings


async def correct_counter(sources: Sources, counter: Counter, target_id: ObjectId) -> None:
    """Makes a counter the number of facts marked as counted, and lets facts that owe nothing, but should, owe again.

    Safe to repeat and beside workers: marks and counter change together in their transactions, so this one either
    reads both as they are after such a transaction or conflicts with it on the target and is run again. Nothing is
    paid here: what then is owed is paid by workers, in batches, however much it is.
    """
    await _recount(sources, counter, target_id)
    facts = sources.database[counter.facts]
    of_posts = {"posts": sources.posts.set_right, "users": sources.users.set_right}
    set_field = of_posts.get(counter.targets, sources.comments.set_right)

    async def apply(session: Session) -> None:
        due = await facts.count_documents({counter.key: target_id, counter.mark: True}, session=session)
        await set_field(target_id, {counter.field: due}, session)

    await in_transaction(sources.client, apply)


async def correct_previews(sources: Sources, post_id: ObjectId) -> None:
    """Makes a post show its latest comments. Safe to repeat and beside workers, as `set_right`."""

    async def apply(session: Session) -> None:
        latest = await sources.comments.preview_ids([post_id], session)
        await sources.posts.set_right(post_id, {"preview_comment_ids": latest.get(post_id, [])}, session)

    await in_transaction(sources.client, apply)


async def _recount(sources: Sources, counter: Counter, target_id: ObjectId) -> None:
    lost = {counter.key: target_id, "outbox": {"$ne": counter.task.value}, "$expr": counter.differs}
    await sources.database[counter.facts].update_many(lost, [add_pending([counter.task], clock.now())])
