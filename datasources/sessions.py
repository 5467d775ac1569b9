"""Sessions: opaque tokens of 256 random bits, of which only hashes are stored.

A token starts with its session's id, so that finding it is a read by primary key. A refresh token is good once; using
a spent one again ends the session, for then somebody else may have it (RFC 9700, section 4.14).
"""

import base64
import binascii
import hashlib
import secrets
from datetime import UTC, datetime, timedelta

import msgspec
from bson import ObjectId

from datasources.live import Live, session_topic
from datasources.mongo import Database, Document
from domain.errors import Refusal, UserErrorCode
from domain.records import SessionRecord

TOUCH_EVERY = timedelta(minutes=1)  # how exact `last_used_at` is
SPENT_KEPT = 50
GRACE = timedelta(seconds=30)  # an answer may get lost: for so long the last spent token is only refused

_PUBLIC = {"access_hash": 0, "refresh_hash": 0, "spent_hashes": 0}


class Tokens(msgspec.Struct, frozen=True):
    """What a client holds of a session."""

    access_token: str
    access_token_expires_at: datetime
    refresh_token: str


class SessionStore:
    """The collection `sessions`; a document goes by itself when its session has ended or was not used for long."""

    def __init__(self, database: Database, live: Live, *, access_ttl: int, refresh_ttl: int) -> None:
        self._sessions = database["sessions"]
        self._live = live
        self._access_ttl = timedelta(seconds=access_ttl)
        self._refresh_ttl = timedelta(seconds=refresh_ttl)

    async def open(self, user_id: ObjectId, client_name: str | None, now: datetime) -> tuple[SessionRecord, Tokens]:
        """A new session and its tokens."""
        session_id = ObjectId()
        tokens, hashes = self._new_tokens(session_id, now)
        document: Document = {
            "_id": session_id,
            "user_id": user_id,
            "client_name": client_name,
            "created_at": now,
            "last_used_at": now,
            "spent_hashes": [],
            **hashes,
        }
        await self._sessions.insert_one(document)
        return SessionRecord.from_document(document), tokens

    async def authenticate(self, access_token: str) -> SessionRecord | None:
        """The session an access token is good for, or None. Notes the use, at most once a minute."""
        session_id = _session_of(access_token)
        if session_id is None:
            return None
        now = datetime.now(UTC)
        found = await self._sessions.find_one(
            {"_id": session_id, "access_hash": _hash(access_token), "access_expires_at": {"$gt": now}},
            projection=_PUBLIC,
        )
        if found is None:
            return None
        if now - found["last_used_at"] > TOUCH_EVERY:
            await self._sessions.update_one({"_id": session_id}, {"$set": {"last_used_at": now}})
        return SessionRecord.from_document(found)

    async def refresh(self, refresh_token: str, now: datetime) -> tuple[SessionRecord, Tokens]:
        """Exchanges a refresh token for new tokens, once: of simultaneous twins one wins.

        Raises Refusal (INVALID_CREDENTIALS) for any other; a token spent long ago ends the session.
        """
        session_id, presented = _session_of(refresh_token), _hash(refresh_token)
        if session_id is None:
            raise _not_valid()
        tokens, hashes = self._new_tokens(session_id, now)
        found = await self._sessions.find_one_and_update(
            {"_id": session_id, "refresh_hash": presented, "expires_at": {"$gt": now}},
            {
                "$set": {**hashes, "last_used_at": now, "refreshed_at": now},
                "$push": {"spent_hashes": {"$each": [presented], "$slice": -SPENT_KEPT}},
            },
            projection=_PUBLIC,
            return_document=True,
        )
        if found is None:
            await self._end_if_stolen(session_id, presented, now)
            raise _not_valid()
        return SessionRecord.from_document(found), tokens

    async def end(self, user_id: ObjectId, session_id: ObjectId) -> bool:
        """Ends one session of this user, at once and with its sockets; False if there is none. Safe to repeat."""
        ended = await self._sessions.delete_one({"_id": session_id, "user_id": user_id})
        await self._live.publish(session_topic(session_id))
        return ended.deleted_count == 1

    async def end_all(self, user_id: ObjectId) -> None:
        """Ends every session of this user."""
        found = await self._sessions.find({"user_id": user_id}, projection={"_id": 1}).to_list()
        await self._sessions.delete_many({"user_id": user_id})
        await self._live.publish(*(session_topic(document["_id"]) for document in found))

    async def of_user(self, user_id: ObjectId) -> list[SessionRecord]:
        """Where a user is logged in, latest first."""
        found = await self._sessions.find({"user_id": user_id}, projection=_PUBLIC, sort=[("_id", -1)]).to_list()
        return [SessionRecord.from_document(document) for document in found]

    async def by_id(self, session_id: ObjectId) -> SessionRecord | None:
        """A session that has not ended."""
        found = await self._sessions.find_one({"_id": session_id}, projection=_PUBLIC)
        return None if found is None else SessionRecord.from_document(found)

    def _new_tokens(self, session_id: ObjectId, now: datetime) -> tuple[Tokens, Document]:
        access, refresh = _new_token(session_id), _new_token(session_id)
        tokens = Tokens(access, now + self._access_ttl, refresh)
        return tokens, {
            "access_hash": _hash(access),
            "access_expires_at": tokens.access_token_expires_at,
            "refresh_hash": _hash(refresh),
            "expires_at": now + self._refresh_ttl,
        }

    async def _end_if_stolen(self, session_id: ObjectId, presented: bytes, now: datetime) -> None:
        found = await self._sessions.find_one({"_id": session_id, "spent_hashes": presented})
        if found is None:
            return
        just_spent = found["spent_hashes"][-1] == presented and now - found["refreshed_at"] < GRACE
        if not just_spent:
            await self.end(found["user_id"], session_id)


def _new_token(session_id: ObjectId) -> str:
    return base64.urlsafe_b64encode(session_id.binary + secrets.token_bytes(32)).decode().rstrip("=")


def _session_of(token: str) -> ObjectId | None:
    try:
        raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (UnicodeError, binascii.Error):
        return None
    return ObjectId(raw[:12]) if len(raw) == 44 else None


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


def _not_valid() -> Refusal:
    return Refusal(UserErrorCode.INVALID_CREDENTIALS, "This refresh token is not valid; log in again.")
