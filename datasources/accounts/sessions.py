"""Sessions: opaque tokens of 256 random bits, of which only hashes are stored.

A token starts with its session's id, so it is found by primary key. A refresh token is good once; the use of a spent
one ends the session, because somebody else may have it (RFC 9700, section 4.14). A refresh derives its tokens from the
token presented and a stored salt, so it can be repeated for a minute (docs/adr/0011-refreshing-again.md).
"""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.accounts.session_cache import AccessHashes, token_hash
from datasources.accounts.session_endings import LOGIN, SessionEndings
from datasources.accounts.session_tokens import Tokens, derived_token, session_id_of
from datasources.mongo import clock
from datasources.mongo.client import Database, Document
from datasources.mongo.lenient_reads import readable
from datasources.mongo.queries import find_by_ids
from datasources.redis.pubsub import News
from domain.errors import Refusal, UserErrorCode
from domain.limits import ACCESS_OVERLAP_SECONDS, LAST_USED_PRECISION, REFRESH_GRACE_SECONDS, SESSIONS_MAX
from domain.records.users import Device, SessionRecord, UserState

log = structlog.stdlib.get_logger(__name__)

MAX_SPENT_HASHES = 50
CHECK_SECONDS = 1.0  # between two checks of the cached sessions; half of what they are valid for
CHECKED_AT_ONCE = 1_000
GRACE = timedelta(seconds=REFRESH_GRACE_SECONDS)
OVERLAP = timedelta(seconds=ACCESS_OVERLAP_SECONDS)

_BRIEF = dict.fromkeys(("previous_access_hash", "refresh_hash", "spent_hashes", "salt"), 0)
# Each access token of a session, and when it ends. The last is a personal access token: a version before these finds it
# by neither of the others, and so takes none for a login.
_ACCESS = (
    ("access_hash", "access_expires_at"),
    ("previous_access_hash", "previous_access_expires_at"),
    ("personal_hash", "access_expires_at"),
)
_ACCESS_ONLY = dict.fromkeys((name for names in _ACCESS for name in names), 1)


class SessionStore(SessionEndings):
    """The collection `sessions`; a TTL index removes a document when its refresh token has expired."""

    def __init__(self, database: Database, news: News, *, access_ttl: int, refresh_ttl: int) -> None:
        super().__init__(database, news)
        self._access_ttl = timedelta(seconds=access_ttl)
        self._refresh_ttl = timedelta(seconds=refresh_ttl)

    async def open(
        self,
        user_id: ObjectId,
        device: Device | None,
        now: datetime,
        *,
        session_id: ObjectId | None = None,
        secret: str | None = None,
        asking_id: ObjectId | None = None,
    ) -> tuple[SessionRecord, Tokens]:
        """Opens a session; returns it and its tokens, which are derived from `secret` if there is one.

        Ends the account's least lately used session if there are `SESSIONS_MAX`; not the one that asks for this.
        To open one is a proof of who one is, as `FreshProofs.confirm` notes one.
        """
        session_id, salt = session_id or clock.new_id(), secrets.token_bytes(32)
        tokens = self._tokens(session_id, salt, secret or secrets.token_urlsafe(32), now)
        document: Document = {
            "_id": session_id,
            "user_id": user_id,
            **(device or Device()).to_document(),
            "created_at": now,
            "last_used_at": now,
            "confirmed_at": now,
            "spent_hashes": [],
            **self._hashes(tokens, salt, now),
        }
        await self._sessions.insert_one(document)
        # Read after the session is written: a change of standing, which ends all, is seen here or finds the session.
        if await self._users.find_one({"_id": user_id, "state": UserState.SUSPENDED.value}, {"_id": 1}) is not None:
            document["is_restricted"] = True
            await self._sessions.update_one({"_id": session_id}, {"$set": {"is_restricted": True}})
        await self.end_least_used(user_id, kept=(session_id, asking_id))
        return SessionRecord.from_document(document), tokens

    async def open_first(
        self, user_id: ObjectId, device: Device | None, now: datetime, *, secret: str
    ) -> tuple[SessionRecord, Tokens]:
        """Opens the session of a registration, which has the account's id; the same secret gets the same tokens again.

        Once its tokens have been refreshed or have expired, it opens another session.
        """
        try:
            return await self.open(user_id, device, now, session_id=user_id, secret=secret)
        except DuplicateKeyError:
            session = await self._sessions.find_one({"_id": user_id, "access_expires_at": {"$gt": now}})
        if session is not None:
            tokens = self._tokens(user_id, session["salt"], secret, session["created_at"])
            if session["access_hash"] == token_hash(tokens.access_token):
                return SessionRecord.from_document(session), tokens
        return await self.open(user_id, device, now)

    def recall(self, access_token: str) -> SessionRecord | None:
        """The session of an access token as it was at most `VALID_SECONDS` ago; None if it has to be authenticated."""
        session_id = session_id_of(access_token)
        return None if session_id is None else self._cache.find(session_id, access_token)

    async def authenticate(self, access_token: str) -> SessionRecord | None:
        """The session of an access token, as it is stored, or None. Records the use, at most once a minute.
        `access_expires_at` is when this very token ends: for one that was replaced, the end of its overlap.
        """
        session_id, presented = session_id_of(access_token), token_hash(access_token)
        if session_id is None:
            return None
        read_at, removals, now = clock.ticks(), self._cache.removals, clock.now()
        any_token = [{hashed: presented, expires_at: {"$gt": now}} for hashed, expires_at in _ACCESS]
        document = await self._sessions.find_one({"_id": session_id, "$or": any_token}, projection=_BRIEF)
        session = readable(SessionRecord, document)
        if document is None or session is None:
            self._cache.discard(session_id, presented)
            return None
        if now - session.last_used_at > LAST_USED_PRECISION:
            await self._sessions.update_one({"_id": session_id}, {"$set": {"last_used_at": now}})
            document["last_used_at"] = now
        if presented not in (document.get("access_hash"), document.get("personal_hash")):
            document["access_expires_at"] = document["previous_access_expires_at"]
        session = readable(SessionRecord, document)
        if session is not None:
            self._cache.keep(session, presented, read_at=read_at, removals=removals)
        return session

    async def keep_checking(self) -> None:
        """Checks the cached sessions at intervals, until cancelled. During an outage they lapse by themselves."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                await self.check_cached()
            except Exception as error:  # noqa: BLE001  the next check may succeed
                log.debug("sessions not checked", error=type(error).__name__)

    async def check_cached(self) -> None:
        """Reads the cached sessions that are in use again, and drops those that have ended."""
        session_ids = self._cache.in_use()
        for start in range(0, len(session_ids), CHECKED_AT_ONCE):
            batch, read_at = session_ids[start : start + CHECKED_AT_ONCE], clock.ticks()
            rows = await find_by_ids(self._sessions, batch, projection=_ACCESS_ONLY)
            self._cache.confirm(batch, {key: _access_hashes(row) for key, row in rows.items()}, read_at=read_at)

    async def refresh(
        self, refresh_token: str, now: datetime, *, network: str | None = None
    ) -> tuple[SessionRecord, Tokens]:
        """Exchanges a refresh token for new tokens, in one write that notes the client's network.

        The old access token ends after `OVERLAP`.
        Safe to repeat within `GRACE`, also by concurrent duplicates: all get the same tokens. Raises Refusal
        (INVALID_CREDENTIALS) for any other token; one that was spent earlier ends the session.
        """
        session_id, presented = session_id_of(refresh_token), token_hash(refresh_token)
        if session_id is None:
            raise _not_valid()
        salt = secrets.token_bytes(32)
        tokens = self._tokens(session_id, salt, refresh_token, now)
        replaced = {
            "previous_access_hash": "$access_hash",
            "previous_access_expires_at": {"$min": ["$access_expires_at", now + OVERLAP]},
            "spent_hashes": {"$slice": [{"$concatArrays": ["$spent_hashes", [presented]]}, -MAX_SPENT_HASHES]},
        }
        renewed = {**replaced, **self._hashes(tokens, salt, now), "last_used_at": now, "refreshed_at": now}
        if network is not None:
            renewed["network"] = {"$literal": network}
        session = await self._sessions.find_one_and_update(
            {"_id": session_id, "refresh_hash": presented, "expires_at": {"$gt": now}},
            [{"$set": renewed}],
            projection=_BRIEF,
            return_document=True,
        )
        if session is None:
            return await self._refresh_again(session_id, refresh_token, now)
        self._cache.remove([session_id])
        return SessionRecord.from_document(session), tokens

    async def of_user(self, user_id: ObjectId) -> list[SessionRecord]:
        """The sessions of a user, latest login first."""
        query = {"user_id": user_id, **LOGIN}
        latest = self._sessions.find(query, projection=_BRIEF, sort=[("_id", -1)], limit=SESSIONS_MAX)
        sessions = [readable(SessionRecord, document) for document in await latest.to_list()]
        return [session for session in sessions if session is not None]

    async def by_id(self, session_id: ObjectId) -> SessionRecord | None:
        """A session that has not ended."""
        return readable(SessionRecord, await self._sessions.find_one({"_id": session_id, **LOGIN}, projection=_BRIEF))

    async def existing(self, session_ids: Sequence[ObjectId]) -> dict[ObjectId, bool]:
        """Those of these sessions that have not ended; one operation."""
        return dict.fromkeys(await find_by_ids(self._sessions, session_ids, projection={"_id": 1}), True)

    async def _refresh_again(
        self, session_id: ObjectId, refresh_token: str, now: datetime
    ) -> tuple[SessionRecord, Tokens]:
        """What the token before the current one was exchanged for. Any other spent token ends the session."""
        presented = token_hash(refresh_token)
        session = await self._sessions.find_one({"_id": session_id, "spent_hashes": presented})
        if session is None:
            raise _not_valid()
        if session["spent_hashes"][-1] != presented or now - session["refreshed_at"] >= GRACE:
            await self.end(session["user_id"], session_id)
            raise _not_valid()
        tokens = self._tokens(session_id, session["salt"], refresh_token, session["refreshed_at"])
        return SessionRecord.from_document(session), tokens

    async def is_over(self, token: str) -> bool:
        """Whether a token's session has ended or expired. False for what is no token."""
        session_id = session_id_of(token)
        if session_id is None:
            return False
        query = {"_id": session_id, "expires_at": {"$gt": clock.now()}}
        return await self._sessions.find_one(query, projection={"_id": 1}) is None

    def _tokens(self, session_id: ObjectId, salt: bytes, secret: str, now: datetime) -> Tokens:
        """The tokens derived from a secret: the same ones for the same salt."""
        access, refresh = (derived_token(session_id, salt, f"{kind} {secret}") for kind in ("access", "refresh"))
        expires_at = now + self._access_ttl
        stored = expires_at.replace(microsecond=expires_at.microsecond // 1000 * 1000)  # MongoDB keeps milliseconds
        return Tokens(access, stored, refresh)

    def _hashes(self, tokens: Tokens, salt: bytes, now: datetime) -> Document:
        return {
            "salt": salt,
            "access_hash": token_hash(tokens.access_token),
            "access_expires_at": tokens.access_token_expires_at,
            "refresh_hash": token_hash(tokens.refresh_token),
            "expires_at": now + self._refresh_ttl,
        }


def _access_hashes(document: Document) -> AccessHashes:
    hashes = {document.get(hashed): document.get(expires_at) for hashed, expires_at in _ACCESS}
    return {key: value for key, value in hashes.items() if isinstance(key, bytes) and isinstance(value, datetime)}


def _not_valid() -> Refusal:
    return Refusal(UserErrorCode.INVALID_CREDENTIALS, "This refresh token is not valid; log in again.")
