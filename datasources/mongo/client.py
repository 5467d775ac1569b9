"""The way to MongoDB: one client with time limits and majority writes, transactions, and what counts as an outage."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary

from bson import ObjectId
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient, UpdateOne, timeout
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.command_cursor import AsyncCommandCursor
from pymongo.asynchronous.cursor import AsyncCursor
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, ConnectionFailure, DuplicateKeyError, PyMongoError
from pymongo.monitoring import CommandListener

from config import Settings
from datasources.mongo.pool_lock import patch_pool_lock
from domain.paging import PageRequest, Ranked

Document = dict[str, Any]
Client = AsyncMongoClient[Document]
Collection = AsyncCollection[Document]
Database = AsyncDatabase[Document]
Session = AsyncClientSession
Result = TypeVar("Result")

_AFTER: WeakKeyDictionary[Session, list[Callable[[], Awaitable[object]]]] = WeakKeyDictionary()

DUPLICATE_KEY = 11000
UPSERT_TRIES = 5  # two upserts of one new key can collide; the second try finds the document


class Readable(Protocol):
    """A collection as far as it is read: what a store has of one that is written through `InvalidatingWrites`."""

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

    It connects on first use. `listeners` hear of every command, for counting and tracing.
    """
    patch_pool_lock()
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


def time_limit(collection: Readable) -> float | None:
    """Seconds that one operation on a collection may take, as its client was opened."""
    return collection.database.client.options.timeout


def is_mongo_outage(error: BaseException) -> bool:
    """Whether MongoDB, and not the operation, is at fault: trying again later may help."""
    return isinstance(error, ConnectionFailure) or (isinstance(error, PyMongoError) and error.timeout)


async def in_transaction(
    client: Client, work: Callable[[Session], Awaitable[Result]], *, seconds: float = 30.0
) -> Result:
    """Runs `work` in one transaction and commits it.

    `work` may run several times (on a write conflict, on a new primary, when a twin was first to insert a key), so it
    must keep its effects in the session, or leave them to `after_transaction`. Ends with an error after `seconds`.
    """
    async with client.start_session() as session:
        _AFTER[session] = []
        try:
            with timeout(seconds):
                for _ in range(UPSERT_TRIES - 1):
                    with contextlib.suppress(DuplicateKeyError):
                        return await session.with_transaction(work)
                return await session.with_transaction(work)
        finally:
            await asyncio.gather(*(call() for call in _AFTER.pop(session)))


def after_transaction(session: Session, call: Callable[[], Awaitable[object]]) -> None:
    """Has `call`, which must not raise, run when the transaction of `in_transaction` is over, in whatever way.

    It runs before `in_transaction` returns, and once for each time that this was said.
    """
    _AFTER[session].append(call)


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


async def insert_absent(collection: Collection, documents: Sequence[RawBSONDocument]) -> None:
    """Inserts those of these encoded documents whose `_id` is not there yet, in one operation. Safe to repeat.

    It is the bare command. Of what `insert_many` sends, MongoDB notes that it was done, so that the driver may send it
    again: a fifth of its time; and the driver looks at each document four times. Raises BulkWriteError.
    """
    command = {"insert": collection.name, "documents": documents, "ordered": False}
    answer = await collection.database.command({**command, "writeConcern": collection.write_concern.document})
    failed = [one for one in answer.get("writeErrors", ()) if one["code"] != DUPLICATE_KEY]
    unsure = [answer["writeConcernError"]] if "writeConcernError" in answer else []
    if failed or unsure:
        raise BulkWriteError({"writeErrors": failed, "writeConcernErrors": unsure})


async def find_page(
    collection: Readable,
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


async def find_ranked_page(
    collection: Readable, query: Document, request: PageRequest, score: str, **options: Any
) -> list[Document]:
    """As `find_page`, of a list that runs from the largest `score` down, and from the newest of equal scores.

    It takes at most three finds, one for each span of the index on (`query`'s fields, `score`, `_id`) that the page
    lies in: as one `$or`, MongoDB 6 would read and sort all of them.
    """
    order = 1 if request.backward else -1
    spans, found, wanted = ranked_spans(request, score), list[Document](), request.limit + 1
    for span in reversed(spans) if request.backward else spans:
        # Ties are in the order of their ids; told to sort them by the score too, MongoDB would read them all.
        sort = [("_id", order)] if "_id" in span else [(score, order), ("_id", order)]
        rows = collection.find({**query, **span}, sort=sort, limit=wanted - len(found), **options)
        found += await rows.to_list()
        if len(found) == wanted:
            break
    return found


def ranked_spans(request: PageRequest, score: str) -> list[Document]:
    """What lies strictly between a request's bounds, largest first: its ends' ties are spans of their own."""
    after, before = request.after, request.before
    if isinstance(after, Ranked) and isinstance(before, Ranked) and after.score <= before.score:
        tied = after.score == before.score
        return [{score: after.score, "_id": {"$lt": after.id, "$gt": before.id}}] if tied else []
    above: list[Document] = []
    below: list[Document] = []
    between: Document = {}
    if isinstance(after, Ranked):
        above = [{score: after.score, "_id": {"$lt": after.id}}]
        between["$lt"] = after.score
    if isinstance(before, Ranked):
        below = [{score: before.score, "_id": {"$gt": before.id}}]
        between["$gt"] = before.score
    return [*above, {score: between} if between else {}, *below]


def within(first: ObjectId, *names: str) -> Document:
    """Bounds of the keys that are documents of these fields, of which the first has this value."""
    name, *rest = names
    return {
        "$gt": {name: first, **dict.fromkeys(rest, MinKey())},
        "$lt": {name: first, **dict.fromkeys(rest, MaxKey())},
    }


async def find_by_ids(collection: Readable, ids: Sequence[ObjectId], **options: Any) -> dict[ObjectId, Document]:
    """Documents by id in one operation; a missing one is left out."""
    found = await collection.find({"_id": {"$in": list(ids)}}, batch_size=len(ids) + 1, **options).to_list()
    return {document["_id"]: document for document in found}


async def set_notified(collection: Collection, notified: Mapping[ObjectId, int], session: Session) -> None:
    """Says of facts by how many notifications they are told of; one operation for each number that comes up."""
    by_number: dict[int, list[ObjectId]] = {}
    for one, number in notified.items():
        by_number.setdefault(number, []).append(one)
    for number, ids in by_number.items():
        await collection.update_many({"_id": {"$in": ids}}, {"$set": {"notified": number}}, session=session)


async def increment(collection: Collection, field: str, by: Mapping[ObjectId, int], session: Session) -> None:
    """Moves a counter of many documents, each by its own number, in one operation; a missing document is left out.

    In the order of the ids, so that twins meet at the first they share and not half way through.
    """
    moves = [UpdateOne({"_id": one}, {"$inc": {field: delta}}) for one, delta in sorted(by.items()) if delta]
    if moves:
        await collection.bulk_write(moves, ordered=False, session=session)
