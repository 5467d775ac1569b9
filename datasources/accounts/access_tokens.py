"""Personal access tokens: for programs that act for an account, with scopes and without its password.

A token is a session that cannot be refreshed and has scopes. So it is authenticated, cached, noticed by sockets when it
ends, and ended by the same code (`sessions.py`).
"""

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from bson import ObjectId

from datasources.accounts.factor_changes import FactorChanges
from datasources.accounts.session_cache import token_hash
from datasources.accounts.session_tokens import derived_token
from datasources.accounts.sessions import SessionStore
from datasources.mongo import clock
from datasources.mongo.client import Database, Document
from datasources.mongo.lenient_reads import readable
from domain.access_scopes import AccessScope, with_reading
from domain.errors import Refusal, Unauthenticated, UserErrorCode
from domain.limits import ACCESS_TOKENS_MAX
from domain.records.users import AccessTokenRecord, SessionRecord

_SHOWN = dict.fromkeys(AccessTokenRecord.__struct_encode_fields__, 1)
_PERSONAL: Document = {"personal_hash": {"$exists": True}}


class AccessTokenStore:
    """The personal access tokens in the collection `sessions`; a TTL index removes those that have expired."""

    def __init__(self, database: Database, sessions: SessionStore, changes: FactorChanges) -> None:
        self._tokens = database["sessions"]
        self._sessions = sessions
        self._changes = changes

    async def create(
        self, session: SessionRecord, name: str, scopes: Collection[AccessScope], *, lifetime: timedelta, now: datetime
    ) -> tuple[AccessTokenRecord, str]:
        """A new token of the session's account, and its text, which is not stored.

        Raises Refusal (NOT_ALLOWED) if there are enough; of concurrent ones that are together too many, some or all are
        refused. Raises Unauthenticated if the session has ended, maybe with all others: it is read after the token was
        written, so what ends all either finds the token or is seen here.
        """
        token_id = clock.new_id()
        text = derived_token(token_id, secrets.token_bytes(32), secrets.token_urlsafe(32))
        expires_at = now + lifetime
        document: Document = {
            "_id": token_id,
            "user_id": session.user_id,
            "name": name,
            "client_name": name,
            "scopes": [scope.value for scope in with_reading(scopes)],
            "personal_hash": token_hash(text),
            "created_at": now,
            "last_used_at": now,
            "access_expires_at": expires_at,
            "expires_at": expires_at,
        }
        await self._tokens.insert_one(document)
        if not await self._sessions.existing([session.id]):
            await self._tokens.delete_one({"_id": token_id})
            raise Unauthenticated
        if await self._tokens.count_documents({"user_id": session.user_id, **_PERSONAL}) > ACCESS_TOKENS_MAX:
            await self._tokens.delete_one({"_id": token_id})
            message = f"An account has at most {ACCESS_TOKENS_MAX} access tokens: revoke one first."
            raise Refusal(UserErrorCode.NOT_ALLOWED, message)
        await self._changes.tell(session.user_id)  # before the answer: without it nobody has the token
        return AccessTokenRecord.from_document(document), text

    async def revoke(self, user_id: ObjectId, token_id: ObjectId) -> bool:
        """Ends a token of this user, and its sockets, at once; False if there is none. Safe to repeat."""
        if await self._tokens.find_one({"_id": token_id, "user_id": user_id, **_PERSONAL}, {"_id": 1}) is None:
            return False
        return await self._sessions.end(user_id, token_id)

    async def of_user(self, user_id: ObjectId) -> list[AccessTokenRecord]:
        """The tokens of a user that have not expired, the latest first."""
        query = {"user_id": user_id, **_PERSONAL, "expires_at": {"$gt": clock.now()}}
        rows = self._tokens.find(query, projection=_SHOWN, sort=[("_id", -1)], limit=ACCESS_TOKENS_MAX)
        tokens = [readable(AccessTokenRecord, row) for row in await rows.to_list()]
        return [token for token in tokens if token is not None]

    async def by_id(self, token_id: ObjectId) -> AccessTokenRecord | None:
        """A token that has not expired."""
        query = {"_id": token_id, **_PERSONAL, "expires_at": {"$gt": clock.now()}}
        return readable(AccessTokenRecord, await self._tokens.find_one(query, projection=_SHOWN))
