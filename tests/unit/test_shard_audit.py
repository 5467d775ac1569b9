"""What the audit of shards calls targeted and scattered, and what the table of keys and the documents say."""

import re
from typing import Any

import pytest
from bson import ObjectId

from datasources.mongo.indexes import INDEXES
from datasources.mongo.shard_keys import SHARD_KEYS, ShardKey
from datasources.mongo.sharding import begins_with, sharding_commands
from tests.support.allowed_scatters import is_allowed
from tests.support.shard_audit import scattered_queries
from tests.support.stack import ROOT

ONE, OTHER = ObjectId(), ObjectId()
ROW = re.compile(r"^\| (?P<names>`[^|]+`) \| (?P<key>`\{[^|]+\}`|none) \|", re.MULTILINE)
# Unique on one shard, and in a cluster only within each. `docs/scaling.md` says what they need.
NOT_ACROSS_SHARDS = {
    ("comments", ("author_id", "idempotency_key")),
}
TARGETED: dict[str, dict[str, Any]] = {
    "by the key": {"find": "follows", "filter": {"follower_id": ONE, "state": "FOLLOWING"}},
    "by several keys": {"find": "posts", "filter": {"author_id": {"$in": [ONE, OTHER]}}},
    "by a hashed key": {"find": "users", "filter": {"_id": {"$in": [ONE]}}},
    "by every branch": {"find": "blocks", "filter": {"$or": [{"blocker_id": ONE}, {"blocker_id": OTHER}]}},
    "by one condition of several": {"find": "posts", "filter": {"$and": [{"_id": ONE}, {"author_id": ONE}]}},
    "by a range": {"find": "feed_entries", "filter": {"_id": {"$gt": {"o": ONE}, "$lt": {"o": OTHER}}}},
    "by the first field": {"find": "comments", "filter": {"post_id": ONE}},
    "a collection on one shard": {"find": "fan_outs", "filter": {"post_id": ONE}},
    "a write of many by the first field": {
        "update": "comments",
        "updates": [{"q": {"post_id": ONE}, "u": {}, "multi": True}],
    },
    "a write of one by the whole key": {"findAndModify": "comments", "query": {"post_id": ONE, "_id": OTHER}},
    "a join by the key": {
        "aggregate": "posts",
        "pipeline": [
            {"$match": {"author_id": ONE}},
            {"$lookup": {"from": "users", "localField": "author_id", "foreignField": "_id", "pipeline": []}},
        ],
    },
}
SCATTERED: dict[str, dict[str, Any]] = {
    "by the id alone": {"find": "posts", "filter": {"_id": ONE}},
    "by the other end": {"find": "follows", "filter": {"followee_id": ONE}},
    "by nothing": {"find": "users", "filter": {}},
    "by one branch only": {"find": "blocks", "filter": {"$or": [{"blocker_id": ONE}, {"blocked_id": ONE}]}},
    "by what the key is not": {"find": "posts", "filter": {"author_id": {"$ne": ONE}}},
    "by a range without an end": {"find": "posts", "filter": {"author_id": {"$gt": ONE}}},
    "by a range of a hashed key": {"find": "users", "filter": {"_id": {"$gt": ONE, "$lt": OTHER}}},
    "by the second field": {"find": "comments", "filter": {"_id": ONE}},
    "a write of one by the first field": {"findAndModify": "comments", "query": {"post_id": ONE}},
    "an upsert by the first field": {"update": "post_likes", "updates": [{"q": {"target_id": ONE}, "upsert": True}]},
    "one of several writes": {
        "delete": "posts",
        "deletes": [{"q": {"author_id": ONE}, "limit": 0}, {"q": {"_id": ONE}, "limit": 0}],
    },
    "a distinct": {"distinct": "posts", "query": {"status": "READY"}},
    "a join by another field": {
        "aggregate": "users",
        "pipeline": [
            {"$match": {"_id": ONE}},
            {"$lookup": {"from": "posts", "pipeline": [{"$match": {"status": "READY"}}]}},
        ],
    },
}


@pytest.mark.parametrize("command", TARGETED.values(), ids=TARGETED)
def test_a_query_that_names_the_key_is_targeted(command: dict[str, Any]) -> None:
    assert list(scattered_queries(next(iter(command)), command)) == []


@pytest.mark.parametrize("command", SCATTERED.values(), ids=SCATTERED)
def test_a_query_that_does_not_is_scattered(command: dict[str, Any]) -> None:
    assert len(list(scattered_queries(next(iter(command)), command))) == 1


def test_what_no_list_allows_is_refused() -> None:
    assert is_allowed("posts", "workers.runtime.outbox_relay._relay")
    assert not is_allowed("posts", "datasources.posts.posts.PostStore.some_new_query")
    assert not is_allowed("follows", "datasources.feed.fan_outs.FanOutStore.some_new_query")


def test_every_collection_has_a_key_or_stays_on_one_shard() -> None:
    assert SHARD_KEYS.keys() == INDEXES.keys()


def test_unique_indexes_hold_across_shards() -> None:
    """Each begins with the whole key, but for those that are known not to."""
    not_across = {
        (name, fields)
        for name, indexes in INDEXES.items()
        for fields in (tuple(index.document["key"]) for index in indexes if index.document.get("unique"))
        if not ((key := SHARD_KEYS[name]) is None or begins_with(fields, key))
    }
    assert not_across == NOT_ACROSS_SHARDS


def test_the_document_has_the_keys_of_the_table() -> None:
    documented = {
        name: match["key"].strip("`")
        for match in ROW.finditer((ROOT / "docs/scaling.md").read_text())
        for name in re.findall(r"`(\w+)`", match["names"])
    }
    assert documented == {name: _text(key) for name, key in SHARD_KEYS.items()}


def test_the_commands_shard_what_can_be_sharded() -> None:
    commands = sharding_commands("photos")
    assert 'sh.shardCollection("photos.users", {"_id": "hashed"})' in commands
    assert 'sh.shardCollection("photos.posts", {"author_id": 1})' in commands
    sharded = {command.split('"')[1].removeprefix("photos.") for command in commands if command.startswith("sh.")}
    assert sharded == {name for name, key in SHARD_KEYS.items() if key is not None} - {"comments"}
    (comment,) = [command for command in commands if command.startswith("//")]
    assert comment.startswith("// comments stays on one shard: its unique index author_id_1_idempotency_key_1 ")


def test_a_key_has_an_index_before_it_shards() -> None:
    """Of a new one, or one of the product's; that of the ids is always there."""
    commands = sharding_commands("photos")
    assert 'db.getSiblingDB("photos").users.createIndex({"_id": "hashed"})' in commands
    assert not [command for command in commands if ".posts.createIndex" in command or ".followers.create" in command]


def _text(key: ShardKey | None) -> str:
    if key is None:
        return "none"
    return "{" + ", ".join(f"{field}: {how}" for field, how in key.to_document().items()) + "}"
