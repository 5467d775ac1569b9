"""Which posts are listed under which topics: one small document for each pair."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from bson import ObjectId
from pymongo import UpdateOne

from datasources.jobs.outbox import change, find_pending, mark_done
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.indexes import TOPIC_POSTS
from datasources.mongo.pages import find_page, find_ranked_page
from datasources.mongo.queries import BY_ID, among
from domain.jobs import Task
from domain.paging import Page, PageRequest, Ranked, cut_page

_LISTED = {"listed": True}


class TopicPostStore:
    """The collection `topic_posts`: facts, which `ListingStore` writes with the post.

    `listed` says whether the post is listed under the topic, `counted` whether the topic's count reflects it, and
    `score` where it stands among the best. One that is no longer listed goes when that is counted.
    """

    def __init__(self, database: Database) -> None:
        self._entries = database["topic_posts"]

    async def latest(self, topic_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """The posts listed under a topic, newest first."""
        query: Document = {"topic_id": topic_id, **_LISTED}
        rows = await find_page(self._entries, query, request.expects(ObjectId), "post_id", hint=TOPIC_POSTS)
        return cut_page(request, [(row["post_id"], row["post_id"]) for row in rows])

    async def top(self, topic_id: ObjectId, request: PageRequest) -> Page[ObjectId]:
        """The posts listed under a topic, the best first, the newest of equally good ones first."""
        query: Document = {"topic_id": topic_id, **_LISTED}
        rows = await find_ranked_page(self._entries, query, request.expects(Ranked), "score", "post_id")
        return cut_page(request, [(Ranked(row["score"], row["post_id"]), row["post_id"]) for row in rows])

    async def latest_of(self, topic_ids: Sequence[ObjectId], request: PageRequest) -> list[ObjectId]:
        """Up to `limit + 1` posts listed under any of these topics, in the order of the page, each once.

        Each find merges the topics' parts of the index. A post is there once for each of its topics; so if a find has
        too few posts, the next one reads on, twice as far.
        """
        query: Document = {"topic_id": {"$in": list(topic_ids)}, **_LISTED}
        found, step = dict[ObjectId, None](), request
        while topic_ids and len(found) <= request.limit:
            rows = await find_page(self._entries, query, step, "post_id", hint=TOPIC_POSTS)
            found.update(dict.fromkeys(row["post_id"] for row in rows))
            if len(rows) <= step.limit:
                break
            step = msgspec.structs.replace(step.beyond(rows[-1]["post_id"]), limit=2 * step.limit)
        return list(found)[: request.limit + 1]

    async def latest_of_each(self, topic_ids: Sequence[ObjectId], limit: int, each: int) -> list[ObjectId]:
        """Up to `limit` posts listed under any of these topics, newest first, each once; up to `each` of one topic.

        A topic that has given as many is left out of the next find, which reads on: few finds, of `limit` rows. They
        are exact if `limit` is more than the topics of a post.
        """
        left, given = set(topic_ids), Counter[ObjectId]()
        found, step = dict[ObjectId, None](), PageRequest(limit=limit)
        while left and len(found) < limit:
            query: Document = {"topic_id": {"$in": sorted(left)}, **_LISTED}
            rows = await find_page(self._entries, query, step, "post_id", hint=TOPIC_POSTS)
            is_last = len(rows) <= limit
            if not is_last:  # the next find reads all rows of the last post
                rows = [row for row in rows if row["post_id"] != rows[-1]["post_id"]] or rows
            for row in rows:
                if given[row["topic_id"]] < each:
                    given[row["topic_id"]] += 1
                    found[row["post_id"]] = None
            if is_last:
                break
            left -= {topic_id for topic_id, number in given.items() if number >= each}
            step = step.beyond(rows[-1]["post_id"])
        return list(found)[:limit]

    async def write(
        self,
        post_id: ObjectId,
        scores: Mapping[ObjectId, int],
        unlisted: Sequence[ObjectId],
        now: datetime,
        session: Session,
    ) -> None:
        """Lists a post under the topics of `scores`, and no longer under the others, in the caller's transaction.

        COUNT is pending for what changes.
        """
        updates = [
            UpdateOne(_pair(topic_id, post_id), _change(now, listed=True, score=score), upsert=True)
            for topic_id, score in sorted(scores.items())
        ]
        updates += [UpdateOne(_pair(topic_id, post_id), _change(now, listed=False)) for topic_id in sorted(unlisted)]
        if updates:
            await self._entries.bulk_write(updates, ordered=False, session=session)

    async def pending_counts(self, topic_ids: Sequence[ObjectId], session: Session, limit: int) -> list[Document]:
        """Entries that their topics' counts do not reflect yet, in the order of the topics."""
        fields = {"topic_id": 1, "listed": 1, "counted": 1}
        return await find_pending(self._entries, "topic_id", topic_ids, Task.COUNT, fields, session, limit)

    async def set_counted(self, entries: Sequence[Document], session: Session) -> None:
        """Marks these entries as reflected in the counts; deletes those that are not listed any more."""
        if not entries:
            return
        pipeline = [{"$set": {"counted": "$listed"}}, *mark_done(Task.COUNT)]
        await self._entries.update_many(among(entries, "topic_id"), pipeline, session=session, hint=BY_ID)
        over = {**among(entries, "topic_id"), "listed": False, "outbox": {"$exists": False}}
        await self._entries.delete_many(over, session=session, hint=BY_ID)


def _pair(topic_id: ObjectId, post_id: ObjectId) -> Document:
    return {"topic_id": topic_id, "post_id": post_id}


def _change(now: datetime, **values: object) -> list[Document]:
    return change(values, [Task.COUNT], now, watched="listed")
