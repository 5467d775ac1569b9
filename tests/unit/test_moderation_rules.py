"""What a decision may change of what holds already: the whole table."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import Refusal, UserErrorCode
from domain.moderation import ACTIONS, MADE_BY, STANDINGS, check_transition
from domain.records.moderation import ModerationAction, ReportTargetType
from domain.records.users import AccountStanding

NOW = datetime(2026, 11, 29, tzinfo=UTC)
SOON, LATER = NOW + timedelta(days=3), NOW + timedelta(days=30)
LIMIT, SUSPEND, BAN = ModerationAction.LIMIT, ModerationAction.SUSPEND, ModerationAction.BAN
HIDE, REMOVE, RESTORE = ModerationAction.HIDE, ModerationAction.REMOVE, ModerationAction.RESTORE
ENDS = {LIMIT: SOON, SUSPEND: SOON}
# By what holds: the decisions that are refused, because they would make it weaker.
REFUSED_OF_ACCOUNTS = {None: set(), LIMIT: set(), SUSPEND: {LIMIT}, BAN: {LIMIT, SUSPEND}}
REFUSED_OF_CONTENT = {None: set(), HIDE: set(), REMOVE: {HIDE}}


def refused(
    action: ModerationAction,
    held: ModerationAction | None,
    *,
    until: datetime | None = None,
    held_until: datetime | None = None,
) -> list[str] | None:
    """The field at fault; None if the decision may be made."""
    try:
        check_transition(action, until, held, held_until, NOW)
    except Refusal as refusal:
        return refusal.field if refusal.code is UserErrorCode.STRONGER_DECISION else []
    return None


def test_the_tables_have_all_that_can_hold() -> None:
    assert set(REFUSED_OF_ACCOUNTS) == {None, *MADE_BY.values()}
    assert set(MADE_BY) == set(AccountStanding) - {AccountStanding.GOOD}
    assert all(STANDINGS[action] is standing for standing, action in MADE_BY.items())


@pytest.mark.parametrize("action", sorted(ACTIONS[ReportTargetType.USER]))
@pytest.mark.parametrize("held", REFUSED_OF_ACCOUNTS)
def test_no_decision_weakens_a_standing_but_a_restoration(
    held: ModerationAction | None, action: ModerationAction
) -> None:
    held_until = None if held is None else ENDS.get(held)
    found = refused(action, held, until=ENDS.get(action), held_until=held_until)
    assert found == (["action"] if action in REFUSED_OF_ACCOUNTS[held] else None)


@pytest.mark.parametrize("action", sorted(ACTIONS[ReportTargetType.POST] | ACTIONS[ReportTargetType.COMMENT]))
@pytest.mark.parametrize("held", REFUSED_OF_CONTENT)
def test_no_decision_shows_again_what_was_removed_but_a_restoration(
    held: ModerationAction | None, action: ModerationAction
) -> None:
    assert refused(action, held) == (["action"] if action in REFUSED_OF_CONTENT[held] else None)


@pytest.mark.parametrize("action", [LIMIT, SUSPEND])
def test_a_standing_is_prolonged_and_not_shortened(action: ModerationAction) -> None:
    assert refused(action, action, until=LATER, held_until=SOON) is None
    assert refused(action, action, until=SOON, held_until=SOON) is None
    assert refused(action, action, until=SOON, held_until=LATER) == ["until"]
    assert refused(action, action, until=SOON, held_until=None) == ["until"]


def test_a_standing_whose_time_is_over_holds_nothing_up() -> None:
    assert refused(LIMIT, SUSPEND, until=SOON, held_until=NOW) is None
    assert refused(SUSPEND, SUSPEND, until=SOON, held_until=NOW) is None
    assert refused(RESTORE, BAN) is None
