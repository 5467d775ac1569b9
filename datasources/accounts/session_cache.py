"""Sessions that this process has read from MongoDB lately, so that a query need not read its session again.

No session is taken from here if the read of MongoDB that found it began more than `VALID_SECONDS` ago. So whatever ends
a session, and whichever messages are lost, it is refused here by then. `SessionStore.keep_checking` reads the sessions
in use again before that, a thousand in one operation. A bad token is never kept (docs/adr/0007-caches.md).
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from bson import ObjectId
from msgspec.structs import replace

from datasources.mongo import clock
from domain.limits import LAST_USED_PRECISION
from domain.records.users import SessionRecord

VALID_SECONDS = 2.0
IDLE_SECONDS = 60.0  # after its last use a session is no longer read again
SESSIONS_MAX = 10_000

AccessHashes = Mapping[bytes, datetime]
"""The access tokens of a session, by their hashes, and when each expires."""


def token_hash(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


class _Entry:
    __slots__ = ("hash", "read_at", "session", "used_at")

    def __init__(self, session: SessionRecord, hashed: bytes, read_at: float) -> None:
        self.session = session
        self.hash = hashed
        self.read_at = self.used_at = read_at


class SessionCache:
    """One access token of each session, the latest used ones. Times are those of the clock's stopwatch."""

    def __init__(self, limit: int = SESSIONS_MAX) -> None:
        self._entries: OrderedDict[ObjectId, _Entry] = OrderedDict()  # the latest used one is the last
        self._limit = limit
        self.removals = 0
        """How often sessions were removed because they ended; a read that began before must not be kept."""

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, session_id: ObjectId, token: str) -> SessionRecord | None:
        """The session of a token; None if MongoDB has to be asked, also because a use of it has to be recorded."""
        entry = self._entries.get(session_id)
        if entry is None or not hmac.compare_digest(entry.hash, token_hash(token)):
            return None
        used_at, now, session = clock.ticks(), clock.now(), entry.session
        if (
            used_at - entry.read_at > VALID_SECONDS
            or now >= session.access_expires_at
            or now - session.last_used_at > LAST_USED_PRECISION
        ):
            return None
        entry.used_at = used_at
        self._entries.move_to_end(session_id)
        return session

    def keep(self, session: SessionRecord, hashed: bytes, *, read_at: float, removals: int) -> None:
        """Keeps a session that was read; `read_at` and `removals` are those of the moment when the read began."""
        if removals != self.removals:
            return
        self._entries[session.id] = _Entry(session, hashed, read_at)
        self._entries.move_to_end(session.id)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def remove(self, session_ids: Iterable[ObjectId]) -> None:
        """Drops sessions that have ended or whose tokens were replaced, also those that are being read just now."""
        self.removals += 1
        for session_id in session_ids:
            self._entries.pop(session_id, None)

    def discard(self, session_id: ObjectId, hashed: bytes) -> None:
        """Drops a token that MongoDB has refused; another token of the session stays."""
        entry = self._entries.get(session_id)
        if entry is not None and entry.hash == hashed:
            del self._entries[session_id]

    def in_use(self) -> list[ObjectId]:
        """The sessions to read again. Drops those that were not used for `IDLE_SECONDS`."""
        oldest = clock.ticks() - IDLE_SECONDS
        while self._entries and next(iter(self._entries.values())).used_at < oldest:
            self._entries.popitem(last=False)
        return list(self._entries)

    def confirm(self, checked: Sequence[ObjectId], stored: Mapping[ObjectId, AccessHashes], *, read_at: float) -> None:
        """Takes in what a read of these sessions found, which began at `read_at`; drops those that it did not find.

        A token that was replaced meanwhile expires when MongoDB says.
        """
        for session_id in checked:
            entry = self._entries.get(session_id)
            if entry is None or entry.read_at > read_at:
                continue  # a later read knows better
            expires_at = stored.get(session_id, {}).get(entry.hash)
            if expires_at is None:
                del self._entries[session_id]
                continue
            entry.read_at = read_at
            if expires_at != entry.session.access_expires_at:
                entry.session = replace(entry.session, access_expires_at=expires_at)
