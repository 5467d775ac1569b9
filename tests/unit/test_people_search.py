"""By what people are found: names of any script, joined and in any order of their words."""

# ruff: noqa: RUF001  letters that look alike are what is tested

import pytest
from bson import ObjectId
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from datasources.accounts.search_terms import search_fields
from domain import folding
from domain.folding import folded_words
from domain.paging import Match, decode_cursor, encode_cursor
from domain.people_search import is_similar, terms_of
from domain.search_keys import KEY_BYTES, KEYS_MAX, POPULARITY_MAX, found_key, popularity, query_key
from domain.typos import misspelled

NAMES = st.text(max_size=60)
HANDLES = st.from_regex(r"[a-z0-9_][a-z0-9_.]{1,28}[a-z0-9_]", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "words"),
    {
        "José Ñandú": ["jose", "nandu"],
        "Jose\u0301": ["jose"],
        "İSTANBUL Iğdır": ["istanbul", "igdir"],
        "Straße Łódź Ørsted Æsir": ["strasse", "lodz", "orsted", "aesir"],
        "O'Brien-Smith D\u2019Angelo": ["obrien", "smith", "dangelo"],
        "𝓑𝓸𝓫 Ｊｏｎｅｓ": ["bob", "jones"],
        "Ёлка Йод": ["елка", "иод"],
        "Νίκος": ["νικοσ"],
        "مُحَمَّد": ["محمد"],
        "山田太郎": ["山", "田", "太", "郎"],
        "ガガ": ["ガ", "ガ"],
        "김민수": ["김", "민", "수"],
        "अनिता": ["अनिता"],
        "a\u200db \u200bc": ["ab", "c"],
        "bob🌸jones 🌸": ["bob", "jones"],
        "🌸": [],
        "": [],
    }.items(),
)
def test_folded_words(text: str, words: list[str]) -> None:
    assert folded_words(text) == words


@pytest.mark.parametrize(
    "typed", ["bob", "Bob J", "bobjones", "BOB JONES", "jones", "Jones, Bob", "jonesbob", "@Bob.J", "böb"]
)
def test_a_name_is_found_from_each_word_on_joined_or_not(typed: str) -> None:
    assert found_key(terms_of("x_1", "Bob Jones").keys, query_key(typed)) is not None


@pytest.mark.parametrize("typed", ["bob jones", "jones", "BobJones", "bob.jones", "b"])
def test_a_handle_is_found_by_its_words(typed: str) -> None:
    assert found_key(terms_of("bob_jones", "Somebody").keys, query_key(typed)) is not None


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("山田太郎", "太郎"),
        ("김민수", "민수"),
        ("Ana María del Carmen García López", "lopez ana"),
        ("Ana María García", "ana garcia"),
        ("สมชาย ใจดี", "ใจดี"),
    ],
)
def test_parts_of_a_name_are_found_in_any_script(name: str, typed: str) -> None:
    assert found_key(terms_of("x", name).keys, query_key(typed)) is not None


@pytest.mark.parametrize("typed", ["obj", "ones", "bobx", "joness"])
def test_what_no_word_begins_with_is_not_found(typed: str) -> None:
    assert found_key(terms_of("x_1", "Bob Jones").keys, query_key(typed)) is None


@pytest.mark.parametrize("typed", ["@", "...", "🌸", "", "\u0301", "\U0010ffff"])
def test_nothing_is_looked_for_by_what_has_no_letter(typed: str) -> None:
    assert query_key(typed) == ""


@settings(deadline=None)  # a busy machine is no failure
@given(HANDLES, NAMES)
def test_terms_are_bounded_and_the_handle_is_found(handle: str, name: str) -> None:
    terms = terms_of(handle, name)
    assert 1 <= len(terms.keys) <= KEYS_MAX
    assert len(set(terms.keys)) == len(terms.keys)
    assert all(len(key.encode()) <= KEY_BYTES for key in terms.keys)
    assert terms.keys[0] == query_key(handle)
    assert len(terms.signatures) <= 4 * 6
    for key in (query_key(handle), query_key(name)):
        assert not key or found_key(terms.keys, key) is not None
    for key in terms.keys:
        match = Match(2, 30, key, ObjectId())
        assert decode_cursor(encode_cursor(match)) == match


@settings(deadline=None)  # a busy machine is no failure
@given(NAMES)
def test_folding_again_changes_nothing(name: str) -> None:
    words = folded_words(name)
    assert folded_words(" ".join(words)) == words


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(st.characters(max_codepoint=127)))
@example("O'Brien-Smith '90s rock'n'roll _x_ ''")
def test_plain_names_have_the_words_that_any_name_has(name: str) -> None:
    assert folded_words(name) == folding._folded_words(name)


@settings(deadline=None)  # a busy machine is no failure
@given(HANDLES, st.data())
def test_a_handle_with_a_letter_left_out_is_similar(handle: str, data: st.DataObject) -> None:
    key = query_key(handle)
    assume(key)  # a handle may have no letter and no digit
    at = data.draw(st.integers(0, len(key) - 1))
    typed = key[:at] + key[at + 1 :]
    if len(typed) >= 4:
        assert is_similar(handle, "", typed)
        assert misspelled(typed) & set(terms_of(handle, "").signatures)


def test_popularity_doubles_and_has_an_end() -> None:
    assert [popularity(count) for count in (-1, 0, 1, 2, 3, 4, 1_000, 1_024)] == [0, 0, 1, 2, 2, 3, 10, 11]
    assert popularity(2**40) == POPULARITY_MAX


def test_only_active_accounts_that_want_to_be_found_are_listed() -> None:
    account = {"state": "ACTIVE", "username": "bob", "display_name": "Bob Jones", "follower_count": 5}
    fields = search_fields(account)
    assert (fields["n0"], fields["n1"], fields["n2"], fields["popularity"]) == ("bob", "bobjones", "jonesbob", 3)
    for hidden in ({"state": "SUSPENDED"}, {"state": "DEACTIVATED"}, {"preferences": {"is_in_search": False}}):
        assert search_fields(account | hidden) == {key: value for key, value in fields.items() if key != "popularity"}
    assert search_fields(account | {"state": "DELETED"}) == {}
