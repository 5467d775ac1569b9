"""Ids that say where their documents lie, and the conditions that are read out of them."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from datasources.mongo.client import DUPLICATE_KEY, Document
from datasources.mongo.sharded_ids import (
    COMMENT_KEY,
    MARGIN_SECONDS,
    MAX_RANGES,
    MAX_TRIES,
    ShardedIds,
    key_in,
    new_id,
    new_id_beside,
    with_free_id,
)

SINCE = datetime(2026, 11, 29, 12, tzinfo=UTC)
FIRST = SINCE + timedelta(seconds=MARGIN_SECONDS)
LATER, EARLIER = FIRST + timedelta(seconds=1), FIRST - timedelta(seconds=1)
IDS = ShardedIds(SINCE)


def is_within(account_id: ObjectId, condition: Document) -> bool:
    """Whether a condition on `author_id` is true of an account."""
    either = condition.get("$or", [condition])
    return any(each["author_id"]["$gte"] <= account_id <= each["author_id"]["$lte"] for each in either)


def test_an_id_says_with_which_account_its_document_lies() -> None:
    ana, bob = ObjectId("6a" * 12), ObjectId("6b" * 12)
    post, other = new_id(ana, LATER), new_id(bob, LATER)
    assert is_within(ana, IDS.with_accounts("author_id", [post]))
    assert not is_within(bob, IDS.with_accounts("author_id", [post]))
    both = IDS.with_accounts("author_id", [post, other, new_id(ana, LATER)])
    assert len(both["$or"]) == 2
    assert is_within(ana, both)
    assert is_within(bob, both)


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_the_range_has_both_its_ends(byte: int) -> None:
    account = ObjectId(b"\x6a\x0f\xfe\x00\xff" + bytes([byte]) * 7)
    assert is_within(account, IDS.with_accounts("author_id", [new_id(account, LATER)]))


def test_a_comment_lies_with_the_author_of_its_post() -> None:
    author = ObjectId()
    post = new_id(author, LATER)
    comment = new_id_beside(post)
    assert key_in(comment) == key_in(post) == author.binary[:5]
    assert IDS.comments([post]) == {COMMENT_KEY: {"$in": [author.binary[:5]]}}
    assert IDS.parent(new_id(author, LATER)) == {COMMENT_KEY: {"$in": [author.binary[:5], None]}}


def test_nothing_is_read_out_of_ids_of_an_older_version() -> None:
    new, old, unset = new_id(ObjectId(), LATER), new_id(ObjectId(), EARLIER), ShardedIds(None)
    assert IDS.with_accounts("author_id", [new, old]) == IDS.comments([old, new]) == IDS.parent(old) == {}
    assert unset.with_accounts("author_id", [new]) == unset.comments([new]) == unset.parent(new) == {}
    assert IDS.with_accounts("author_id", []) == IDS.comments([]) == {}
    assert IDS.comments([new_id(ObjectId(), FIRST)])


def test_an_id_of_the_moment_itself_is_of_the_older_version() -> None:
    """The last process of that version may have made it, by a clock that is fast."""
    stopped = SINCE + timedelta(milliseconds=900)
    for made in (stopped, stopped + timedelta(minutes=5)):
        assert ShardedIds(stopped).comments([new_id(ObjectId(), made)]) == {}


def test_so_many_accounts_that_all_shards_have_some_are_not_named() -> None:
    accounts = [ObjectId(number.to_bytes(4, "big") + b"\0" * 8) for number in range(MAX_RANGES + 1)]
    ids = [new_id(account, LATER) for account in accounts]
    assert len(IDS.with_accounts("author_id", ids[1:])["$or"]) == MAX_RANGES
    assert IDS.with_accounts("author_id", ids) == {}


def test_ids_are_in_the_order_of_their_time_and_of_their_making() -> None:
    first, last = ObjectId("00" * 12), ObjectId("ff" * 12)
    assert new_id(last, EARLIER) < new_id(first, FIRST) < new_id(last, LATER)
    made = [new_id(ObjectId(), FIRST) for _ in range(50)]
    assert made == sorted(made)


class Taken:
    """A collection in which the first ids that are tried are taken, or another index refuses everything."""

    def __init__(self, taken: int, index: str = "_id") -> None:
        self.left, self.index, self.tried = taken, index, list[ObjectId]()

    @with_free_id
    async def insert(self, document: Document) -> None:
        self.tried.append(document["_id"])
        self.left -= 1
        if self.left >= 0:
            raise DuplicateKeyError("", DUPLICATE_KEY, {"keyPattern": {self.index: 1}})


async def test_a_taken_id_is_replaced_by_one_of_the_same_time_and_key() -> None:
    id_, store = new_id(ObjectId(), LATER), Taken(MAX_TRIES - 1)
    document = {"_id": id_}
    await store.insert(document)
    assert len({*store.tried}) == MAX_TRIES
    assert document["_id"] == store.tried[-1] != id_
    assert {(each.binary[:4], key_in(each)) for each in store.tried} == {(id_.binary[:4], key_in(id_))}
    counts = [int.from_bytes(each.binary[4:7]) for each in store.tried]
    assert all((later - earlier) % 2**24 != 1 for earlier, later in pairwise(counts))  # which another process uses up


@pytest.mark.parametrize("store", [Taken(1, "upload_ids"), Taken(MAX_TRIES)])
async def test_what_another_id_does_not_help_is_raised(store: Taken) -> None:
    with pytest.raises(DuplicateKeyError):
        await store.insert({"_id": new_id(ObjectId(), LATER)})
    assert store.left == 0
