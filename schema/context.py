"""What every resolver of one operation shares."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from strawberry.types import Info as StrawberryInfo

from datasources.loaders import Loaders
from datasources.sources import Sources
from domain.errors import Unauthenticated
from domain.records.users import SessionRecord


@dataclass(frozen=True, slots=True)
class BadToken:
    """The identity of a request with a bad access token, for operations that answer it."""

    token: str


class Context:
    """The viewer's session and network, the stores, and the operation's own loaders."""

    __slots__ = ("_known", "_loaders", "_writes", "address", "bad_token", "request_id", "session", "sources")

    def __init__(
        self, sources: Sources, identity: SessionRecord | BadToken | None, request_id: str, address: str = ""
    ) -> None:
        self.address = address
        self.sources = sources
        self.session = None if isinstance(identity, BadToken) else identity
        self.bad_token = identity.token if isinstance(identity, BadToken) else None
        self.request_id = request_id
        self._writes = False
        self._known: list[tuple[str, Hashable, Any]] = []
        self._loaders: Loaders | None = None

    def __del__(self) -> None:
        self.clear_loaders()  # they refer to one another; so they are freed at once, without the garbage collector

    @property
    def loaders(self) -> Loaders:
        """The loaders; new ones at the first use, and after `clear_loaders`."""
        if self._loaders is None:
            is_restricted = self.session is not None and self.session.is_restricted
            self._loaders = Loaders(self.sources, self.viewer_id, stored=self._writes, is_restricted=is_restricted)
            for loader, key, value in self._known:
                getattr(self._loaders, loader).prime([key], [value])
        return self._loaders

    @property
    def viewer_id(self) -> ObjectId | None:
        """The signed-in user, or None."""
        return None if self.session is None else self.session.user_id

    def require_viewer(self) -> ObjectId:
        """The signed-in user. Raises Unauthenticated."""
        return self.require_session().user_id

    def require_session(self) -> SessionRecord:
        """The session of this request. Raises Unauthenticated."""
        if self.session is None:
            raise Unauthenticated
        return self.session

    def start_writing(self) -> None:
        """From now on nothing is read from caches: a write is decided and answered by what is stored."""
        self._writes = True
        self._known = []
        self.clear_loaders()

    def note_written(self, loader: str, key: Hashable, value: Any) -> None:
        """Makes this value, which a mutation has just written, the one that its answer finds at this loader's key."""
        self._known.append((loader, key, value))

    def clear_loaders(self) -> None:
        """Discards what was loaded, so that a mutation's answer is read after its write."""
        if self._loaders is not None:
            self._loaders.release()
            self._loaders = None


Info = StrawberryInfo[Context, None]
