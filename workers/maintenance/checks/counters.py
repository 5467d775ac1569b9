"""Counters against facts.

Two rules hold at every moment, so that they can be checked while workers run: a counter is the number of facts marked
as counted, and a fact whose mark differs from what it says has the counting pending.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from bson import ObjectId

from datasources.jobs.outbox import add_pending
from datasources.mongo import clock
from datasources.mongo.client import Document, Session
from datasources.mongo.transactions import in_transaction
from datasources.sources import Sources
from domain.jobs import Fact, Task
from workers.maintenance.checks.check import Check, Finding, by_id, from_snapshot

_LIKED = "$liked"
SHOWN = {"$not": [{"$or": ["$deleted", "$hidden"]}]}
_READY = {"$and": [{"$not": "$deleted"}, {"$eq": ["$status", "READY"]}]}
_FOLLOWING = {"$eq": ["$state", "FOLLOWING"]}


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """A field that counts facts: those with the target's id under `key` for which the expression `counts` is true.

    The fact's field `mark` says whether it is in the counter; while that is wrong, `task` is pending for the fact.
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
        return f"{self.target}.{self.field}"

    @property
    def targets(self) -> str:
        return f"{self.target}s"

    @property
    def facts(self) -> str:
        return self.fact.collection

    @property
    def differs(self) -> Document:
        """An expression: the mark says something else than the fact."""
        return {"$ne": [{"$toBool": {"$ifNull": [f"${self.mark}", False]}}, {"$toBool": self.counts}]}


COUNTERS = (
    Counter(target="post", field="like_count", fact=Fact.POST_LIKE, key="target_id", counts=_LIKED),
    Counter(target="post", field="comment_count", fact=Fact.COMMENT, key="post_id", counts=SHOWN),
    Counter(target="comment", field="like_count", fact=Fact.COMMENT_LIKE, key="target_id", counts=_LIKED),
    Counter(target="comment", field="reply_count", fact=Fact.COMMENT, key="parent_id", counts=SHOWN),
    Counter(target="user", field="post_count", fact=Fact.POST, key="author_id", counts=_READY),
    Counter(target="user", field="follower_count", fact=Fact.FOLLOW, key="followee_id", counts=_FOLLOWING),
    Counter(target="topic", field="post_count", fact=Fact.TOPIC_POST, key="topic_id", counts="$listed"),
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


async def _find_wrong(counter: Counter, sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The counters that differ from their facts, and how many facts are neither counted nor pending.

    Targets that are deleted or gone are passed over: workers remove their facts.
    """
    targets = await _find_targets(sources, counter, ids, session)
    sums = await _sum_facts(sources, counter, ids, session)
    findings = []
    for target in targets:
        target_id, found = target["_id"], target.get(counter.field, 0)
        sums_of_target = sums.get(target_id, {"counted": 0, "lost": 0})
        expected, lost = sums_of_target["counted"], sums_of_target["lost"]
        if found != expected:
            why = "the counter is not the number of facts marked as counted"
            findings.append(Finding(kind=counter.kind, id=str(target_id), expected=expected, found=found, why=why))
        if lost:
            why = "facts should change the counter, and their counting is not pending"
            findings.append(Finding(kind=counter.kind, id=str(target_id), expected=0, found=lost, why=why))
    return findings


async def _find_targets(
    sources: Sources, counter: Counter, ids: Sequence[ObjectId], session: Session
) -> list[Document]:
    query = {"_id": {"$in": list(ids)}, "deleted": {"$ne": True}}
    fields = {counter.field: 1, "post_id": 1}
    targets = await sources.database[counter.targets].find(query, fields, session=session).to_list()
    if counter.target != "comment":
        return targets
    post_ids = list({comment["post_id"] for comment in targets})
    query = {"_id": {"$in": post_ids}, "deleted": {"$ne": True}}
    posts = {post["_id"] async for post in sources.database["posts"].find(query, {"_id": 1}, session=session)}
    return [comment for comment in targets if comment["post_id"] in posts]


async def _sum_facts(
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


async def correct_counter(counter: Counter, sources: Sources, target_id: ObjectId) -> None:
    """Sets a counter to the number of facts marked as counted, and makes lost counting pending again.

    Safe to repeat and beside workers: their transactions change marks and counter together, so this transaction reads
    both as one of theirs left them, or conflicts with it on the target and runs again. Workers then count what is
    pending, in batches, however much it is.
    """
    facts = sources.database[counter.facts]
    lost = {counter.key: target_id, "outbox": {"$ne": counter.task.value}, "$expr": counter.differs}
    await facts.update_many(lost, [add_pending([counter.task], clock.now())])
    correct = {
        "posts": sources.posts.correct_counts,
        "users": sources.users.correct_counts,
        "topics": sources.listings.topics.correct_counts,
        "comments": sources.comments.correct_counts,
    }[counter.targets]

    async def apply(session: Session) -> None:
        number = await facts.count_documents({counter.key: target_id, counter.mark: True}, session=session)
        await correct(target_id, {counter.field: number}, session)

    await in_transaction(sources.client, apply)


COUNTER_CHECKS = tuple(
    Check(
        collection=counter.targets,
        find=from_snapshot(partial(_find_wrong, counter)),
        repairs={counter.kind: by_id(partial(correct_counter, counter))},
    )
    for counter in COUNTERS
)
