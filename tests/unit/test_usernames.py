"""Handles and logins as people type them, and handles reserved for the staff."""

import pytest

from domain.email_addresses import checked_email, typed_login
from domain.errors import Refusal, UserErrorCode
from domain.usernames import checked_username, is_reserved


@pytest.mark.parametrize("name", ["ana", "a_b", "a.b", "a" * 30, "___", "1.2", "Ana.Maria_7"])
def test_valid_usernames_are_accepted_as_given(name: str) -> None:
    assert checked_username(name) == name


@pytest.mark.parametrize(
    "typed", [" ana", "ana ", "@ana", " @ana\n", "\uff20ana", "\u2068@ana\u2069", "ana\u200b", "@ ana"]
)
def test_signs_around_a_typed_handle_are_removed(typed: str) -> None:
    assert checked_username(typed) == "ana"
    assert typed_login(typed) == "ana"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "a" * 31,
        ".ana",
        "ana.",
        "a..b",
        "a b",
        "ana!",
        "aná",
        "@@ana",
        "a\u212ab",
        "\u017fam",
        "\u0131an",
    ],
)
def test_invalid_usernames_are_refused(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        checked_username(name)
    assert (refused.value.code, refused.value.field) == (UserErrorCode.INVALID_INPUT, ["username"])


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        (" ana@example.com ", "ana@example.com"),
        ("Ana@EXAMPLE.com", "Ana@example.com"),
        ("re\u0301ne\u0301@example.com", "réné@example.com"),
        ("ana@xn--exmple-cua.com", "ana@exämple.com"),
    ],
)
def test_an_address_is_the_same_at_login_as_at_registration(typed: str, address: str) -> None:
    assert checked_email(typed) == typed_login(typed) == address


@pytest.mark.parametrize("address", ["", "nowhere", "@example.com", "ana@", "a@b@c", "ana@example.com, x@example.com"])
def test_an_invalid_address_is_refused(address: str) -> None:
    with pytest.raises(Refusal) as refused:
        checked_email(address)
    assert refused.value.field == ["email"]
    typed_login(address)  # it is nobody's, and raises nothing


@pytest.mark.parametrize(
    "name",
    [
        "admin",
        "Support",
        "root",
        "security",
        "postmaster",
        "photogram",
        "_admin_",
        "a.d.m.i.n",
        "adm1n",
        "supp0rt",
        "support24",
        "photogram_team",
        "official.photogram",
        "Ph0togram_2026",
    ],
)
def test_staff_handles_are_reserved_however_they_are_written(name: str) -> None:
    assert is_reserved(name)


@pytest.mark.parametrize(
    "name", ["ana", "admiral", "photogrammer", "roots", "supporter", "mod99", "user1_123456", "1.2"]
)
def test_other_handles_are_not_reserved(name: str) -> None:
    assert not is_reserved(name)


def test_an_installation_reserves_more() -> None:
    assert is_reserved("acme_corp", ["AcmeCorp"])
    assert is_reserved("photogram.acmecorp", ["acme.corp"])
    assert not is_reserved("acme_corp")
