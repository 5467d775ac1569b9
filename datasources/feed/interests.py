"""Viewers' interests, for the ranked feed: computed from what a viewer did and did not take back, and nothing else.

One derived document for each viewer and for nobody else. It may be lost: whoever reads it computes it anew.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from bson import ObjectId
from pymongo import IndexModel

from datasources.feed.profile_visits import VisitStore
from datasources.graph.viewer_relations import find_relations
from datasources.jobs.outbox import mark_done, pending_fields
from datasources.jobs.queue import JobQueue
from datasources.mongo.client import Collection, Database, Document
from datasources.mongo.indexes import BY_COMMENTER, BY_LIKER
from datasources.mongo.lenient_reads import readable
from datasources.mongo.queries import find_by_ids
from datasources.mongo.upserts import upsert
from domain.interests import Act, ActKind, Interest, compute_interests, decay
from domain.jobs import Fact, Task
from domain.records.record import Stored

LIKES, COMMENT_LIKES, COMMENTS, VISITS = 300, 100, 200, 300  # the latest of each count
FRESH = timedelta(minutes=10)  # older interests are computed again, in the background
USABLE = timedelta(days=1)  # older ones are computed again at once
KEPT = timedelta(days=90)  # without being read


class InterestsRecord(Stored, frozen=True, kw_only=True):
    """The interests of a viewer (`id`) at `made_at`; `acts` is the fingerprint of the acts they were computed from."""

    authors: list[Interest]
    made_at: datetime
    acts: str

    def strengths(self, now: datetime) -> Mapping[ObjectId, float]:
        """How strong the interest in each author is by now; all fade alike."""
        left = decay(now - self.made_at)
        return {interest.author_id: interest.strength * left for interest in self.authors}


class InterestStore:
    """The collection `interests`."""

    def __init__(self, database: Database, job_queue: JobQueue, visits: VisitStore) -> None:
        self._database = database
        self._interests = database["interests"]
        self._job_queue = job_queue
        self._visits = visits

    async def get_or_compute(self, viewer_id: ObjectId, now: datetime) -> InterestsRecord:
        """A viewer's interests; computed at once if missing or old, in the background if they are not fresh."""
        interests = await self.find(viewer_id)
        if interests is None or now - interests.made_at > USABLE:
            return await self.compute(viewer_id, now)
        if now - interests.made_at > FRESH:
            await self._schedule(viewer_id, now)
        return interests

    async def find(self, viewer_id: ObjectId) -> InterestsRecord | None:
        """A viewer's interests as they were computed last."""
        document = await self._interests.find_one({"_id": viewer_id})
        return None if document is None or "made_at" not in document else readable(InterestsRecord, document)

    async def compute(self, viewer_id: ObjectId, now: datetime) -> InterestsRecord:
        """Computes interests by at most nine bounded reads, and marks that done. Safe to repeat and side by side."""
        computed = interests_from(viewer_id, await self.acts_of(viewer_id), now)
        values = {name: {"$literal": value} for name, value in computed.to_document().items() if name != "_id"}
        values["expires_at"] = {"$literal": now + KEPT}
        await upsert(self._interests, {"_id": viewer_id}, [{"$set": values}, *mark_done(Task.COMPUTE_INTERESTS)])
        return computed

    async def erase(self, viewer_id: ObjectId) -> None:
        """Deletes a viewer's interests. Safe to repeat."""
        await self._interests.delete_one({"_id": viewer_id})

    async def acts_of(self, viewer_id: ObjectId) -> Sequence[Act]:
        """The latest acts of a viewer towards others, but for those taken back or towards the blocked or muted."""
        posts, comments = self._database["posts"], self._database["comments"]
        liked_by_viewer = {"user_id": viewer_id, "liked": True}
        liked, liked_comments, comments_written, visits = await asyncio.gather(
            _latest(self._database["post_likes"], liked_by_viewer, "target_id", LIKES, BY_LIKER),
            _latest(self._database["comment_likes"], liked_by_viewer, "target_id", COMMENT_LIKES, BY_LIKER),
            _latest(comments, {"author_id": viewer_id, "deleted": False}, "post_id", COMMENTS, BY_COMMENTER),
            self._visits.latest(viewer_id, VISITS),
        )
        post_ids = list({row["target_id"] for row in liked} | {row["post_id"] for row in comments_written})
        by_post, by_comment = await asyncio.gather(
            _authors(posts, post_ids), _authors(comments, [row["target_id"] for row in liked_comments])
        )
        acts = [
            *_acts(ActKind.LIKE, liked, "target_id", by_post),
            *_acts(ActKind.COMMENT, comments_written, "post_id", by_post),
            *_acts(ActKind.COMMENT_LIKE, liked_comments, "target_id", by_comment),
            *visits,
        ]
        return await self._without_blocked_or_muted(viewer_id, acts)

    async def _without_blocked_or_muted(self, viewer_id: ObjectId, acts: Iterable[Act]) -> list[Act]:
        towards_others = [act for act in acts if act.author_id != viewer_id]
        authors = list({act.author_id for act in towards_others})
        follows, blocks, mutes = (self._database[name] for name in ("follows", "blocks", "mutes"))
        relations = await find_relations(follows, blocks, mutes, [(viewer_id, author_id) for author_id in authors])
        excluded = {
            author_id
            for author_id, relation in zip(authors, relations, strict=True)
            if relation.has_blocked or relation.is_blocked or relation.has_muted
        }
        return [act for act in towards_others if act.author_id not in excluded]

    async def _schedule(self, viewer_id: ObjectId, now: datetime) -> None:
        query = {"_id": viewer_id, "outbox": {"$exists": False}}
        changes = {"$set": pending_fields([Task.COMPUTE_INTERESTS], now)}
        pending = await self._interests.find_one_and_update(query, changes, {"outbox": 1}, return_document=True)
        if pending is not None:
            await self._job_queue.enqueue_pending(Fact.INTEREST, [pending])


def interests_from(viewer_id: ObjectId, acts: Sequence[Act], made_at: datetime) -> InterestsRecord:
    """The interests that follow from these acts, the same to the last bit for the same acts and time."""
    made_at = made_at.replace(microsecond=made_at.microsecond // 1000 * 1000)  # MongoDB stores milliseconds
    lines = sorted(f"{act.author_id} {act.kind.value} {act.at.timestamp()}" for act in acts)
    fingerprint = hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()
    return InterestsRecord(id=viewer_id, authors=compute_interests(acts, made_at), made_at=made_at, acts=fingerprint)


async def _latest(facts: Collection, query: Document, field: str, limit: int, index: IndexModel) -> list[Document]:
    options = {"sort": [("_id", -1)], "limit": limit, "hint": index.document["name"]}
    return await facts.find(query, {field: 1}, **options).to_list()


async def _authors(things: Collection, ids: Sequence[ObjectId]) -> dict[ObjectId, ObjectId]:
    if not ids:
        return {}
    documents = await find_by_ids(things, ids, projection={"author_id": 1})
    return {thing_id: document["author_id"] for thing_id, document in documents.items()}


def _acts(kind: ActKind, rows: Iterable[Document], field: str, authors: Mapping[ObjectId, ObjectId]) -> Iterable[Act]:
    return [Act(authors[row[field]], kind, row["_id"].generation_time) for row in rows if row[field] in authors]
