"""Operations are counted by name, and no client can make the number of names grow."""

from domain.errors import RequestErrorCode
from resolvers.transport.operation_metrics import IDLE_SECONDS, OTHER, OperationNames, gravest


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_names_beyond_the_limit_are_counted_together() -> None:
    names = OperationNames(limit=3)
    assert [names.label(name) for name in ("A", "B", "C", "D", "A")] == ["A", "B", "C", OTHER, "A"]


def test_a_name_that_is_not_used_any_more_gives_its_place_away() -> None:
    clock = Clock()
    names = OperationNames(limit=2, clock=clock)
    names.label("Old")
    clock.now = 1
    names.label("Busy")
    clock.now = IDLE_SECONDS - 1
    assert names.label("New") == OTHER
    names.label("Busy")
    clock.now = IDLE_SECONDS
    assert [names.label(name) for name in ("New", "Busy", "Old")] == ["New", "Busy", OTHER]


def test_known_names_are_shown_whatever_others_do() -> None:
    names = OperationNames(["HomeFeed"], limit=10)
    shown = {names.label(f"Random{number}") for number in range(10_000)}
    assert len(shown - {OTHER}) == 9
    assert names.label("HomeFeed") == "HomeFeed"


def test_more_known_names_than_places_leave_no_place_to_others() -> None:
    names = OperationNames([f"Known{number}" for number in range(5)], limit=3)
    assert [names.label("Other"), names.label("Known4")] == [OTHER, "Known4"]


def test_of_several_errors_the_gravest_is_counted() -> None:
    assert gravest(["BAD_USER_INPUT", "INTERNAL_SERVER_ERROR"]) == "INTERNAL_SERVER_ERROR"
    assert gravest([RequestErrorCode.CURSOR_EXPIRED, RequestErrorCode.BAD_USER_INPUT]) == "BAD_USER_INPUT"
