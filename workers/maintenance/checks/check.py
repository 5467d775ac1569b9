"""What a check is: it finds what is wrong with some documents, and says how each kind of finding is repaired."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from bson import ObjectId

from datasources.mongo.client import Session
from datasources.sources import Sources
from workers.maintenance.walk import in_snapshot


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as the facts say; `expected` and `found` are numbers, texts or lists of texts."""

    kind: str
    id: str
    expected: Any = None
    found: Any = None
    why: str


Find = Callable[[Sources, Sequence[Any]], Awaitable[list[Finding]]]
SnapshotFind = Callable[[Sources, Sequence[Any], Session], Awaitable[list[Finding]]]
Repair = Callable[[Sources, Finding], Awaitable[None]]
RepairById = Callable[[Sources, ObjectId], Awaitable[None]]
BY_HAND = None  # in place of a repair: only people can repair this


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """Looks at a collection's documents, given by their ids; without a collection, once at the database as a whole.

    `find` reports what differs at this moment. Work that is still pending is no finding. `repairs` has every kind of
    finding that `find` reports, with its repair: safe to repeat, and beside workers and clients.

    With `looks_twice`, only what is found again a moment later is reported, because a request may be between two
    writes. Checks of one `stage` (by default, of a collection) share one walk through the ids, and its `limit`: so many
    random documents at most.
    """

    collection: str | None
    find: Find
    repairs: Mapping[str, Repair | None]
    looks_twice: bool = False
    stage: str = ""
    limit: int | None = None


def from_snapshot(find: SnapshotFind) -> Find:
    """Has a check read everything from one moment: facts and what they change cannot differ by a write in between."""

    async def run(sources: Sources, ids: Sequence[Any]) -> list[Finding]:
        return await in_snapshot(sources, partial(find, sources, ids))

    return run


def by_id(repair: RepairById) -> Repair:
    """A repair that needs only the id of the document."""

    async def run(sources: Sources, finding: Finding) -> None:
        await repair(sources, ObjectId(finding.id))

    return run
