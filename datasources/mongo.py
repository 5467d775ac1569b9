"""The way to MongoDB: one client with time limits and majority writes, transactions, and what counts as an outage."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from bson import ObjectId
from pymongo import AsyncMongoClient, timeout
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConnectionFailure, DuplicateKeyError, PyMongoError
from pymongo.monitoring import CommandListener

from config import Settings
from domain.paging import PageRequest

Document = dict[str, Any]
Client = AsyncMongoClient[Document]
Collection = AsyncCollection[Document]
Database = AsyncDatabase[Document]
Session = AsyncClientSession
Result = TypeVar("Result")

UPSERT_TRIES = 5  # two upserts of one new key can collide; the second try finds the document


def open_mongo(settings: Settings, listeners: Sequence[CommandListener] = ()) -> Client:
    """A client whose every operation ends within `mongo_timeout` and whose writes wait for the majority.

    It connects on first use. `listeners` hear of every command, for counting and tracing.
    """
    return AsyncMongoClient(
        settings.mongo_url,
        appname="photogram",
        tz_aware=True,
        w="majority",
        timeoutMS=int(settings.mongo_timeout * 1000),
        serverSelectionTimeoutMS=int(settings.mongo_timeout * 1000),
        maxPoolSize=50,
        event_listeners=list(listeners),
    )


def is_mongo_outage(error: BaseException) -> bool:
    """Whether MongoDB, and not the operation, is at fault: trying again later may help."""
    return isinstance(error, ConnectionFailure) or (isinstance(error, PyMongoError) and error.timeout)


async def in_transaction(
    client: Client, work: Callable[[Session], Awaitable[Result]], *, seconds: float = 30.0
) -> Result:
    """Runs `work` in one transaction and commits it.

    `work` may run several times (on a write conflict, on a new primary), so it must keep its effects in the session.
    Ends with an error after `seconds`.
    """
    with timeout(seconds):
        async with client.start_session() as session:
            return await session.with_transaction(work)


async def upsert(collection: Collection, key: Mapping[str, Any], pipeline: Sequence[Mapping[str, Any]]) -> Document:
    """Applies an update pipeline to the one document with this unique `key`, made if need be; returns it as it is now.

    Atomic. Safe against twins: an upsert that loses the race for a new key is tried again as an update.
    """
    for _ in range(UPSERT_TRIES):
        try:
            document = await collection.find_one_and_update(key, list(pipeline), upsert=True, return_document=True)
        except DuplicateKeyError:
            continue
        assert document is not None  # noqa: S101  an upsert always returns a document
        return document
    raise RuntimeError(f"could not upsert into {collection.name}")


async def find_page(
    collection: Collection,
    query: Document,
    request: PageRequest,
    field: str = "_id",
    *,
    oldest_first: bool = False,
    **options: Any,
) -> list[Document]:
    """Up to `limit + 1` documents of a page in walking order, of a list that runs from the largest `field` down.

    With `oldest_first` the list runs from the smallest up.
    """
    past, short_of = ("$gt", "$lt") if oldest_first else ("$lt", "$gt")
    bounds: Document = {}
    if request.after is not None:
        bounds[past] = request.after
    if request.before is not None:
        bounds[short_of] = request.before
    if bounds:
        query = {**query, field: bounds}
    order = 1 if request.backward is not oldest_first else -1
    return await collection.find(query, sort=[(field, order)], limit=request.limit + 1, **options).to_list()


async def find_by_ids(collection: Collection, ids: Sequence[ObjectId], **options: Any) -> dict[ObjectId, Document]:
    """Documents by id in one operation; a missing one is left out."""
    found = await collection.find({"_id": {"$in": list(ids)}}, **options).to_list()
    return {document["_id"]: document for document in found}
