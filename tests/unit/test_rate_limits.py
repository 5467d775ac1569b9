"""Limits as operators write them, and what they come to for each role."""

import pytest
from pydantic import ValidationError

from config import Settings
from domain.rate_limits import DEFAULTS, MEMBER, NEW, Action, Limit, RateLimits, Subject
from resolvers.transport.answer_size import count_fields


def test_a_limit_is_written_as_a_number_and_its_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOGRAM_RATE_LIMITS", "comment.account=30/600, login.address=60/400")
    monkeypatch.setenv("PHOTOGRAM_RATE_LIMIT_ROLES", "trusted=3,partner=7")
    settings = Settings(environment="test")
    limits = RateLimits(settings.rate_limits, settings.rate_limit_roles)
    assert limits.of("comment.account") == Limit(30, 600)
    assert limits.of("comment.account", "trusted") == Limit(90, 600)
    assert limits.of("comment.account", "partner") == Limit(210, 600)
    assert limits.of("comment.account", "unheard of") == limits.of("comment.account", MEMBER)
    assert limits.of("login.address", "trusted") == Limit(60, 400)
    assert limits.of("follow.account") == Limit.parse(DEFAULTS["follow.account"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rate_limits", "nothing.account=30/600"),
        ("rate_limits", "comment.account=many"),
        ("rate_limits", "comment.account=0/600"),
        ("rate_limits", "comment.account=30/0"),
        ("rate_limits", "comment.account"),
        ("rate_limits", "points=50000/100"),
        ("rate_limit_roles", "trusted=0"),
        ("rate_limit_roles", "slow=0.1"),
        ("rate_limit_factor", "0.1"),
        ("rate_limit_factor", "-1"),
    ],
)
def test_what_no_client_could_live_with_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(f"PHOTOGRAM_{name.upper()}", text)
    with pytest.raises(ValidationError):
        Settings(environment="test")


def test_new_accounts_act_less_and_read_as_much() -> None:
    limits = RateLimits({}, {})
    assert limits.of("points", NEW) == limits.of("points", MEMBER)
    comments = limits.of_action(Action.COMMENT, NEW)[Subject.ACCOUNT]
    assert comments.maximum * 4 == limits.of_action(Action.COMMENT, MEMBER)[Subject.ACCOUNT].maximum


@pytest.mark.parametrize("number", [1, 3, 7, 15, 40, 100_000])
def test_a_limit_restores_exactly_what_was_taken(number: int) -> None:
    limit = Limit(number, 600.0)
    for taken in {1, number // 2, number}:
        backlog = taken * limit.interval
        assert limit.available(backlog) == number - taken
        assert limit.wait(backlog, number) == pytest.approx(backlog)
        assert limit.wait(backlog, number - taken) == pytest.approx(0, abs=1e-6)


def test_fields_of_all_objects_count() -> None:
    image = {"id": "1", "sizes": [{"width": 1}, {"width": 2}], "tags": []}
    data = {"post": {"images": [image, None], "words": ["a", "b"], "author": None}, "grid": [[{"x": 1}], [{"x": 2}]]}
    assert count_fields(data) == 2 + 3 + 3 + 2 + 2
    assert count_fields({}) == count_fields(None) == 0
