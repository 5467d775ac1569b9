"""Whom to suggest to a viewer: computed from bounded reads when somebody asks, and kept for a while.

What is kept is derived: one document for each viewer, shown to nobody else. Whoever shows it applies the rules again.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from bson import ObjectId

from datasources.discovery.dismissals import DismissalStore
from datasources.graph.viewer_relations import find_relations
from datasources.mongo.client import Database, Document, Readable
from datasources.mongo.indexes import SHOWN_POSTS
from datasources.mongo.lenient_reads import readable
from datasources.mongo.queries import BY_ID, find_by_ids
from datasources.mongo.search_keys import KEYS, LISTED, POPULARITY
from datasources.mongo.sharded_ids import ShardedIds
from datasources.mongo.upserts import upsert
from domain.limits import FOLLOWING_MAX
from domain.records.follows import FollowState
from domain.records.posts import PostStatus
from domain.suggestions import (
    FEW_SIGNALS,
    KEPT,
    KEPT_OF_FEW,
    SuggestionsRecord,
    count_signals,
    rank_accounts,
    strongest,
)
from domain.topics import hashtag_id

# What is read for one viewer, at most.
FOLLOWED_READ, FOLLOWED_BY_EACH = 100, 100  # whom the viewer followed latest, and whom each of these did
HASHTAGS_READ, POSTS_OF_EACH = 30, 20  # followed or used latest, and the best posts of each
OWN_POSTS_READ = 20  # for hashtags that the viewer uses
STRONGEST, POPULAR = 300, 150  # accounts whose popularity and relations are read
_FOLLOWING: Document = {"state": FollowState.FOLLOWING.value}


class Signals(msgspec.Struct, frozen=True):
    """How many of those whom a viewer follows follow each account, and with how many hashtags it posts.

    `sources` counts the people and hashtags that this comes from.
    """

    followers: Mapping[ObjectId, int]
    hashtags: Mapping[ObjectId, int]
    sources: int


class SuggestionStore:
    """The collection `suggestions`."""

    def __init__(self, database: Database, dismissals: DismissalStore, sharded_ids: ShardedIds) -> None:
        self._suggestions = database["suggestions"]
        self._dismissals = dismissals
        self._follows: Readable = database["follows"]
        self._blocks: Readable = database["blocks"]
        self._mutes: Readable = database["mutes"]
        self._users: Readable = database["users"]
        self._posts: Readable = database["posts"]
        self._topics: Readable = database["topics"]
        self._followed_hashtags: Readable = database["followed_hashtags"]
        self._where_posts = partial(sharded_ids.with_accounts, "author_id")

    async def get_or_compute(self, viewer_id: ObjectId, now: datetime) -> SuggestionsRecord:
        """The suggestions for a viewer, computed at once if there are none, or old ones."""
        found = readable(SuggestionsRecord, await self._suggestions.find_one({"_id": viewer_id}))
        return found if found is not None and found.expires_at > now else await self.compute(viewer_id, now)

    async def compute(self, viewer_id: ObjectId, now: datetime) -> SuggestionsRecord:
        """Computes and keeps a viewer's suggestions by some fifteen bounded reads. Safe to repeat and at once."""
        signals = await self._signals(viewer_id)
        wanted = strongest(signals.followers, signals.hashtags, STRONGEST)
        listed, popular = await asyncio.gather(self.listed(wanted), self._popular())
        popularity = {**popular, **listed}
        new_ids = await self._unrelated(viewer_id, list(popularity))
        suggested = {user_id: popularity[user_id] for user_id in new_ids}
        accounts = rank_accounts(suggested, signals.followers, signals.hashtags)
        kept = KEPT_OF_FEW if signals.sources < FEW_SIGNALS else KEPT
        suggestions = SuggestionsRecord(id=viewer_id, accounts=accounts, expires_at=now + kept)
        await upsert(self._suggestions, {"_id": viewer_id}, [{"$replaceWith": {"$literal": suggestions.to_document()}}])
        return suggestions

    async def listed(self, user_ids: Sequence[ObjectId]) -> Mapping[ObjectId, int]:
        """The popularity of those of these accounts that are active and want to be found."""
        if not user_ids:
            return {}
        query = {"_id": {"$in": list(user_ids)}, POPULARITY: LISTED}
        return await self._popularity(query, hint=BY_ID)

    async def erase(self, viewer_id: ObjectId) -> None:
        """Deletes the suggestions for a viewer. Safe to repeat."""
        await self._suggestions.delete_one({"_id": viewer_id})

    async def _signals(self, viewer_id: ObjectId) -> Signals:
        followed, dismissed, lists, topic_ids = await asyncio.gather(
            self._followed(viewer_id),
            self._dismissals.of_account(viewer_id),
            self._followed_by_followed(viewer_id),
            self._topic_ids(viewer_id),
        )
        excluded = {viewer_id, *followed, *dismissed}
        return Signals(
            count_signals(lists, excluded),
            count_signals(await self._authors_of(topic_ids), excluded),
            len(lists) + len(topic_ids),
        )

    async def _followed(self, viewer_id: ObjectId) -> list[ObjectId]:
        query = {"follower_id": viewer_id, **_FOLLOWING}
        rows = self._follows.find(query, {"_id": 0, "followee_id": 1}, batch_size=FOLLOWING_MAX + 1)
        return [row["followee_id"] for row in await rows.to_list()]

    async def _followed_by_followed(self, viewer_id: ObjectId) -> list[list[ObjectId]]:
        """Whom each of those follows whom the viewer followed latest; all from the index alone."""
        latest: list[Document] = [{"$match": _FOLLOWING}, {"$sort": {"_id": -1}}]
        theirs = [*latest, {"$limit": FOLLOWED_BY_EACH}, {"$project": {"_id": 0, "followee_id": 1}}]
        on = {"localField": "followee_id", "foreignField": "follower_id"}
        pipeline = [
            {"$match": {"follower_id": viewer_id, **_FOLLOWING}},
            {"$sort": {"_id": -1}},
            {"$limit": FOLLOWED_READ},
            {"$project": {"_id": 0, "followee_id": 1}},
            {"$lookup": {"from": "follows", **on, "pipeline": theirs, "as": "theirs"}},
            {"$project": {"ids": "$theirs.followee_id"}},
        ]
        return [row["ids"] for row in await (await self._follows.aggregate(pipeline)).to_list()]

    async def _topic_ids(self, viewer_id: ObjectId) -> list[ObjectId]:
        """Hashtags that the viewer follows, latest first, and those of the viewer's latest posts, commonest first."""
        account, posts = await asyncio.gather(
            self._followed_hashtags.find_one({"_id": viewer_id}),
            self._posts.find(
                {"author_id": viewer_id, "status": PostStatus.READY.value, "deleted": False},
                {"hashtags": 1},
                sort=[("_id", -1)],
                limit=OWN_POSTS_READ,
                hint=SHOWN_POSTS,
            ).to_list(),
        )
        followed = [] if account is None else [each["topic_id"] for each in account.get("followed", ())]
        used = Counter(name for post in posts for name in post.get("hashtags", ()))
        return list(dict.fromkeys([*followed, *(hashtag_id(name) for name, _ in used.most_common())]))[:HASHTAGS_READ]

    async def _authors_of(self, topic_ids: Sequence[ObjectId]) -> list[list[ObjectId]]:
        """The authors of the best posts that are listed under each topic that has some."""
        if not topic_ids:
            return []
        best: list[Document] = [{"$match": {"listed": True}}, {"$sort": {"score": -1, "post_id": -1}}]
        theirs = [*best, {"$limit": POSTS_OF_EACH}, {"$project": {"_id": 0, "post_id": 1}}]
        on = {"localField": "_id", "foreignField": "topic_id"}
        pipeline = [
            {"$match": {"_id": {"$in": list(topic_ids)}}},
            {"$project": {"_id": 1}},
            {"$lookup": {"from": "topic_posts", **on, "pipeline": theirs, "as": "posts"}},
            {"$project": {"ids": "$posts.post_id"}},
        ]
        rows = await (await self._topics.aggregate(pipeline)).to_list()
        post_ids = list({post_id for row in rows for post_id in row["ids"]})
        posts = await find_by_ids(self._posts, post_ids, self._where_posts, projection={"author_id": 1})
        return [[posts[each]["author_id"] for each in row["ids"] if each in posts] for row in rows]

    async def _popular(self) -> Mapping[ObjectId, int]:
        """The accounts with the most followers, about, that want to be found."""
        order = [(POPULARITY, -1), (KEYS[0], 1), ("_id", 1)]
        return await self._popularity({POPULARITY: LISTED, KEYS[0]: {"$gte": ""}}, sort=order, limit=POPULAR)

    async def _popularity(self, query: Document, **options: Any) -> Mapping[ObjectId, int]:
        rows = self._users.find(query, {POPULARITY: 1}, **options)
        return {row["_id"]: row["search"]["popularity"] for row in await rows.to_list()}

    async def _unrelated(self, viewer_id: ObjectId, user_ids: Sequence[ObjectId]) -> list[ObjectId]:
        """Those of these to whom the viewer has no relation yet, and whom the viewer has not dismissed."""
        pairs = [(viewer_id, user_id) for user_id in user_ids]
        relations, dismissed = await asyncio.gather(
            find_relations(self._follows, self._blocks, self._mutes, pairs), self._dismissals.of_account(viewer_id)
        )
        gone = set(dismissed)
        people = zip(user_ids, relations, strict=True)
        return [user_id for user_id, relation in people if relation.is_unrelated and user_id not in gone]
