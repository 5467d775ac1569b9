"""Who may see what: every case of the rules, spelled out."""

from datetime import UTC, datetime
from itertools import product

import msgspec
import pytest
from bson import ObjectId

from domain.records.comments import CommentRecord
from domain.records.follows import FollowState
from domain.records.notifications import NotificationKind, NotificationRecord
from domain.records.posts import PostRecord, PostStatus
from domain.records.users import UserRecord, UserState
from domain.visibility import (
    ONESELF,
    STRANGERS,
    Relation,
    as_restricted,
    can_delete_comment,
    can_meet,
    can_view_comment,
    can_view_content,
    can_view_notification,
    can_view_post,
    can_view_profile,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PUBLIC = UserRecord(id=ObjectId(), username="ana", display_name="Ana", created_at=NOW)
PRIVATE = msgspec.structs.replace(PUBLIC, is_private=True)
POST = PostRecord(id=ObjectId(), author_id=PUBLIC.id, caption="", status=PostStatus.READY, created_at=NOW)
COMMENT = CommentRecord(id=ObjectId(), post_id=POST.id, author_id=PUBLIC.id, text="!", created_at=NOW)

FOLLOWER = Relation(follow_state=FollowState.FOLLOWING)
ASKER = Relation(follow_state=FollowState.REQUESTED)
FOLLOWED = Relation(is_followed=True)
BLOCKER = Relation(has_blocked=True)
BLOCKED = Relation(is_blocked=True)
MUTER = Relation(has_muted=True)
GONE = [msgspec.structs.replace(PUBLIC, state=state) for state in UserState if state is not UserState.ACTIVE]


@pytest.mark.parametrize("relation", [STRANGERS, ONESELF, FOLLOWER, ASKER, FOLLOWED, BLOCKER, MUTER])
@pytest.mark.parametrize("owner", [PUBLIC, PRIVATE], ids=["public", "private"])
def test_everybody_sees_a_profile(owner: UserRecord, relation: Relation) -> None:
    assert can_view_profile(owner, relation)


@pytest.mark.parametrize("owner", [PUBLIC, PRIVATE], ids=["public", "private"])
def test_a_profile_is_hidden_from_users_whom_its_owner_has_blocked(owner: UserRecord) -> None:
    assert not can_view_profile(owner, BLOCKED)


@pytest.mark.parametrize("owner", [PUBLIC, PRIVATE], ids=["public", "private"])
def test_blockers_find_whom_they_blocked_but_do_not_meet_them(owner: UserRecord) -> None:
    assert can_view_profile(owner, BLOCKER)
    assert not can_meet(owner, BLOCKER)
    assert not can_meet(owner, BLOCKED)
    assert can_meet(owner, STRANGERS)


@pytest.mark.parametrize(
    ("owner", "relation"),
    [
        *product(GONE, (STRANGERS, FOLLOWER, MUTER)),
        *((owner, ONESELF) for owner in GONE if owner.state is not UserState.SUSPENDED),
    ],
)
def test_an_account_that_is_gone_shows_nothing(owner: UserRecord, relation: Relation) -> None:
    assert not can_view_profile(owner, relation)
    assert not can_view_content(owner, relation)
    assert not can_view_post(POST, owner, relation)
    assert not can_view_comment(COMMENT, owner, relation)


def test_a_suspended_account_shows_everything_to_its_owner() -> None:
    suspended = msgspec.structs.replace(PUBLIC, state=UserState.SUSPENDED)
    assert can_view_profile(suspended, ONESELF)
    assert can_view_content(suspended, ONESELF)
    assert can_view_post(POST, suspended, ONESELF)
    assert can_view_comment(COMMENT, suspended, ONESELF)


def test_a_suspended_viewer_follows_nobody_and_keeps_blocks() -> None:
    relation = as_restricted(Relation(follow_state=FollowState.FOLLOWING, has_blocked=True, is_followed=True))
    assert relation == Relation(has_blocked=True, is_followed=True)
    assert not can_view_content(PRIVATE, as_restricted(FOLLOWER))
    assert can_view_content(PUBLIC, as_restricted(FOLLOWER))


@pytest.mark.parametrize(
    ("owner", "relation", "visible"),
    [
        (PUBLIC, STRANGERS, True),
        (PUBLIC, ONESELF, True),
        (PUBLIC, MUTER, True),
        (PUBLIC, BLOCKER, False),
        (PUBLIC, BLOCKED, False),
        (PRIVATE, STRANGERS, False),
        (PRIVATE, ASKER, False),
        (PRIVATE, FOLLOWED, False),
        (PRIVATE, MUTER, False),
        (PRIVATE, ONESELF, True),
        (PRIVATE, FOLLOWER, True),
        (PRIVATE, Relation(follow_state=FollowState.FOLLOWING, has_muted=True), True),
        (PRIVATE, Relation(follow_state=FollowState.FOLLOWING, is_blocked=True), False),
        (PRIVATE, Relation(follow_state=FollowState.FOLLOWING, has_blocked=True), False),
    ],
)
def test_content_is_visible_as_the_relation_says(owner: UserRecord, relation: Relation, visible: bool) -> None:
    assert can_view_content(owner, relation) is visible
    assert can_view_post(POST, owner, relation) is visible


@pytest.mark.parametrize("status", [PostStatus.PROCESSING, PostStatus.FAILED])
def test_only_its_author_sees_a_post_that_is_not_ready(status: PostStatus) -> None:
    post = msgspec.structs.replace(POST, status=status)
    assert can_view_post(post, PUBLIC, ONESELF)
    assert not can_view_post(post, PUBLIC, FOLLOWER)


def test_nobody_sees_a_deleted_post() -> None:
    post = msgspec.structs.replace(POST, deleted=True)
    assert not can_view_post(post, PUBLIC, ONESELF)


@pytest.mark.parametrize("owner", [PUBLIC, PRIVATE], ids=["public", "private"])
@pytest.mark.parametrize(
    ("relation", "visible"), [(STRANGERS, True), (ONESELF, True), (MUTER, True), (BLOCKER, False), (BLOCKED, False)]
)
def test_a_comment_is_visible_unless_a_block_stands_between(
    owner: UserRecord, relation: Relation, visible: bool
) -> None:
    assert can_view_comment(COMMENT, owner, relation) is visible


def test_nobody_sees_a_deleted_comment() -> None:
    assert not can_view_comment(msgspec.structs.replace(COMMENT, deleted=True), PUBLIC, ONESELF)


@pytest.mark.parametrize("relation", [STRANGERS, FOLLOWER, FOLLOWED, MUTER])
def test_only_its_author_sees_a_hidden_comment(relation: Relation) -> None:
    hidden = msgspec.structs.replace(COMMENT, hidden=True)
    assert can_view_comment(hidden, PUBLIC, ONESELF)
    assert not can_view_comment(hidden, PUBLIC, relation)


def test_a_comment_can_be_deleted_by_its_author_and_the_posts_author() -> None:
    comment = msgspec.structs.replace(COMMENT, author_id=ObjectId())
    assert can_delete_comment(comment, POST, comment.author_id)
    assert can_delete_comment(comment, POST, POST.author_id)
    assert not can_delete_comment(comment, POST, ObjectId())


@pytest.mark.parametrize("owner", [PUBLIC, PRIVATE, *GONE])
def test_a_viewer_of_a_post_may_see_its_authors_profile(owner: UserRecord) -> None:
    flags = [
        dict(zip(("has_blocked", "is_blocked", "has_muted"), row, strict=True)) for row in product((0, 1), repeat=3)
    ]
    for state, flag in product(FollowState, flags):
        relation = Relation(follow_state=state, **{name: bool(value) for name, value in flag.items()})
        if can_view_post(POST, owner, relation):
            assert can_view_content(owner, relation)
            assert can_view_profile(owner, relation)


FAN, OTHER_FAN = ObjectId(), ObjectId()
NOTICE = NotificationRecord(
    id=ObjectId(),
    recipient_id=PUBLIC.id,
    kind=NotificationKind.POST_LIKED,
    seq=1,
    actor_ids=[FAN, OTHER_FAN],
    actor_count=2,
    post_id=POST.id,
    created_at=NOW,
    updated_at=NOW,
)


@pytest.mark.parametrize(
    ("changes", "shown", "visible"),
    [
        ({}, {POST.id, FAN, OTHER_FAN}, True),
        ({}, {POST.id, OTHER_FAN}, True),
        ({}, {POST.id}, False),  # nobody is left whom it could name
        ({}, {FAN}, False),  # the post is hidden
        ({"actor_count": 3}, {POST.id}, True),  # somebody it does not name
        ({"actor_ids": []}, {POST.id}, True),  # nobody did it: the post is ready
        ({"comment_id": COMMENT.id}, {POST.id, FAN}, False),
        ({"comment_id": COMMENT.id}, {POST.id, FAN, COMMENT.id}, True),
        ({"withdrawn": True}, {POST.id, FAN}, False),
    ],
)
def test_a_notification_is_seen_while_it_has_something_to_show(
    changes: dict[str, object], shown: set[ObjectId], visible: bool
) -> None:
    notice = msgspec.structs.replace(NOTICE, **changes)
    assert can_view_notification(notice, PUBLIC.id, shown) is visible
    assert not can_view_notification(notice, ObjectId(), shown)
    assert not can_view_notification(notice, None, shown)
