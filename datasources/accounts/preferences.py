"""What an account prefers: a part of its document that nobody else reads."""

from collections.abc import Sequence

from bson import ObjectId

from datasources.mongo.client import Database
from domain.lenient_reading import known_value
from domain.records.users import SensitiveContent, UserState

_FIELD = "preferences.sensitive_content"
_APPROVES_TAGS = "preferences.approves_tags"


class PreferenceStore:
    """The field `preferences` of the collection `users`; it is not cached."""

    def __init__(self, database: Database) -> None:
        self._users = database["users"]

    async def sensitive_content(self, user_id: ObjectId) -> SensitiveContent:
        """How posts that are labelled sensitive are shown."""
        user = await self._users.find_one({"_id": user_id}, {_FIELD: 1})
        stored = (user or {}).get("preferences", {}).get("sensitive_content", SensitiveContent.VEIL.value)
        return known_value(SensitiveContent, stored)

    async def set_sensitive_content(self, user_id: ObjectId, wanted: SensitiveContent) -> None:
        """Sets how such posts are shown. Safe to repeat."""
        query = {"_id": user_id, "state": {"$ne": UserState.DELETED.value}}
        await self._users.update_one(query, {"$set": {_FIELD: wanted.value}})

    async def approving_tags(self, user_ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Those of these accounts that want to approve each tag of them; one operation, none for nobody."""
        if not user_ids:
            return set()
        query = {"_id": {"$in": list(user_ids)}, _APPROVES_TAGS: True}
        return {row["_id"] for row in await self._users.find(query, {"_id": 1}).to_list()}

    async def set_approves_tags(self, user_id: ObjectId, wanted: bool) -> None:
        """Sets whether tags of this account wait for its approval; those that are there stay. Safe to repeat."""
        query = {"_id": user_id, "state": {"$ne": UserState.DELETED.value}}
        await self._users.update_one(query, {"$set": {_APPROVES_TAGS: wanted}})
