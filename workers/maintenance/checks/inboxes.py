"""The numbers of each recipient's notifications: given out by the inbox, each once."""

import itertools
from collections.abc import Sequence

from bson import ObjectId

from datasources.mongo.client import Document, Session
from datasources.mongo.queries import find_by_ids
from datasources.mongo.transactions import in_transaction
from datasources.sources import Sources
from workers.maintenance.checks.check import Check, Finding, by_id, from_snapshot

LAST_SEQ = "inbox.last_seq"
DUPLICATES = "inbox.seqs"


async def _find_wrong(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
    """The recipients with a number that two notifications have, or that the inbox has not given out."""
    inboxes = await find_by_ids(sources.database["inboxes"], ids, session=session)
    pipeline: list[Document] = [
        {"$match": {"recipient_id": {"$in": list(ids)}}},
        {
            "$group": {
                "_id": "$recipient_id",
                "last": {"$max": "$seq"},
                "all": {"$sum": 1},
                "seqs": {"$addToSet": "$seq"},
            }
        },
        {"$project": {"last": 1, "all": 1, "distinct": {"$size": "$seqs"}}},
    ]
    rows = await sources.database["notifications"].aggregate(pipeline, session=session, allowDiskUse=True)
    findings = []
    async for row in rows:
        recipient_id, last, given = str(row["_id"]), row["last"], inboxes.get(row["_id"], {}).get("last_seq", 0)
        if given < last:
            why = "a notification has a number that the inbox has not given out"
            findings.append(Finding(kind=LAST_SEQ, id=recipient_id, expected=last, found=given, why=why))
        if row["distinct"] != row["all"]:
            why = "two notifications have the same number"
            finding = Finding(kind=DUPLICATES, id=recipient_id, expected=row["all"], found=row["distinct"], why=why)
            findings.append(finding)
    return findings


async def _renumber(sources: Sources, recipient_id: ObjectId) -> None:
    """Raises the inbox above every number, and gives each notification that shares one a new number.

    Safe beside workers: every numbering writes the inbox's document, so that two transactions conflict there.
    """
    notifications, inboxes = sources.database["notifications"], sources.database["inboxes"]

    async def apply(session: Session) -> None:
        rows = await notifications.find(
            {"recipient_id": recipient_id}, {"seq": 1}, sort=[("seq", 1), ("_id", 1)], session=session
        ).to_list()
        last = max((row["seq"] for row in rows), default=0)
        duplicates = [row for before, row in itertools.pairwise(rows) if before["seq"] == row["seq"]]
        await inboxes.update_one({"_id": recipient_id}, {"$max": {"last_seq": last}}, upsert=True, session=session)
        inbox = await inboxes.find_one_and_update(
            {"_id": recipient_id}, {"$inc": {"last_seq": len(duplicates)}}, return_document=True, session=session
        )
        first = (inbox["last_seq"] if inbox else last) - len(duplicates) + 1
        for seq, row in enumerate(duplicates, first):
            await notifications.update_one({"_id": row["_id"]}, {"$set": {"seq": seq}}, session=session)

    await in_transaction(sources.client, apply)


INBOXES = Check(
    collection="users",
    find=from_snapshot(_find_wrong),
    repairs={LAST_SEQ: by_id(_renumber), DUPLICATES: by_id(_renumber)},
)
