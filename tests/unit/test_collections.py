"""Keys of shared collections, and who sees a collection."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from bson import ObjectId

from domain.records.follows import FollowState
from domain.records.saves import CollectionRecord, split_share_key
from domain.records.users import UserRecord, UserState
from domain.visibility import ONESELF, STRANGERS, Relation, can_view_collection

NOW = datetime(2026, 11, 29, tzinfo=UTC)
OWNER = UserRecord(id=ObjectId(), username="ana", display_name="Ana", created_at=NOW)
PRIVATE = CollectionRecord(id=ObjectId(), owner_id=OWNER.id, name="light", created_at=NOW)
PUBLIC = msgspec.structs.replace(PRIVATE, is_public=True)


def changed(record: Any, **values: Any) -> Any:
    return msgspec.structs.replace(record, **values)


def test_a_key_holds_the_id_and_the_secret() -> None:
    shared = changed(PRIVATE, secret=bytes(range(16)))
    assert shared.share_key is not None
    assert split_share_key(shared.share_key) == (PRIVATE.id, bytes(range(16)))
    assert PRIVATE.share_key is None


@pytest.mark.parametrize("key", ["", "A", "!", "\u00e9", "A" * 37, "A" * 39, "A" * 10_000, "=" * 38])
def test_what_is_no_key_is_refused(key: str) -> None:
    assert split_share_key(key) is None


@pytest.mark.parametrize(
    ("collection", "owner", "relation", "expected"),
    [
        (PRIVATE, OWNER, ONESELF, True),
        (PRIVATE, OWNER, STRANGERS, False),
        (PRIVATE, OWNER, Relation(follow_state=FollowState.FOLLOWING), False),
        (PUBLIC, OWNER, STRANGERS, True),
        (PUBLIC, OWNER, Relation(has_blocked=True), False),
        (PUBLIC, OWNER, Relation(is_blocked=True), False),
        (PUBLIC, changed(OWNER, is_private=True), STRANGERS, False),
        (PUBLIC, changed(OWNER, is_private=True), Relation(follow_state=FollowState.REQUESTED), False),
        (PUBLIC, changed(OWNER, is_private=True), Relation(follow_state=FollowState.FOLLOWING), True),
        (PUBLIC, changed(OWNER, state=UserState.SUSPENDED), STRANGERS, False),
        (PUBLIC, changed(OWNER, state=UserState.SUSPENDED), ONESELF, True),
        (PUBLIC, changed(OWNER, state=UserState.DEACTIVATED), ONESELF, False),
        (changed(PUBLIC, deleted=True), OWNER, ONESELF, False),
    ],
)
def test_a_collection_is_its_owners_or_seen_as_their_posts(
    collection: CollectionRecord, owner: UserRecord, relation: Relation, expected: bool
) -> None:
    assert can_view_collection(collection, owner, relation) is expected
