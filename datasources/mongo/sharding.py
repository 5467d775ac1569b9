"""The commands that shard the collections of a cluster, for mongosh."""

import json
from collections.abc import Sequence

from pymongo import IndexModel

from datasources.mongo.client import Document
from datasources.mongo.indexes import INDEXES
from datasources.mongo.shard_keys import SHARD_KEYS, ShardKey


def sharding_commands(database: str) -> list[str]:
    """One line for each command, in order, for a prepared database.

    MongoDB needs an index that begins with the key, and refuses unique indexes that do not begin with the whole key.
    """
    lines = []
    for name, key in SHARD_KEYS.items():
        if key is None:
            continue
        pattern = json.dumps(key.to_document())
        if not any(_supports(index, key) for index in INDEXES[name]) and key.to_document() != {"_id": 1}:
            lines.append(f'db.getSiblingDB("{database}").{name}.createIndex({pattern})')
        lines.append(f'sh.shardCollection("{database}.{name}", {pattern})')
    return [*lines, "// Then set PHOTOGRAM_SHARDED_IDS_SINCE for every process (docs/scaling.md)."]


def _fields(index: IndexModel) -> Document:
    return dict(index.document["key"])


def _supports(index: IndexModel, key: ShardKey) -> bool:
    """Whether the index begins with the key, in the same order, and has every document."""
    is_partial = "partialFilterExpression" in index.document or index.document.get("sparse", False)
    return not is_partial and list(_fields(index).items())[: len(key.fields)] == list(key.to_document().items())


def begins_with(fields: Sequence[str], key: ShardKey) -> bool:
    """Whether a unique index on these fields holds across shards."""
    return tuple(fields[: len(key.fields)]) == key.fields
