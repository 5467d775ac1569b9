"""What an account prefers: a part of its document that nobody else reads."""

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId

from datasources.accounts.search_terms import IN_SEARCH, LIST_IN_SEARCH
from datasources.jobs.outbox import change
from datasources.jobs.queue import JobQueue
from datasources.mongo import clock
from datasources.mongo.client import Database, Document
from domain.jobs import Fact, Task
from domain.lenient_reading import known_value
from domain.records.users import SensitiveContent, UserState

_SENSITIVE_CONTENT = "preferences.sensitive_content"
_APPROVES_TAGS = "preferences.approves_tags"
_SHOWS_SUGGESTED = "preferences.shows_suggested_posts"
DEFAULTS: Mapping[str, Any] = {
    _SENSITIVE_CONTENT: SensitiveContent.VEIL.value,
    _APPROVES_TAGS: False,
    IN_SEARCH: True,
    _SHOWS_SUGGESTED: True,
}


def preferences_of(account: Document) -> dict[str, Any]:
    """What an account prefers, as it is stored, with what holds for those who never changed it."""
    stored: Mapping[str, Any] = account.get("preferences", {})
    return {**{field.partition(".")[2]: default for field, default in DEFAULTS.items()}, **stored}


class PreferenceStore:
    """The field `preferences` of the collection `users`; it is not cached."""

    def __init__(self, database: Database, job_queue: JobQueue) -> None:
        self._users = database["users"]
        self._job_queue = job_queue

    async def sensitive_content(self, user_id: ObjectId) -> SensitiveContent:
        """How posts that are labelled sensitive are shown."""
        stored = await self._find(user_id, _SENSITIVE_CONTENT)
        return known_value(SensitiveContent, stored)

    async def set_sensitive_content(self, user_id: ObjectId, wanted: SensitiveContent) -> None:
        """Sets how such posts are shown. Safe to repeat."""
        await self._set(user_id, _SENSITIVE_CONTENT, wanted.value)

    async def is_in_search(self, user_id: ObjectId) -> bool:
        """Whether strangers find the account by a part of its names, and its posts by their words and in explore."""
        return bool(await self._find(user_id, IN_SEARCH))

    async def set_in_search(self, user_id: ObjectId, wanted: bool) -> None:
        """Sets whether strangers find the account by a part of its names, from the next search on.

        And its posts by their words: if it changes, LIST is pending, which does that. One atomic write. Safe to repeat.
        """
        pipeline = [*change({IN_SEARCH: wanted}, [Task.LIST], clock.now(), watched=IN_SEARCH), LIST_IN_SEARCH]
        account = await self._users.find_one_and_update(_there(user_id), pipeline, return_document=True)
        if account is not None:
            await self._job_queue.enqueue_pending(Fact.USER, [account])

    async def approving_tags(self, user_ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Those of these accounts that want to approve each tag of them; one operation, none for nobody."""
        if not user_ids:
            return set()
        query = {"_id": {"$in": list(user_ids)}, _APPROVES_TAGS: True}
        return {row["_id"] for row in await self._users.find(query, {"_id": 1}).to_list()}

    async def set_approves_tags(self, user_id: ObjectId, wanted: bool) -> None:
        """Sets whether tags of this account wait for its approval; those that are there stay. Safe to repeat."""
        await self._set(user_id, _APPROVES_TAGS, wanted)

    async def shows_suggested_posts(self, user_id: ObjectId) -> bool:
        """Whether the account's ranked feed goes on with suggested posts."""
        return bool(await self._find(user_id, _SHOWS_SUGGESTED))

    async def set_shows_suggested_posts(self, user_id: ObjectId, wanted: bool) -> None:
        """Sets whether ranked feeds that are begun from now on go on with suggested posts. Safe to repeat."""
        await self._set(user_id, _SHOWS_SUGGESTED, wanted)

    async def _find(self, user_id: ObjectId, field: str) -> Any:
        return preferences_of(await self._users.find_one({"_id": user_id}, {field: 1}) or {})[field.partition(".")[2]]

    async def _set(self, user_id: ObjectId, field: str, value: Any) -> None:
        await self._users.update_one(_there(user_id), {"$set": {field: value}})


def _there(user_id: ObjectId) -> Document:
    return {"_id": user_id, "state": {"$ne": UserState.DELETED.value}}
