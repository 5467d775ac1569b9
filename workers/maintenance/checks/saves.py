"""Saved posts and collections: what they refer to is there, and the counters are the numbers of what they count.

A save, its places in collections and the counters change in one transaction, so all of it holds at every moment. What
belongs to deleted accounts is left to their deletion.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
from bson import ObjectId

from datasources.mongo.client import Document, Session
from datasources.mongo.queries import find_by_ids
from datasources.mongo.transactions import in_transaction
from datasources.sources import Sources
from domain.jobs import Task
from workers.maintenance.checks.check import Check, Finding, by_id, from_snapshot
from workers.maintenance.checks.record_rules import (
    Related,
    Rule,
    accounts_among,
    delete_from,
    is_pending,
    must_exist,
    rules_check,
)

SAVE_WITHOUT_COUNTER = "save.uncounted"
POST_WITHOUT_SAVE = "collection_post.unsaved"


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """A field of `collection` that counts the documents of `counted` whose `key` is the document's id."""

    collection: str
    field: str
    counted: str
    key: str
    where: Mapping[str, Any]
    owner: str

    @property
    def kind(self) -> str:
        return f"{self.collection.removesuffix('s')}.{self.field}"

    def of(self, document: Document) -> Document:
        """A query for what the field of this document counts."""
        owner = {"owner_id": document[self.owner]} if self.key == "collection_id" else {}
        return {self.key: document["_id"], **owner, **self.where}


COUNTS = (
    Count(collection="savers", field="save_count", counted="saves", key="saver_id", where={}, owner="_id"),
    Count(
        collection="savers",
        field="collection_count",
        counted="collections",
        key="owner_id",
        where={"deleted": False},
        owner="_id",
    ),
    Count(
        collection="collections",
        field="post_count",
        counted="collection_posts",
        key="collection_id",
        where={},
        owner="owner_id",
    ),
)


async def _find_miscounted(count: Count, sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    rows = await find_by_ids(sources.database[count.collection], ids, session=session)
    accounts = await accounts_among(sources, [row[count.owner] for row in rows.values()], session)
    findings = []
    for row in rows.values():
        if row[count.owner] not in accounts:
            continue
        expected = await sources.database[count.counted].count_documents(count.of(row), session=session)
        found = row.get(count.field, 0)
        if found != expected:
            why = f"the counter is not the number of its {count.counted}"
            findings.append(Finding(kind=count.kind, id=str(row["_id"]), expected=expected, found=found, why=why))
    return findings


async def _recount(count: Count, sources: Sources, document_id: ObjectId) -> None:
    """Sets a counter to what it counts. Safe to repeat, and beside clients: their transactions conflict with it."""

    async def apply(session: Session) -> None:
        documents = sources.database[count.collection]
        row = await documents.find_one({"_id": document_id}, session=session)
        if row is not None:
            number = await sources.database[count.counted].count_documents(count.of(row), session=session)
            await documents.update_one({"_id": document_id}, {"$set": {count.field: number}}, session=session)

    await in_transaction(sources.client, apply)


async def _find_uncounted(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """Saves of accounts that have no counters."""
    rows = await find_by_ids(sources.database["saves"], ids, session=session)
    saver_ids = list({row["saver_id"] for row in rows.values()})
    accounts = await accounts_among(sources, saver_ids, session)
    savers = await find_by_ids(sources.database["savers"], saver_ids, session=session)
    return [
        Finding(kind=SAVE_WITHOUT_COUNTER, id=str(row["_id"]), why="who saved it has no counters")
        for row in rows.values()
        if row["saver_id"] not in savers and row["saver_id"] in accounts
    ]


async def _count_saver(sources: Sources, save_id: ObjectId) -> None:
    """Makes the counters of the account that made a save."""
    save = await sources.database["saves"].find_one({"_id": save_id})
    if save is not None:
        empty = {"$setOnInsert": {"save_count": 0}}
        await sources.database["savers"].update_one({"_id": save["saver_id"]}, empty, upsert=True)
        for count in COUNTS[:2]:
            await _recount(count, sources, save["saver_id"])


async def _find_unsaved(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """Posts in collections of accounts that have not saved them."""
    rows = await find_by_ids(sources.database["collection_posts"], ids, session=session)
    pairs = [{"saver_id": row["owner_id"], "post_id": row["post_id"]} for row in rows.values()]
    if not pairs:
        return []
    saves = await sources.database["saves"].find({"$or": pairs}, session=session).to_list()
    saved = {(save["saver_id"], save["post_id"]) for save in saves}
    accounts = await accounts_among(sources, [row["owner_id"] for row in rows.values()], session)
    return [
        Finding(kind=POST_WITHOUT_SAVE, id=str(row["_id"]), why="it is in a collection, and its owner has not saved it")
        for row in rows.values()
        if (row["owner_id"], row["post_id"]) not in saved and row["owner_id"] in accounts
    ]


async def _remove_item(sources: Sources, item_id: ObjectId) -> None:
    """Takes a post that is not saved out of all collections of the account."""
    item = await sources.database["collection_posts"].find_one({"_id": item_id})
    if item is not None:
        removal = partial(sources.saved.collection_posts.remove, item["owner_id"], [item["post_id"]])
        await in_transaction(sources.client, removal)


def _is_of_lost_post(save: Document, related: Related) -> object:
    post = related.documents["posts"].get(save["post_id"])
    return post is None or (post.get("deleted") and not is_pending(post, Task.CLEAN_UP))


async def _unsave(sources: Sources, save_id: ObjectId) -> None:
    save = await sources.database["saves"].find_one({"_id": save_id})
    if save is not None:
        await sources.saved.posts.unsave(save["saver_id"], save["post_id"])


SAVES = (
    *(
        Check(
            collection=count.collection,
            find=from_snapshot(partial(_find_miscounted, count)),
            repairs={count.kind: by_id(partial(_recount, count))},
        )
        for count in COUNTS
    ),
    Check(
        collection="saves",
        find=from_snapshot(_find_uncounted),
        repairs={SAVE_WITHOUT_COUNTER: by_id(_count_saver)},
    ),
    Check(
        collection="collection_posts",
        find=from_snapshot(_find_unsaved),
        repairs={POST_WITHOUT_SAVE: by_id(_remove_item)},
    ),
    rules_check(
        "saves",
        [
            must_exist("saver_id", "users", delete_from("saves")),
            Rule(name="post_id", why="its post is gone", is_broken=_is_of_lost_post, repair=_unsave),
        ],
        refers_to={"saver_id": "users", "post_id": "posts"},
    ),
    rules_check("savers", [must_exist("_id", "users", delete_from("savers"))], refers_to={"_id": "users"}),
    rules_check(
        "collections", [must_exist("owner_id", "users", delete_from("collections"))], refers_to={"owner_id": "users"}
    ),
    rules_check(
        "collection_posts",
        [must_exist("collection_id", "collections", delete_from("collection_posts"))],
        refers_to={"collection_id": "collections"},
    ),
)
