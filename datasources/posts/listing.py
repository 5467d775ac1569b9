"""Listing posts under their topics and by their words, and taking them off: all of it changes with the post."""

from collections.abc import Mapping, Sequence
from functools import partial

from bson import ObjectId
from pymongo import UpdateOne

from datasources.jobs.outbox import Stage, add_pending, mark_done
from datasources.jobs.queue import JobQueue
from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.queries import BY_ID, find_by_ids, find_ids
from datasources.mongo.sharded_ids import ShardedIds
from datasources.mongo.transactions import in_transaction
from datasources.posts.cached_posts import PostCache
from datasources.posts.caption_terms import CaptionTermStore, caption_entry
from datasources.posts.places import PlaceStore
from datasources.posts.topic_posts import TopicPostStore
from datasources.posts.topics import TopicStore
from datasources.redis.invalidation import InvalidatingWrites
from domain.jobs import Fact, Job, Task
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from domain.topics import Topic, TopicKind, hashtag_topic, is_listed, top_score

# What a post has that is, or was, listed, or found by its words.
_LISTABLE = (
    {"caption": {"$gt": ""}},
    *({name: {"$exists": True}} for name in ("hashtags.0", "location.name", "listed")),
)


class ListingStore:
    """Topics, what is listed under them, and by which words posts are found; does the task LIST of posts.

    The field `listed` of a post holds the topics that it is listed under.
    """

    def __init__(self, database: Database, job_queue: JobQueue, cache: PostCache, sharded_ids: ShardedIds) -> None:
        self._client = database.client
        self._posts = InvalidatingWrites(database["posts"], cache.invalidate)
        self._uncached_posts = self._posts.uncached  # to write outboxes and `listed`
        self._users = database["users"]
        self.topics, self.entries, self.places = TopicStore(database), TopicPostStore(database), PlaceStore(database)
        self.captions = CaptionTermStore(database)
        self._job_queue = job_queue
        self._where = partial(sharded_ids.with_accounts, "author_id")

    async def list_posts(self, post_ids: Sequence[ObjectId]) -> None:
        """Lists those of these posts for which LIST is pending under exactly the topics and words that they have now.

        One transaction writes each post, so it conflicts with every other change of the post, and with `relist`, which
        follows each change of who may see the account. So no entry of an older state can be left. Safe to repeat.
        """
        changed = await in_transaction(self._client, partial(self._list, post_ids))
        await self._job_queue.enqueue(Job(Task.COUNT, Fact.TOPIC_POST, str(topic_id)) for topic_id in changed)

    async def is_pending(self, author_id: ObjectId) -> bool:
        """Whether LIST is pending for an account, so that `relist` has to go through its posts."""
        query = {"_id": author_id, "outbox": Task.LIST.value}
        return await self._users.find_one(query, {"_id": 1}) is not None

    async def relisted_to(self, author: UserRecord) -> ObjectId | None:
        """The last post that the listing of an account has been through since it changed; None if it begins."""
        query = {"_id": author.id, "relisted.version": author.version}
        found = await self._users.find_one(query, {"relisted": 1})
        return None if found is None else found["relisted"]["to"]

    async def note_relisted(self, author: UserRecord, to: ObjectId | None) -> None:
        """Stores how far the listing of an account has been; None removes it. Safe to repeat."""
        noted: Document = {"$set": {"relisted": {"version": author.version, "to": to}}}
        await self._users.update_one({"_id": author.id}, {"$unset": {"relisted": ""}} if to is None else noted)

    async def make_pending(self, author_id: ObjectId, after: ObjectId | None, limit: int) -> list[ObjectId]:
        """Makes LIST pending for up to `limit` posts of an account that come after one; returns them, in order.

        Only posts that have topics or words, or are listed. So who lists them next conflicts with whatever lists them
        by an older state of the account. Safe to repeat.
        """
        query: Document = {"author_id": author_id, "$or": list(_LISTABLE)}
        if after is not None:
            query["_id"] = {"$gt": after}
        ids = await find_ids(self._uncached_posts, query, sort=[("_id", 1)], limit=limit)
        if ids:
            own = {"_id": {"$in": ids}, "author_id": author_id}
            await self._uncached_posts.update_many(own, [add_pending([Task.LIST], clock.now())], hint=BY_ID)
        return ids

    async def take_off(self, post_id: ObjectId) -> None:
        """Makes LIST pending for a deleted post that is listed, unless it is; a process of an older version deleted it.

        Safe to repeat.
        """
        one = {"_id": post_id, **self._where([post_id]), "deleted": True, "listed": {"$exists": True}}
        query = {**one, "outbox": {"$ne": Task.LIST.value}}
        if (await self._uncached_posts.update_one(query, [add_pending([Task.LIST], clock.now())])).matched_count:
            await self._job_queue.enqueue([Job(Task.LIST, Fact.POST, str(post_id))])

    async def relist_entry(self, topic_id: ObjectId, post_id: ObjectId) -> None:
        """Makes LIST pending for a post, and sees to it that it looks at this topic too; for repairs. Safe to repeat.

        Without the post, it is taken off.
        """

        async def apply(session: Session) -> None:
            now, one = clock.now(), {"_id": post_id, **self._where([post_id])}
            noted: Stage = {"$set": {"listed": {"$setUnion": [{"$ifNull": ["$listed", []]}, [topic_id]]}}}
            pending = add_pending([Task.LIST], now)
            if not (await self._uncached_posts.update_one(one, [noted, pending], session=session)).matched_count:
                await self.entries.write(post_id, {}, [topic_id], now, session)

        await in_transaction(self._client, apply)

    async def _list(self, post_ids: Sequence[ObjectId], session: Session) -> set[ObjectId]:
        """The topics whose counts may change."""
        query = {"_id": {"$in": list(post_ids)}, **self._where(post_ids), "outbox": Task.LIST.value}
        posts = await self._uncached_posts.find(query, sort=[("_id", 1)], session=session, hint=BY_ID).to_list()
        if not posts:
            return set()
        authors = await find_by_ids(self._users, list({post["author_id"] for post in posts}), session=session)
        topics = await self._topics_of(posts, authors, session)
        # The posts are written first: a concurrent duplicate conflicts here, before it can meet a key of the other.
        updates = [UpdateOne(_key(post), _set_listed(topics[post["_id"]])) for post in posts]
        async with self._posts.invalidating(_placed_anew(posts, topics), session) as collection:
            await collection.bulk_write(updates, ordered=False, session=session)
        words = [(post, caption_entry(post, authors.get(post["author_id"]))) for post in posts]
        await self.captions.write(words, session)
        await self.topics.ensure([topic for of_post in topics.values() for topic in of_post], session)
        changed, now = set[ObjectId](), clock.now()
        for post in posts:
            before, listed = set(post.get("listed", ())), {topic.id for topic in topics[post["_id"]]}
            score = top_score(post["created_at"], post.get("like_count", 0), post.get("comment_count", 0))
            await self.entries.write(post["_id"], dict.fromkeys(listed, score), list(before - listed), now, session)
            changed |= before ^ listed
        return changed

    async def _topics_of(
        self, posts: Sequence[Document], authors: Mapping[ObjectId, Document], session: Session
    ) -> dict[ObjectId, list[Topic]]:
        """What these posts, as they are, are listed under; a place comes last."""
        topics, new = dict[ObjectId, list[Topic]](), dict[ObjectId, Topic]()
        for post in posts:
            record = as_listed(post, authors.get(post["author_id"]))
            topics[post["_id"]] = [] if record is None else [hashtag_topic(name) for name in record.hashtags]
            if record is not None and record.location is not None:
                place = await self.places.recognise(record.location, post.get("listed", ()), new, session)
                new[place.id] = place
                topics[post["_id"]].append(place)
        return topics


def as_listed(post: Document, author: Document | None) -> PostRecord | None:
    """A post as it is; None if it is not listed under its topics."""
    account = None if author is None else UserRecord.from_document(author)
    record = PostRecord.from_document(post)
    return record if is_listed(record, account) else None


def _set_listed(topics: Sequence[Topic]) -> list[Stage]:
    values = {"listed": [topic.id for topic in topics] or "$$REMOVE", "place_id": _place_among(topics) or "$$REMOVE"}
    return [{"$set": values}, *mark_done(Task.LIST)]


def _place_among(topics: Sequence[Topic]) -> ObjectId | None:
    return next((topic.id for topic in topics if topic.kind is TopicKind.PLACE), None)


def _placed_anew(posts: Sequence[Document], topics: Mapping[ObjectId, Sequence[Topic]]) -> list[ObjectId]:
    """The posts whose place, which is cached with them, changes."""
    return [post["_id"] for post in posts if post.get("place_id") != _place_among(topics[post["_id"]])]


def _key(post: Document) -> Document:
    return {"_id": post["_id"], "author_id": post["author_id"]}
