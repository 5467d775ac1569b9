"""How the rules of single records are written: what a record must be, by itself and beside what it refers to.

A rule holds at every moment, unless the record still has the task pending that makes it hold, or a request is between
two writes; so these checks look twice.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
from bson import ObjectId

from datasources.jobs.outbox import add_pending
from datasources.mongo import clock
from datasources.mongo.client import Document, Session
from datasources.mongo.queries import find_by_ids
from datasources.sources import Sources
from domain.jobs import Task
from domain.records.users import UserState
from workers.maintenance.checks.check import Check, Finding, RepairById, by_id, from_snapshot

Pair = tuple[ObjectId, ObjectId]
_READ_OF_OTHERS = dict.fromkeys(
    ("deleted", "outbox", "is_private", "state", "pulled", "status", "standing_by", "moderated_by"), 1
)


class Related(msgspec.Struct, frozen=True):
    """What some documents refer to, by collection and id, and the (blocker, blocked) pairs among their people."""

    documents: Mapping[str, Mapping[Any, Document]]
    blocks: frozenset[Pair] = frozenset()

    def account(self, user_id: Any) -> Document | None:
        """An account unless it is deleted: workers remove what belongs to a deleted one."""
        account = self.documents["users"].get(user_id)
        return None if account is None or account.get("state") == UserState.DELETED.value else account


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """`is_broken` is true of a document that breaks it; without `repair` only people can make it hold again."""

    name: str
    why: str
    is_broken: Callable[[Document, Related], object]
    repair: RepairById | None = None


FindBlocks = Callable[[Sources, Sequence[Document], Session], Awaitable[frozenset[Pair]]]


def rules_check(
    collection: str,
    rules: Sequence[Rule],
    *,
    refers_to: Mapping[str, str | Sequence[str]] | None = None,
    unread: Sequence[str] = (),
    find_blocks: FindBlocks | None = None,
) -> Check:
    """The check of a collection's rules; a finding's kind is `<record>.<name of the rule>`.

    `refers_to` says which field holds the id of a document of which collection, or of one of several. A field of what
    is referred to stands after its collection, as in `users.standing_by`. `unread` names fields that no rule needs.
    """
    record = collection.removesuffix("s")

    async def find(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
        projection = dict.fromkeys(unread, 0) or None
        rows = await find_by_ids(sources.database[collection], ids, projection=projection, session=session)
        documents = list(rows.values())
        referred = await _find_referred(sources, refers_to or {}, documents, session)
        related = Related(referred, await find_blocks(sources, documents, session) if find_blocks else frozenset())
        return [
            Finding(kind=f"{record}.{rule.name}", id=str(document["_id"]), why=rule.why)
            for rule in rules
            for document in documents
            if rule.is_broken(document, related)
        ]

    repairs = {f"{record}.{rule.name}": by_id(rule.repair) if rule.repair else None for rule in rules}
    return Check(collection=collection, find=from_snapshot(find), repairs=repairs, looks_twice=True)


async def _find_referred(
    sources: Sources, refers_to: Mapping[str, str | Sequence[str]], documents: Sequence[Document], session: Session
) -> dict[str, dict[Any, Document]]:
    found: dict[str, dict[Any, Document]] = {}
    for is_further in (False, True):  # first what the documents name, then what that names
        ids: dict[str, set[Any]] = {}
        for name, targets in refers_to.items():
            collection, _, field = name.rpartition(".")
            if bool(collection) is is_further:
                rows = found[collection].values() if collection else documents
                named = {row[field] for row in rows if row.get(field) is not None}
                for target in [targets] if isinstance(targets, str) else targets:
                    ids.setdefault(target, set()).update(named)
        for target, of_target in ids.items():
            options: dict[str, Any] = {"projection": _READ_OF_OTHERS, "session": session}
            found[target] = await find_by_ids(sources.database[target], list(of_target), **options)
    return found


async def accounts_among(sources: Sources, ids: Collection[ObjectId], session: Session) -> set[ObjectId]:
    """Those of these accounts that are there and not deleted."""
    users = await find_by_ids(sources.database["users"], list(ids), projection={"state": 1}, session=session)
    return {user_id for user_id, user in users.items() if user.get("state") != UserState.DELETED.value}


def must_exist(field: str, target: str, repair: RepairById | None = None) -> Rule:
    """The document of `target` that a field names exists, once nothing is pending for the record."""

    def is_broken(document: Document, related: Related) -> object:
        named = document.get(field)
        is_lasting = has_nothing_pending(document) and stands(document)
        return is_lasting and named is not None and named not in related.documents[target]

    return Rule(name=field, why=f"there is no such {target[:-1]}", is_broken=is_broken, repair=repair)


def is_pending(document: Document | None, task: Task) -> bool:
    """Whether a task is pending for a document."""
    return document is not None and task.value in document.get("outbox", ())


def has_nothing_pending(document: Document) -> bool:
    """Whether no task at all is pending for a document."""
    return "outbox" not in document


def stands(document: Document) -> bool:
    """Whether it is neither deleted nor a like that was taken back."""
    return not document.get("deleted") and bool(document.get("liked", True))


def is_kept_tombstone(document: Document, _related: Related) -> object:
    """Whether it is a tombstone that nothing will ever remove."""
    return not stands(document) and has_nothing_pending(document) and "expires_at" not in document


def must_have_pending(status: str, task: Task) -> Callable[[Document, Related], object]:
    """Broken by documents of this status for which the task that ends it is not pending."""

    def is_broken(document: Document, _related: Related) -> object:
        return document.get("status") == status and not document.get("deleted") and not is_pending(document, task)

    return is_broken


def add_tasks(collection: str, *tasks: Task) -> RepairById:
    """A repair: the tasks are pending again, which changes nothing where they were done already."""

    async def repair(sources: Sources, record_id: ObjectId) -> None:
        await sources.database[collection].update_one({"_id": record_id}, [add_pending(tasks, clock.now())])

    return repair


def delete_from(collection: str) -> RepairById:
    """A repair: deletes the document unless something is pending for it by now."""

    async def repair(sources: Sources, record_id: ObjectId) -> None:
        await sources.database[collection].delete_one({"_id": record_id, "outbox": {"$exists": False}})

    return repair
