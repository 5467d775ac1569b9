"""How sessions end: by their owner, with their account, or because newer ones need their place.

Whatever ends a session closes its sockets, and has other processes drop it from their caches (`session_watch.py`).
"""

from collections.abc import Collection
from datetime import datetime

from bson import ObjectId

from datasources.accounts.session_cache import SessionCache
from datasources.mongo.client import Database, Document, Session
from datasources.mongo.transactions import after_transaction
from datasources.redis.pubsub import News
from domain.limits import SESSIONS_MAX

LOGIN = {"personal_hash": {"$exists": False}}  # and not a personal access token (`access_tokens.py`)
READ_AT_ONCE = 1_000  # sessions of an account that an older version let have more


def session_topic(session_id: ObjectId) -> str:
    return f"session:{session_id}"


class SessionEndings:
    """The part of `SessionStore` that ends sessions."""

    def __init__(self, database: Database, news: News) -> None:
        self._sessions, self._users = database["sessions"], database["users"]
        self._news = news
        self._cache = SessionCache()

    async def end(self, user_id: ObjectId, session_id: ObjectId) -> bool:
        """Ends a session of this user, and its sockets, at once; False if there is none. Safe to repeat."""
        try:
            ended = await self._sessions.delete_one({"_id": session_id, "user_id": user_id})
        finally:  # also if nobody knows whether it was deleted
            self._cache.remove([session_id])
        await self._news.publish(session_topic(session_id))
        return ended.deleted_count == 1

    async def end_all(self, user_id: ObjectId, *, last: ObjectId | None = None) -> None:
        """Ends every session of this user; `last` after the others, so that its token can retry while any is left."""
        if last is not None:
            await self.end_others(user_id, last)
        await self._end_those({"user_id": user_id})

    async def end_opened_by(self, user_id: ObjectId, moment: datetime) -> None:
        """Ends every session of this user that was opened by then, personal access tokens too. Safe to repeat."""
        await self._end_those({"user_id": user_id, "created_at": {"$lte": moment}})

    async def end_others(self, user_id: ObjectId, kept: ObjectId | None, session: Session | None = None) -> None:
        """Ends every session of this user but one, access tokens too, at once or with a transaction. Repeatable."""
        await self._end_those({"user_id": user_id, "_id": {"$ne": kept}}, session)

    async def end_other_logins(self, user_id: ObjectId, kept: ObjectId) -> None:
        """As `end_others`, without personal access tokens."""
        await self._end_those({"user_id": user_id, "_id": {"$ne": kept}, **LOGIN})

    async def end_outdated(self, user_id: ObjectId, *, is_restricted: bool) -> None:
        """Ends what this user opened under another standing. Safe to repeat."""
        query = {"user_id": user_id, "is_restricted": {"$ne": True} if is_restricted else True}
        while await self._end_those(query):  # more than once: a session that is about to end may make an access token
            pass

    async def end_least_used(self, user_id: ObjectId, *, kept: Collection[ObjectId | None]) -> None:
        """Ends what this user's logins are more than `SESSIONS_MAX`, those first that were used least lately.

        It never ends those to be kept. Safe to repeat. Concurrent logins end within the limit, if each calls this after
        its session is written: the last to read sees them all.
        """
        oldest = self._sessions.find(
            {"user_id": user_id, **LOGIN}, projection={"last_used_at": 1}, sort=[("_id", 1)], limit=READ_AT_ONCE
        )
        rows = await oldest.to_list()
        surplus = len(rows) - SESSIONS_MAX
        if surplus > 0:
            rows.sort(key=lambda row: row.get("last_used_at") or row["_id"].generation_time)
            ended = [row["_id"] for row in rows if row["_id"] not in kept][:surplus]
            await self._end_those({"user_id": user_id, "_id": {"$in": ended}})

    async def _end_those(self, query: Document, session: Session | None = None) -> bool:
        rows = await self._sessions.find(query, projection={"_id": 1}, session=session).to_list()

        async def announce() -> None:
            self._cache.remove(row["_id"] for row in rows)
            await self._news.publish(*(session_topic(row["_id"]) for row in rows))

        if session is not None:
            after_transaction(session, announce)
        try:
            await self._sessions.delete_many(query, session=session)
        finally:
            if session is None:
                await announce()
        return bool(rows)
