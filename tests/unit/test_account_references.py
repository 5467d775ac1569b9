"""Where an account's id may stand: no collection is forgotten."""

from datasources.accounts.account_references import ACCOUNT_REFERENCES
from datasources.mongo.indexes import INDEXES

ELSEWHERE = {
    "users": "the account itself",
    "fan_outs": "owed by the posts, and ended by what they owe themselves",
    "failures": "forgotten when nothing is left",
    "malformed": "raw messages, which an index lets go",
}


def test_every_collection_is_looked_through_or_says_why_not() -> None:
    assert set(ACCOUNT_REFERENCES) | set(ELSEWHERE) == set(INDEXES)
    assert not set(ACCOUNT_REFERENCES) & set(ELSEWHERE)
