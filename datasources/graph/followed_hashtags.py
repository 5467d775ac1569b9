"""Which hashtags an account follows: one document for each account."""

from collections.abc import Sequence
from typing import Any

from bson import ObjectId

from datasources.mongo import clock
from datasources.mongo.client import Database, Document, Readable
from datasources.mongo.lenient_reads import readable
from datasources.mongo.upserts import upsert
from datasources.redis.invalidation import InvalidatingWrites
from datasources.redis.read_through import Cache
from domain.errors import Refusal, UserErrorCode
from domain.limits import FOLLOWED_HASHTAGS_MAX
from domain.paging import Page, PageRequest, cut_page
from domain.records.record import Record, Stored
from domain.topics import hashtag_id


class FollowedHashtag(Record, frozen=True, kw_only=True):
    """A hashtag that an account follows; `id` says since when, and orders the list."""

    id: ObjectId
    topic_id: ObjectId
    name: str


class FollowedHashtags(Stored, frozen=True, kw_only=True):
    """What an account follows, latest first; `id` is the account."""

    followed: Sequence[FollowedHashtag] = ()


class FollowedHashtagStore:
    """The collection `followed_hashtags`: {_id: account, followed: latest first}.

    It decides which posts the account's feed shows: `first_pages` holds the newest part, by owner.
    """

    def __init__(self, database: Database, first_pages: Cache[ObjectId, Any]) -> None:
        self._accounts: Readable = database["followed_hashtags"]
        self._writes = InvalidatingWrites(database["followed_hashtags"], first_pages.invalidate)

    async def follow(self, user_id: ObjectId, name: str) -> None:
        """Makes an account follow a hashtag. Atomic and safe to repeat. Raises Refusal (TOO_MANY_FOLLOWS)."""
        topic_id, followed = hashtag_id(name), {"$ifNull": ["$followed", []]}
        new: Document = {"id": clock.new_id(), "topic_id": topic_id, "name": {"$literal": name}}
        stays = {
            "$or": [
                {"$in": [topic_id, {"$ifNull": ["$followed.topic_id", []]}]},
                {"$gte": [{"$size": followed}, FOLLOWED_HASHTAGS_MAX]},
            ]
        }
        changes = {"$set": {"followed": {"$cond": [stays, followed, {"$concatArrays": [[new], followed]}]}}}
        async with self._writes.invalidating([user_id]) as accounts:
            account = await upsert(accounts, {"_id": user_id}, [changes])
        if all(each["topic_id"] != topic_id for each in account["followed"]):
            message = f"Nobody can follow more than {FOLLOWED_HASHTAGS_MAX} hashtags."
            raise Refusal(UserErrorCode.TOO_MANY_FOLLOWS, message, field=["name"])

    async def unfollow(self, user_id: ObjectId, name: str) -> None:
        """Makes an account not follow a hashtag. Atomic and safe to repeat."""
        async with self._writes.invalidating([user_id]) as accounts:
            await accounts.update_one({"_id": user_id}, {"$pull": {"followed": {"topic_id": hashtag_id(name)}}})

    async def of_account(self, user_id: ObjectId) -> Sequence[FollowedHashtag]:
        """What an account follows, latest first; one read by id."""
        found = readable(FollowedHashtags, await self._accounts.find_one({"_id": user_id}))
        return [] if found is None else found.followed

    async def topic_ids(self, user_id: ObjectId) -> list[ObjectId]:
        """The topics that an account follows."""
        return [followed.topic_id for followed in await self.of_account(user_id)]

    async def page(self, user_id: ObjectId, request: PageRequest) -> Page[str]:
        """The names of the hashtags that an account follows, latest first."""
        request = request.expects(ObjectId)
        walked = [
            (followed.id, followed.name) for followed in await self.of_account(user_id) if request.holds(followed.id)
        ]
        walked.sort(reverse=not request.backward)
        return cut_page(request, walked[: request.limit + 1])

    async def erase(self, user_id: ObjectId) -> None:
        """Deletes what an account follows. Safe to repeat."""
        async with self._writes.invalidating([user_id]) as accounts:
            await accounts.delete_one({"_id": user_id})
