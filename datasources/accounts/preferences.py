"""What an account prefers: a part of its document that nobody else reads."""

from bson import ObjectId

from datasources.mongo.client import Database
from domain.lenient_reading import known_value
from domain.records.users import SensitiveContent, UserState

_FIELD = "preferences.sensitive_content"


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
