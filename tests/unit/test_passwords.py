"""Passwords: the same from every keyboard, and refused if a guesser would try them first."""

import gzip
import unicodedata
from importlib import resources

import pytest

from datasources.accounts.common_passwords import FILE, is_common
from datasources.accounts.password_hashing import Passwords
from deploy import make_common_passwords
from domain.errors import Refusal, UserErrorCode
from domain.password_rules import checked_password, prepared_password

NAMES = ("ana.maria", "anamaria@example.com", "anamaria")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "a" * 9 + "bcd",
        "ключ от квартиры",
        "x1y2" * 32,
        "x2847562918374",
        "kitchen-7391-2046",
        "Zażółć gęślą jaźń",
    ],
)
def test_good_passwords_are_accepted(password: str) -> None:
    assert checked_password(password, NAMES, is_common) == password


@pytest.mark.parametrize(
    "password",
    [
        "",
        "elevenchars",
        "abcd" * 33,
        "aaaaaaaaaaaaaa",
        "abcabcabcabc",
        "Password1234",
        "Password12345",
        "iloveyou1234",
        " iloveyou1234",
        "PASSWORD12345 ",
        "ILOVEYOU!!!!",
        "passwordpassword",
        "dragondragondragon",
        "123456789012",
        "Photogram2026",
        "Ana.Maria.2026",
        "anamaria@example.com",
        "anamaria1990",
    ],
)
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(Refusal) as refused:
        checked_password(password, NAMES, is_common)
    assert (refused.value.code, refused.value.field) == (UserErrorCode.WEAK_PASSWORD, ["password"])


@pytest.mark.parametrize("password", ["Maria_198712026", "MARIA_19871-2026", "maria_1987112345678"])
def test_a_handle_that_ends_with_digits_may_have_no_more_of_them(password: str) -> None:
    with pytest.raises(Refusal):
        checked_password(password, ("maria_19871",), is_common)


def test_a_password_is_the_same_on_every_keyboard() -> None:
    composed = "Zażółć gęślą jaźń"
    decomposed = unicodedata.normalize("NFD", composed).replace(" ", "\u00a0")
    assert prepared_password(decomposed) == composed
    assert prepared_password("\u3000".join("Abc")) == "A b c"
    assert prepared_password("\uff21bc") == "\uff21bc"  # compatibility forms and case stay: it is a password
    assert prepared_password("half\ud83d") == "half"
    assert prepared_password("a" * 1_000) == ""


async def test_a_hash_of_either_form_takes_both() -> None:
    passwords = Passwords()
    hashed = await passwords.hash("re\u0301sume\u0301 de la nuit")
    assert await passwords.verify(hashed, "résumé de la nuit")
    assert await passwords.verify(hashed, "résumé\u00a0de la nuit")
    assert not await passwords.verify(hashed, "resume de la nuit")
    assert not await passwords.verify(hashed, "x" * 1_000_000)


def test_the_commonest_and_the_long_passwords_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_common_passwords, "MOST_COMMON", 3)
    assert make_common_passwords.select(["b", "B", "A", "short", "long enough: e\u0301", ""]) == [
        "a",
        "b",
        "long enough: é",
    ]


def test_the_list_is_exact() -> None:
    words = gzip.decompress((resources.files("datasources.accounts") / FILE).read_bytes()).decode().split("\n")
    assert words.pop() == ""
    assert len(words) > 100_000
    assert words == sorted({unicodedata.normalize("NFC", word.casefold()) for word in words}, key=str.encode)
    for word in (words[0], words[-1], *words[::101]):
        assert is_common(word)
        assert not is_common(f"{word}\u00ac")
        assert not is_common(f"\n{word}")
    assert not is_common("")
