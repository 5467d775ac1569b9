"""Topics: what posts are listed under, and how many are."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from bson import ObjectId
from pymongo import UpdateOne

from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Readable, Session
from datasources.mongo.indexes import TOPIC_POSTS
from datasources.mongo.lenient_reads import readable
from datasources.mongo.queries import find_by_ids
from datasources.mongo.search_keys import SEARCH, key_fields, listing_if
from domain.places import Point
from domain.records.topics import HashtagRecord
from domain.search_keys import popularity
from domain.topic_search import topic_keys
from domain.topics import Topic, TopicKind, hashtag_id

EMPTY_KEPT = timedelta(hours=1)  # longer than any transaction: what lists a post under an empty topic keeps the topic
# The end of an update pipeline that changes the number of posts: a search finds topics that posts are listed under.
_LIST_IN_SEARCH = listing_if({"$gt": ["$post_count", 0]}, "post_count")


class TopicStore:
    """The collection `topics`.

    `post_count` is written by the counting worker alone. A topic without posts has `expires_at`: its name is somebody's
    words, which go with the last post that has them. The part `search` says by what it is found.
    """

    def __init__(self, database: Database) -> None:
        self._topics = database["topics"]
        self._entries: Readable = database["topic_posts"]

    async def hashtags(self, names: Sequence[str]) -> list[HashtagRecord]:
        """The hashtags of these names, in their order, also those that no post has; one operation."""
        ids = [hashtag_id(name) for name in names]
        found = await find_by_ids(self._topics, ids)
        return [
            readable(HashtagRecord, found.get(id_)) or HashtagRecord(id=id_, name=name)
            for id_, name in zip(ids, names, strict=True)
        ]

    async def hashtags_by_ids(self, ids: Sequence[ObjectId]) -> list[HashtagRecord | None]:
        """The hashtags of these ids, in their order; None for one that no post has, whose name nobody knows."""
        found = await find_by_ids(self._topics, ids)
        hashtags = {id_: each for id_, each in found.items() if each["kind"] == TopicKind.HASHTAG.value}
        return [readable(HashtagRecord, hashtags.get(id_)) for id_ in ids]

    async def ensure(self, topics: Iterable[Topic], session: Session) -> None:
        """Makes those topics that are missing, and keeps those that would expire, within the caller's transaction.

        A topic that is there and has posts is not written, so that posts of one topic do not conflict.
        """
        wanted = {topic.id: topic for topic in topics}
        found = await find_by_ids(self._topics, list(wanted), projection={"expires_at": 1}, session=session)
        missing = [wanted[id_] for id_ in sorted(wanted.keys() - found.keys())]
        if missing:
            counted = await self._counted([topic.id for topic in missing], session)
            new = [_to_document(topic, counted.get(topic.id, 0)) for topic in missing]
            await self._topics.insert_many(new, session=session)
        expiring = sorted(id_ for id_, topic in found.items() if "expires_at" in topic)
        if expiring:
            await self._topics.update_many({"_id": {"$in": expiring}}, {"$unset": {"expires_at": ""}}, session=session)

    async def add_to_counts(self, deltas: Mapping[ObjectId, int], session: Session) -> None:
        """Adds to the counters of topics, zeros too, within the caller's transaction; empty ones expire."""
        updates = [
            UpdateOne({"_id": id_}, _with_count({"$add": ["$post_count", by]})) for id_, by in sorted(deltas.items())
        ]
        if updates:
            await self._topics.bulk_write(updates, ordered=False, session=session)

    async def _counted(self, topic_ids: Sequence[ObjectId], session: Session) -> dict[ObjectId, int]:
        """How many posts are marked as counted under topics that are made: none, unless a topic was lost."""
        pipeline: list[Document] = [
            {"$match": {"topic_id": {"$in": topic_ids}, "counted": True}},
            {"$group": {"_id": "$topic_id", "posts": {"$sum": 1}}},
        ]
        rows = await (await self._entries.aggregate(pipeline, session=session, hint=dict(TOPIC_POSTS))).to_list()
        return {row["_id"]: row["posts"] for row in rows}

    async def correct_counts(self, topic_id: ObjectId, counts: Document, session: Session) -> None:
        """Sets a recounted counter, within the caller's transaction."""
        await self._topics.update_one({"_id": topic_id}, _with_count(counts["post_count"]), session=session)

    async def correct_search(self, topic_id: ObjectId) -> None:
        """Writes by what a topic is found, as its name and its number of posts demand; for repairs. Safe to repeat."""
        topic = await self._topics.find_one({"_id": topic_id}, {"kind": 1, "name": 1})
        if topic is not None:
            keys = {"$set": {SEARCH: {"$literal": key_fields(topic_keys(topic["kind"], topic["name"]))}}}
            await self._topics.update_one({"_id": topic_id}, [keys, _LIST_IN_SEARCH])


def search_fields(topic: Document) -> Document:
    """The part `search` of a topic as it is stored."""
    fields = key_fields(topic_keys(topic["kind"], topic["name"]))
    return fields if topic["post_count"] <= 0 else {**fields, "popularity": popularity(topic["post_count"])}


def to_geojson(point: Point) -> Document:
    """A point as MongoDB's geographic indexes take it."""
    return {"type": "Point", "coordinates": [point.longitude, point.latitude]}


def _to_document(topic: Topic, post_count: int) -> Document:
    point = {} if topic.point is None else {"point": to_geojson(topic.point)}
    place = {"name_key": topic.key, **point} if topic.key else {}
    stored = {"_id": topic.id, "kind": topic.kind.value, "name": topic.name, "post_count": post_count, **place}
    return {**stored, SEARCH: search_fields(stored)}


def _with_count(post_count: object) -> list[Document]:
    expiry = {"$cond": [{"$lte": ["$post_count", 0]}, clock.now() + EMPTY_KEPT, "$$REMOVE"]}
    return [{"$set": {"post_count": post_count}}, {"$set": {"expires_at": expiry}}, _LIST_IN_SEARCH]
