"""The key that shards each collection of a cluster; `docs/scaling.md` says why, and which queries name it.

A unique index holds across shards only if it begins with the whole key of its collection.
"""

from collections.abc import Mapping

import msgspec

from datasources.mongo.client import Document
from datasources.mongo.sharded_ids import COMMENT_KEY


class ShardKey(msgspec.Struct, frozen=True):
    """The fields whose values decide on which shard a document lies; by ranges, or the first one by its hash."""

    fields: tuple[str, ...]
    is_hashed: bool = False

    def to_document(self) -> Document:
        """The key as `shardCollection` takes it."""
        return {**dict.fromkeys(self.fields, 1), **({self.fields[0]: "hashed"} if self.is_hashed else {})}


_BY_ID = ShardKey(("_id",), is_hashed=True)
_BY_ID_RANGES = ShardKey(("_id",))  # of ids that are documents and begin with the owner, so that an owner is one range
# Ids begin with their time, and the newest get most likes, so ranges would lead all to one end. A popular one can be
# split.
_BY_TARGET = ShardKey(("target_id", "user_id"), is_hashed=True)

# None: the collection stays on one shard, because it is small or short-lived.
SHARD_KEYS: Mapping[str, ShardKey | None] = {
    "users": _BY_ID,
    "claims": _BY_ID,
    "sessions": _BY_ID,
    "factors": _BY_ID,
    "identity_links": _BY_ID,
    "spent_challenges": _BY_ID,
    "barred_identifiers": _BY_ID,
    "follows": ShardKey(("follower_id",)),
    "followers": _BY_ID_RANGES,
    "blocks": ShardKey(("blocker_id", "blocked_id")),
    "mutes": ShardKey(("muter_id", "muted_id")),
    "uploads": ShardKey(("owner_id",)),
    "posts": ShardKey(("author_id",)),
    "topics": _BY_ID,
    "topic_posts": ShardKey(("topic_id", "post_id")),
    "caption_terms": ShardKey(("author_id",)),
    "followed_hashtags": _BY_ID,
    "suggestions": _BY_ID,
    "dismissed_suggestions": _BY_ID,
    "post_likes": _BY_TARGET,
    "comment_likes": _BY_TARGET,
    "comments": ShardKey((COMMENT_KEY, "_id")),
    "saves": ShardKey(("saver_id",)),
    "savers": _BY_ID,
    "tagged_posts": _BY_ID_RANGES,
    "collections": ShardKey(("owner_id",)),
    "collection_posts": ShardKey(("owner_id",)),
    "feeds": _BY_ID,
    "feed_entries": _BY_ID_RANGES,
    "fan_outs": None,
    "interests": _BY_ID,
    "profile_visits": _BY_ID_RANGES,
    "rankings": _BY_ID_RANGES,
    "explore_snapshots": None,
    "discovery_holds": None,
    "notifications": ShardKey(("recipient_id",)),
    "inboxes": _BY_ID,
    "webhook_endpoints": None,
    "webhook_messages": None,
    "reports": None,
    "strangers_reports": None,
    "cases": None,
    "decisions": None,
    "leases": None,
    "exports": _BY_ID,
    "purges": None,
    "mails": None,
    "mail_tokens": None,
    "registrations": None,
    "malformed": None,
    "failures": None,
}
