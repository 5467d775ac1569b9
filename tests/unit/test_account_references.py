"""The list of places where an account's id may stand covers every collection."""

from datasources.accounts.account_references import ACCOUNT_REFERENCES
from datasources.mongo.indexes import INDEXES

ELSEWHERE = {
    "users": "the account itself",
    "fan_outs": "chunks of pending posts, which end with their own tasks",
    "leases": "names of processes",
    "spent_challenges": "hashes, which a TTL index deletes within minutes",
    "barred_identifiers": "keyed hashes, beside which nothing says whose they were; a TTL index deletes them",
    "failures": "deleted when their job is done",
    "explore_snapshots": "ids of posts, which expire within an hour of the next snapshot",
    "topics": "names of hashtags",
    "topic_posts": "ids of posts, which are taken off with the post",
    "purges": "names accounts only by what stands for them in keys",
    "registrations": "of accounts that do not exist yet; a TTL index deletes them",
    "webhook_endpoints": "holds nothing of accounts",
    "webhook_messages": "global ids that must reach others; a TTL index deletes dead ones",
    "malformed": "raw messages, which a TTL index deletes",
}


def test_every_collection_is_searched_or_has_a_reason_why_not() -> None:
    assert set(ACCOUNT_REFERENCES) | set(ELSEWHERE) == set(INDEXES)
    assert not set(ACCOUNT_REFERENCES) & set(ELSEWHERE)
