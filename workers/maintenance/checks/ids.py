"""Ids against the accounts with which they say that their documents lie (docs/adr/0026).

A process of a version before makes ids that do not say it. If they are believed, nobody finds their documents.
"""

from collections.abc import Sequence

from bson import ObjectId

from datasources.mongo.client import Session
from datasources.mongo.queries import find_by_ids
from datasources.mongo.sharded_ids import COMMENT_KEY, ShardedIds, key_in, key_of
from datasources.sources import Sources
from workers.maintenance.checks.check import BY_HAND, Check, Finding, from_snapshot

KEYS = {"posts": "author_id", "uploads": "owner_id", "follows": "follower_id", "comments": COMMENT_KEY}
_WHY = "its id says that it lies elsewhere: PHOTOGRAM_SHARDED_IDS_SINCE is too early, or an older version still ran"


def _check(collection: str, field: str) -> Check:
    kind = f"{collection.removesuffix('s')}._id"

    async def find(sources: Sources, ids: Sequence[ObjectId], session: Session) -> list[Finding]:
        believed = ShardedIds(sources.settings.sharded_ids_since).believed(ids)
        rows = await find_by_ids(sources.database[collection], believed, projection={field: 1}, session=session)
        return [
            Finding(kind=kind, id=str(id_), why=_WHY)
            for id_, row in rows.items()
            if key_in(id_) != (key_of(row[field]) if isinstance(row.get(field), ObjectId) else row.get(field))
        ]

    return Check(collection=collection, find=from_snapshot(find), repairs={kind: BY_HAND})


IDS = tuple(_check(collection, field) for collection, field in KEYS.items())
