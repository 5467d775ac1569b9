"""Refusals and request errors: codes, fields, and what a client may do about them."""

import pytest

from domain.errors import (
    BadInput,
    CursorExpired,
    NotFound,
    PhotogramError,
    Refusal,
    RequestError,
    RequestErrorCode,
    Unauthenticated,
    UserErrorCode,
)


def test_a_refusal_may_be_tried_again_only_if_it_says_when() -> None:
    later = Refusal(UserErrorCode.BUSY, "Later.", retry_after_ms=500)
    never = Refusal(UserErrorCode.INVALID_INPUT, "No.", field=["a", "b"])
    assert (later.retryable, later.field) == (True, None)
    assert (never.retryable, never.field) == (False, ["a", "b"])


def test_not_found_is_the_same_for_missing_and_hidden() -> None:
    assert NotFound("post").code is UserErrorCode.NOT_FOUND
    assert str(NotFound("post")) == str(NotFound("post", field=["postId"])) == "There is no such post."


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unauthenticated(), RequestErrorCode.UNAUTHENTICATED),
        (BadInput("?"), RequestErrorCode.BAD_USER_INPUT),
        (CursorExpired(), RequestErrorCode.CURSOR_EXPIRED),
    ],
)
def test_request_errors_have_a_code_of_the_closed_set(error: RequestError, code: RequestErrorCode) -> None:
    assert error.code is code


@pytest.mark.parametrize("codes", [UserErrorCode, RequestErrorCode])
def test_codes_are_their_names(codes: type[UserErrorCode]) -> None:
    assert all(code.value == code.name for code in codes)


@pytest.mark.parametrize("error", [NotFound("post"), Unauthenticated(), BadInput("?")])
def test_all_deliberate_errors_have_one_base_class(error: Exception) -> None:
    assert isinstance(error, PhotogramError)
