"""Ends what a session keeps open, such as sockets, when its access token expires or the session ends.

No watch polls: its expiry is known since authentication, and the end of a session is published, and checked in
batches (`datasources/redis/pubsub.py`).
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

from datasources.accounts.session_endings import session_topic
from datasources.accounts.sessions import SessionStore
from datasources.mongo import clock
from datasources.redis.pubsub import Listener, News
from domain.records.users import SessionRecord

CHECK_SECONDS = 2.0  # between two checks of what has expired


class Watch(Listener):
    """Something that ends with a session: the event loop calls `ended` once, unless the watch is stopped before."""

    __slots__ = ("_ended", "_sessions", "_watches", "expires_at")

    def __init__(self, news: News, watches: "set[Watch]", session: SessionRecord, ended: Callable[[], None]) -> None:
        super().__init__(news, session_topic(session.id), seen=True)
        self._watches = watches
        self._ended = ended
        self.expires_at = _monotonic(session.access_expires_at)

    def renew(self, session: SessionRecord) -> None:
        """Extends the watch until a newer token of the session expires; another session changes nothing."""
        if session_topic(session.id) == self.topic:
            self.expires_at = max(self.expires_at, _monotonic(session.access_expires_at))

    def start(self) -> None:
        self._watches.add(self)
        super().start()

    def stop(self) -> None:
        self._watches.discard(self)
        super().stop()

    def set(self) -> None:
        """Ends what is watched: the session has ended, or its token has expired."""
        self.stop()
        self._ended()


class SessionWatch:
    """All watches of this process; `run` must be running for them to expire."""

    def __init__(self, sessions: SessionStore, news: News) -> None:
        self._news = news
        self._watches: set[Watch] = set()
        news.set_check("session", sessions.existing, checks_news=True)

    def watch(self, session: SessionRecord, ended: Callable[[], None]) -> Watch:
        """Starts a watch that calls `ended`, which must not raise, when the session ends; the caller stops it."""
        watch = Watch(self._news, self._watches, session, ended)
        watch.start()
        return watch

    async def run(self) -> None:
        """Ends what has expired, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            now = time.monotonic()
            for watch in [watch for watch in self._watches if watch.expires_at <= now]:
                watch.set()


def _monotonic(moment: datetime) -> float:
    return time.monotonic() + (moment - clock.now()).total_seconds()
