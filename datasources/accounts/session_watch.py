"""Ends what a session keeps open, such as sockets, when its access token expires or the session is over.

Nothing is asked for each: the expiry is known since authentication, and the end of a session is news, checked in
batches (`datasources/redis/pubsub.py`).
"""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

from datasources.accounts.sessions import SessionStore, session_topic
from datasources.mongo import clock
from datasources.redis.pubsub import Listener, Live
from domain.records.users import SessionRecord

LOOK_SECONDS = 2.0  # between two looks at what has expired


class Watch(Listener):
    """One thing that ends with a session: `ended` is called once, by the event loop, unless it is stopped before."""

    __slots__ = ("_ended", "_sessions", "_watches", "expires_at")

    def __init__(self, live: Live, watches: "set[Watch]", session: SessionRecord, ended: Callable[[], None]) -> None:
        super().__init__(live, session_topic(session.id), seen=True)
        self._watches = watches
        self._ended = ended
        self.expires_at = _monotonic(session.access_expires_at)

    def renew(self, session: SessionRecord) -> None:
        """Goes on until a newer token of the session expires. Another session, or an older state, changes nothing."""
        if session_topic(session.id) == self.topic:
            self.expires_at = max(self.expires_at, _monotonic(session.access_expires_at))

    def start(self) -> None:
        """Begins to watch."""
        self._watches.add(self)
        super().start()

    def stop(self) -> None:
        """Watches no more. Safe to repeat."""
        self._watches.discard(self)
        super().stop()

    def set(self) -> None:
        """The session is over, or its token has expired."""
        self.stop()
        self._ended()


class SessionWatch:
    """All that ends with sessions in this process; `run` must be running for expiry to be seen."""

    def __init__(self, sessions: SessionStore, live: Live) -> None:
        self._live = live
        self._watches: set[Watch] = set()
        live.set_check("session", sessions.existing, checks_news=True)

    def watch(self, session: SessionRecord, ended: Callable[[], None]) -> Watch:
        """Has `ended`, which must not raise, called when the session ends; stop the watch when it is not needed."""
        watch = Watch(self._live, self._watches, session, ended)
        watch.start()
        return watch

    async def run(self) -> None:
        """Looks for what has expired until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = time.monotonic()
            for watch in [each for each in self._watches if each.expires_at <= now]:
                watch.set()


def _monotonic(moment: datetime) -> float:
    return time.monotonic() + (moment - clock.now()).total_seconds()
