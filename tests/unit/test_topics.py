"""What posts are listed under, and the order of the best."""

import math
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from bson import ObjectId

from domain.limits import HASHTAG_MAX
from domain.records.posts import PostRecord, PostStatus
from domain.records.users import UserRecord, UserState
from domain.text import hashtag_name, hashtags
from domain.topics import STEPS, hashtag_id, hashtag_topic, is_listed, steps, top_score

NOW = datetime(2026, 11, 29, tzinfo=UTC)
AUTHOR = UserRecord(
    id=ObjectId(), username="ana", display_name="Ana", created_at=NOW, state=UserState.ACTIVE, is_private=False
)
POST = PostRecord(
    id=ObjectId(), author_id=AUTHOR.id, caption="#sea", hashtags=["sea"], status=PostStatus.READY, created_at=NOW
)


@pytest.mark.parametrize("likes", [0, 1, 2, 3, 4, 6, 7, 10, 14, 15, 99, 127, 128, 1_000, 10**6])
def test_steps_are_twice_the_logarithm_rounded_down(likes: int) -> None:
    assert steps(likes, 0) == math.floor(2 * math.log2(1 + likes) + 1e-12)


def test_a_comment_counts_as_two_likes() -> None:
    assert all(steps(likes, comments) == steps(likes + 2 * comments, 0) for likes in range(9) for comments in range(9))


def test_no_number_of_likes_has_fewer_steps_than_a_smaller_one() -> None:
    assert list(STEPS) == sorted(STEPS)


def test_twice_the_likes_are_worth_a_day() -> None:
    older = NOW - timedelta(days=1)
    assert top_score(older, 127, 0) == top_score(NOW, 63, 0)
    assert top_score(older, 126, 0) < top_score(NOW, 63, 0)


def test_a_hashtag_has_one_id_however_it_is_found() -> None:
    assert hashtag_topic("sea").id == hashtag_id("sea") != hashtag_id("see")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("sea", "sea"),
        ("#Sea", "sea"),
        ("  #sea ", "sea"),
        ("\uff03\uff33ea", "sea"),
        ("Été", "été"),
        ("楽しい", "楽しい"),
        ("a_1", "a_1"),
        ("2026", None),
        ("", None),
        ("#", None),
        ("##sea", None),
        ("two words", None),
        ("a#b", None),
        ("a-b", None),
        ("x" * HASHTAG_MAX, "x" * HASHTAG_MAX),
        ("x" * (HASHTAG_MAX + 1), None),
        ("x" * 10**6, None),
        ("\U0001f600", None),
    ],
)
def test_a_name_is_a_hashtag_exactly_if_a_caption_can_have_it(text: str, name: str | None) -> None:
    assert hashtag_name(text) == name
    if name is not None:
        assert hashtags(f"#{name}") == [name]


@pytest.mark.parametrize("status", PostStatus)
def test_only_ready_posts_are_listed(status: PostStatus) -> None:
    assert is_listed(msgspec.structs.replace(POST, status=status), AUTHOR) is (status is PostStatus.READY)


@pytest.mark.parametrize("state", UserState)
def test_only_posts_of_active_accounts_are_listed(state: UserState) -> None:
    assert is_listed(POST, msgspec.structs.replace(AUTHOR, state=state)) is (state is UserState.ACTIVE)


def test_posts_of_private_accounts_and_deleted_ones_are_not_listed() -> None:
    assert not is_listed(POST, msgspec.structs.replace(AUTHOR, is_private=True))
    assert not is_listed(msgspec.structs.replace(POST, deleted=True), AUTHOR)
    assert not is_listed(POST, None)
