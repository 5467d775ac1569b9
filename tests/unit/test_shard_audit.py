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

ONE, OTHER, KEY = ObjectId(), ObjectId(), b"12345"
ROW = re.compile(r"^\| (?P<names>`[^|]+`) \| (?P<key>`\{[^|]+\}`|none) \|", re.MULTILINE)
TARGETED: dict[str, dict[str, Any]] = {
    "by the key": {"find": "follows", "filter": {"follower_id": ONE, "state": "FOLLOWING"}},
    "by several keys": {"find": "posts", "filter": {"author_id": {"$in": [ONE, OTHER]}}},
    "by a hashed key": {"find": "users", "filter": {"_id": {"$in": [ONE]}}},
    "by every branch": {"find": "blocks", "filter": {"$or": [{"blocker_id": ONE}, {"blocker_id": OTHER}]}},
    "by one condition of several": {"find": "posts", "filter": {"$and": [{"_id": ONE}, {"author_id": ONE}]}},
    "by a range": {"find": "feed_entries", "filter": {"_id": {"$gt": {"o": ONE}, "$lt": {"o": OTHER}}}},
    "by the first field": {"find": "comments", "filter": {"post_author_key": KEY}},
    "a count by the key": {"count": "posts", "query": {"author_id": ONE}},
    "a collection on one shard": {"find": "fan_outs", "filter": {"post_id": ONE}},
    "a write of many by the first field": {
        "update": "comments",
        "updates": [{"q": {"post_author_key": KEY}, "u": {}, "multi": True}],
    },
    "a write of one by the whole key": {"findAndModify": "comments", "query": {"post_author_key": KEY, "_id": OTHER}},
    "a write of one by its id and a range of the key": {
        "update": "posts",
        "updates": [{"q": {"_id": ONE, "author_id": {"$gte": ONE, "$lte": OTHER}}, "u": {}}],
    },
    "a join by the key": {
        "aggregate": "posts",
        "pipeline": [
            {"$match": {"author_id": ONE}},
            {"$lookup": {"from": "users", "localField": "author_id", "foreignField": "_id", "pipeline": []}},
        ],
    },
    "a union by the key": {
        "aggregate": "posts",
        "pipeline": [
            {"$match": {"author_id": ONE}},
            {"$unionWith": {"coll": "uploads", "pipeline": [{"$match": {"owner_id": ONE}}]}},
        ],
    },
    "a search through a graph by the key": {
        "aggregate": "users",
        "pipeline": [
            {"$match": {"_id": ONE}},
            {"$graphLookup": {"from": "follows", "connectFromField": "_id", "connectToField": "follower_id"}},
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
    "a write of one by the first field": {"findAndModify": "comments", "query": {"post_author_key": KEY}},
    "a write of one by a range of the key": {
        "update": "posts",
        "updates": [{"q": {"author_id": {"$gte": ONE, "$lte": OTHER}}, "u": {}}],
    },
    "an upsert by its id and a range of the key": {
        "findAndModify": "posts",
        "query": {"_id": ONE, "author_id": {"$gte": ONE, "$lte": OTHER}},
        "upsert": True,
    },
    "an upsert by the first field": {"update": "post_likes", "updates": [{"q": {"target_id": ONE}, "upsert": True}]},
    "one of several writes": {
        "delete": "posts",
        "deletes": [{"q": {"author_id": ONE}, "limit": 0}, {"q": {"_id": ONE}, "limit": 0}],
    },
    "a distinct": {"distinct": "posts", "query": {"status": "READY"}},
    "a count": {"count": "posts", "query": {"status": "READY"}},
    "a count of all": {"count": "posts"},
    "a union": {
        "aggregate": "posts",
        "pipeline": [{"$match": {"author_id": ONE}}, {"$unionWith": "uploads"}],
    },
    "a union by another field": {
        "aggregate": "posts",
        "pipeline": [
            {"$match": {"author_id": ONE}},
            {"$unionWith": {"coll": "uploads", "pipeline": [{"$match": {"_id": ONE}}]}},
        ],
    },
    "a search through a graph by another field": {
        "aggregate": "users",
        "pipeline": [
            {"$match": {"_id": ONE}},
            {"$graphLookup": {"from": "follows", "connectFromField": "_id", "connectToField": "followee_id"}},
        ],
    },
    "a join within a join": {
        "aggregate": "posts",
        "pipeline": [
            {"$match": {"author_id": ONE}},
            {
                "$lookup": {
                    "from": "users",
                    "localField": "author_id",
                    "foreignField": "_id",
                    "pipeline": [{"$lookup": {"from": "follows", "localField": "_id", "foreignField": "followee_id"}}],
                }
            },
        ],
    },
    "a join within a facet": {
        "aggregate": "posts",
        "pipeline": [
            {"$match": {"author_id": ONE}},
            {"$facet": {"a": [{"$lookup": {"from": "uploads", "localField": "upload_ids", "foreignField": "_id"}}]}},
        ],
    },
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
    """Each begins with the whole key."""
    not_across = {
        (name, fields)
        for name, indexes in INDEXES.items()
        for fields in (tuple(index.document["key"]) for index in indexes if index.document.get("unique"))
        if not ((key := SHARD_KEYS[name]) is None or begins_with(fields, key))
    }
    assert not_across == set()


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
    assert sharded == {name for name, key in SHARD_KEYS.items() if key is not None}
    assert 'sh.shardCollection("photos.post_likes", {"target_id": "hashed", "user_id": 1})' in commands
    assert commands[-1].startswith("// Then set PHOTOGRAM_SHARDED_IDS_SINCE ")


def test_a_key_has_an_index_before_it_shards() -> None:
    """Of a new one, or one of the product's; that of the ids is always there."""
    commands = sharding_commands("photos")
    assert 'db.getSiblingDB("photos").users.createIndex({"_id": "hashed"})' in commands
    assert not [command for command in commands if ".posts.createIndex" in command or ".followers.create" in command]


def _text(key: ShardKey | None) -> str:
    if key is None:
        return "none"
    return "{" + ", ".join(f"{field}: {how}" for field, how in key.to_document().items()) + "}"
