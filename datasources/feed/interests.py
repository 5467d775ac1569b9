"""Viewers' interests: kept for the ranked feed, and made of nothing but what the viewer did and did not take back.

Derived, one document a viewer, so it may be lost at any time: who reads it makes it anew. It serves its viewer alone.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from bson import ObjectId

from datasources.feed.visits import VisitStore
from datasources.graph.relations import find_relations
from datasources.jobs.outbox import mark_done, pending_fields
from datasources.jobs.queue import JobQueue
from datasources.mongo.client import Collection, Database, Document
from datasources.mongo.indexes import BY_COMMENTER, BY_LIKER
from datasources.mongo.queries import find_by_ids
from datasources.mongo.readable import readable
from datasources.mongo.upserts import upsert
from domain.interests import Act, ActKind, Interest, compute_interests, decay
from domain.jobs import Fact, Task
from domain.records.record import Stored

LIKES, COMMENT_LIKES, COMMENTS, VISITS = 300, 100, 200, 300  # the latest of each are weighed
FRESH = timedelta(minutes=10)  # older interests are weighed again, in the background
USABLE = timedelta(days=1)  # older ones are not waited with
KEPT = timedelta(days=90)  # without being read


class InterestsRecord(Stored, frozen=True, kw_only=True):
    """What a viewer (`id`) cares about, as of `made_at`; `acts` is the fingerprint of what it was made of."""

    authors: list[Interest]
    made_at: datetime
    acts: str

    def strengths(self, now: datetime) -> Mapping[ObjectId, float]:
        """How strong the interest in each author is by now; all fade alike."""
        left = decay(now - self.made_at)
        return {one.author_id: one.strength * left for one in self.authors}


class InterestStore:
    """The collection `interests`."""

    def __init__(self, database: Database, job_queue: JobQueue, visits: VisitStore) -> None:
        self._database = database
        self._interests = database["interests"]
        self._job_queue = job_queue
        self._visits = visits

    async def get_or_compute(self, viewer_id: ObjectId, now: datetime) -> InterestsRecord:
        """A viewer's interests; made at once if there are none or only old ones, else owed when they are not fresh."""
        found = await self.find(viewer_id)
        if found is None or now - found.made_at > USABLE:
            return await self.compute(viewer_id, now)
        if now - found.made_at > FRESH:
            await self._schedule(viewer_id, now)
        return found

    async def find(self, viewer_id: ObjectId) -> InterestsRecord | None:
        """A viewer's interests as they were weighed last."""
        found = await self._interests.find_one({"_id": viewer_id})
        return None if found is None or "made_at" not in found else readable(InterestsRecord, found)

    async def compute(self, viewer_id: ObjectId, now: datetime) -> InterestsRecord:
        """Weighs a viewer's interests anew, and pays that. Safe to repeat and side by side: the last one stays.

        At most nine reads over indexes, of a few hundred documents each, whatever the viewer ever did.
        """
        computed = interests_from(viewer_id, await self.acts_of(viewer_id), now)
        values = {name: {"$literal": value} for name, value in computed.to_document().items() if name != "_id"}
        values["expires_at"] = {"$literal": now + KEPT}
        await upsert(self._interests, {"_id": viewer_id}, [{"$set": values}, *mark_done(Task.COMPUTE_INTERESTS)])
        return computed

    async def erase(self, viewer_id: ObjectId) -> None:
        """Forgets what a viewer cares about. Safe to repeat."""
        await self._interests.delete_one({"_id": viewer_id})

    async def acts_of(self, viewer_id: ObjectId) -> Sequence[Act]:
        """The latest acts of a viewer towards others, but for those taken back or towards the blocked or muted."""
        posts, comments = self._database["posts"], self._database["comments"]
        liked, liked_words, said, visits = await asyncio.gather(
            _latest_liked(self._database["post_likes"], viewer_id, LIKES),
            _latest_liked(self._database["comment_likes"], viewer_id, COMMENT_LIKES),
            _latest_said(comments, viewer_id),
            self._visits.latest(viewer_id, VISITS),
        )
        post_ids = list({row["target_id"] for row in liked} | {row["post_id"] for row in said})
        by_post, by_comment = await asyncio.gather(
            _authors(posts, post_ids), _authors(comments, [row["target_id"] for row in liked_words])
        )
        acts = [
            *_acts(ActKind.LIKE, liked, "target_id", by_post),
            *_acts(ActKind.COMMENT, said, "post_id", by_post),
            *_acts(ActKind.COMMENT_LIKE, liked_words, "target_id", by_comment),
            *visits,
        ]
        return await self._met(viewer_id, acts)

    async def _met(self, viewer_id: ObjectId, acts: Iterable[Act]) -> list[Act]:
        towards_others = [act for act in acts if act.author_id != viewer_id]
        authors = list({act.author_id for act in towards_others})
        follows, blocks, mutes = (self._database[name] for name in ("follows", "blocks", "mutes"))
        relations = await find_relations(follows, blocks, mutes, [(viewer_id, author_id) for author_id in authors])
        gone = {
            author_id
            for author_id, to in zip(authors, relations, strict=True)
            if to.has_blocked or to.is_blocked or to.has_muted
        }
        return [act for act in towards_others if act.author_id not in gone]

    async def _schedule(self, viewer_id: ObjectId, now: datetime) -> None:
        applied = {"_id": viewer_id, "outbox": {"$exists": False}}
        changes = {"$set": pending_fields([Task.COMPUTE_INTERESTS], now)}
        pending = await self._interests.find_one_and_update(applied, changes, {"outbox": 1}, return_document=True)
        if pending is not None:
            await self._job_queue.enqueue_pending(Fact.INTEREST, [pending])


def interests_from(viewer_id: ObjectId, acts: Sequence[Act], made_at: datetime) -> InterestsRecord:
    """What `acts` weigh, to the last bit the same whenever it is made of the same."""
    made_at = made_at.replace(microsecond=made_at.microsecond // 1000 * 1000)  # what MongoDB keeps of it
    lines = sorted(f"{act.author_id} {act.kind.value} {act.at.timestamp()}" for act in acts)
    fingerprint = hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()
    return InterestsRecord(id=viewer_id, authors=compute_interests(acts, made_at), made_at=made_at, acts=fingerprint)


async def _latest_liked(likes: Collection, viewer_id: ObjectId, most: int) -> list[Document]:
    query, hint = {"user_id": viewer_id, "liked": True}, BY_LIKER.document["name"]
    return await likes.find(query, {"target_id": 1}, sort=[("_id", -1)], limit=most, hint=hint).to_list()


async def _latest_said(comments: Collection, viewer_id: ObjectId) -> list[Document]:
    query, hint = {"author_id": viewer_id, "deleted": False}, BY_COMMENTER.document["name"]
    return await comments.find(query, {"post_id": 1}, sort=[("_id", -1)], limit=COMMENTS, hint=hint).to_list()


async def _authors(things: Collection, ids: Sequence[ObjectId]) -> dict[ObjectId, ObjectId]:
    if not ids:
        return {}
    found = await find_by_ids(things, ids, projection={"author_id": 1})
    return {one_id: document["author_id"] for one_id, document in found.items()}


def _acts(kind: ActKind, rows: Iterable[Document], field: str, authors: Mapping[ObjectId, ObjectId]) -> Iterable[Act]:
    return [Act(authors[row[field]], kind, row["_id"].generation_time) for row in rows if row[field] in authors]
