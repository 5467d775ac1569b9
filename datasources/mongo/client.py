"""The MongoDB client, with time limits and majority writes, its types, and what counts as an outage."""

from collections.abc import Sequence
from typing import Any, Protocol

from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.command_cursor import AsyncCommandCursor
from pymongo.asynchronous.cursor import AsyncCursor
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConnectionFailure, PyMongoError
from pymongo.monitoring import CommandListener

from config import Settings
from datasources.mongo.pool_lock import patch_pool_lock

Document = dict[str, Any]
Client = AsyncMongoClient[Document]
Collection = AsyncCollection[Document]
Database = AsyncDatabase[Document]
Session = AsyncClientSession

DUPLICATE_KEY = 11000
LONGEST_SECONDS = 86_400.0  # of an operation that goes through a whole collection, as the build of an index does


class Readable(Protocol):
    """The reading half of a collection; writes to one that is cached go through `InvalidatingWrites`."""

    @property
    def name(self) -> str: ...
    @property
    def database(self) -> Database: ...
    def find(self, *args: Any, **options: Any) -> AsyncCursor[Document]: ...
    async def find_one(self, *args: Any, **options: Any) -> Document | None: ...
    async def count_documents(self, *args: Any, **options: Any) -> int: ...
    async def aggregate(self, *args: Any, **options: Any) -> AsyncCommandCursor[Document]: ...


def open_mongo(settings: Settings, listeners: Sequence[CommandListener] = ()) -> Client:
    """A client whose every operation ends within `mongo_timeout` and whose writes wait for the majority.

    It reads from the primary, whatever the settings' address says.

    It connects on first use. `listeners` are told of every command, for counting and tracing.
    """
    patch_pool_lock()
    return AsyncMongoClient(
        settings.mongo_url,
        appname="photogram",
        tz_aware=True,
        w="majority",
        readPreference="primary",  # docs/design/data.md says why
        timeoutMS=int(settings.mongo_timeout * 1000),
        serverSelectionTimeoutMS=int(settings.mongo_timeout * 1000),
        maxPoolSize=50,
        event_listeners=list(listeners),
    )


def time_limit(collection: Readable) -> float | None:
    """Seconds that one operation on a collection may take, as its client was opened."""
    return collection.database.client.options.timeout


def is_mongo_outage(error: BaseException) -> bool:
    """Whether MongoDB, and not the operation, is at fault: trying again later may help."""
    return isinstance(error, ConnectionFailure) or (isinstance(error, PyMongoError) and error.timeout)
