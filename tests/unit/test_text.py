"""Captions, names, and the mentions and hashtags within them."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasources.accounts.common_passwords import is_common
from domain.email_addresses import checked_email
from domain.errors import Refusal
from domain.limits import CAPTION_MAX, COMMENT_MAX, HASHTAG_MAX, HASHTAGS_MAX, LOCATION_NAME_MAX
from domain.password_rules import checked_password
from domain.text import (
    checked_biography,
    checked_display_name,
    checked_line,
    checked_text,
    checked_website,
    checked_words,
    hashtags,
    mentions,
    normalize,
)
from domain.usernames import checked_username

LINE_BREAKS = ["\r\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@ana", ["ana"]),
        ("hello @ana, and @bob!", ["ana", "bob"]),
        ("@ana.", ["ana"]),
        ("@ana... really", ["ana"]),
        ("@ana.maria said", ["ana.maria"]),
        ("(@ana) [@bob] “@eve”", ["ana", "bob", "eve"]),
        ("@Ana @ANA @ana", ["ana"]),
        ("@_under_score_", ["_under_score_"]),
        ("schön,@ana", ["ana"]),
        ("谢谢@ben @benさん @ben님 ขอบคุณ@benครับ ש@ben", ["ben"]),  # scripts without spaces, and prefixes
        ("谢谢@ben", ["ben"]),
        ("@benさん", ["ben"]),
        ("@ben님", ["ben"]),
        ("ขอบคุณ@benครับ", ["ben"]),
        ("ש@ben", ["ben"]),
        ("спасибо@ana от@benж", ["ana", "ben"]),
        ("josé@example.com é@ana @ană", []),  # as of a mail address or another handle
        ("看https://example.com/@ana 看www.example.com/@bob", []),
        ("mail ana@example.com now", []),
        ("mail ana.maria@example.com now", []),
        ("@@ana", []),
        ("@", []),
        ("@.ana", []),
        ("@anä", []),
        ("@" + "a" * 30, ["a" * 30]),
        ("@" + "a" * 31, []),
        ("@" + "a" * 29 + ".b", []),
        ("@bob\n@ana", ["bob", "ana"]),
        ("photo -@ana", ["ana"]),
        ("cc/@ana @bob/@eve", ["ana", "bob", "eve"]),
        ("\uff20ana", ["ana"]),  # as Japanese keyboards write it
        ("@anax\u0323", []),  # a mark makes it another letter
        ("mail ana-@example.com ana+x@example.com a%@example.com", []),
        ("@ana@example.com", []),
        ("https://example.com/@ana HTTP://EXAMPLE.COM/@ana www.example.com/@ana", []),
        ("example.com/@ana bücher.example.co.uk/@ana?by=@bob", []),
        ("👩\u200d🚀@ana 🏳️\u200d🌈@bob", ["ana", "bob"]),
        ("@\u212aate", []),  # the Kelvin sign is no K
    ],
)
def test_mentions_are_found_in_a_text(text: str, expected: list[str]) -> None:
    assert mentions(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#sun", ["sun"]),
        ("#Sun and #SUN", ["sun"]),
        ("#sun#sea", ["sun", "sea"]),
        ("#sunset#beach#sea", ["sunset", "beach", "sea"]),
        ("abc#sunset#beach 5#sea#sky", []),  # within a word
        ("楽しい#旅行 การ#ท่องเที่ยว", ["旅行", "ท่องเที่ยว"]),
        ("#col·lecció #CO\u013fLECCI\u00d3", ["col·lecció"]),
        ("#コーヒー・ミルク #ｺｰﾋｰ･ﾐﾙｸ", ["コーヒー・ミルク"]),
        ("#東京・#大阪・ #・京都", ["東京", "大阪"]),  # a middle dot begins and ends no tag
        ("看https://example.com/#top 看www.example.com/#top", []),
        ("#sun, #sea. #sky!", ["sun", "sea", "sky"]),
        ("#2026", []),
        ("#2026trip", ["2026trip"]),
        ("#straße #été", ["straße", "été"]),
        ("#日本 #Москва #קיץ", ["日本", "москва", "קיץ"]),
        ("#हिन्दी #தமிழ் #ไทย้", ["हिन्दी", "தமிழ்", "ไทย้"]),  # vowel signs and tone marks belong to the word
        ("#snow_white", ["snow_white"]),
        ("a#b", []),
        ("##b", []),
        ("# b", []),
        ("&#39;", []),
        ("#🌞", []),
        ("#a\n#b", ["a", "b"]),
        ("#" + "a" * 100, ["a" * 100]),
        ("#" + "a" * 101, []),
        ("#\uff33\uff35\uff2e \uff03sun", ["sun"]),  # full-width
        ("#ΟΔΟΣ #οδος", ["οδος"]),
        ("#e\u0301te\u0301 #été", ["été"]),
        ("#۲۰۲۶سفر #שָׁלוֹם #서울여행 #ー", ["۲۰۲۶سفر", "שָׁלוֹם", "서울여행", "ー"]),
        ("#پی\u200cسی", ["پی\u200cسی"]),  # Persian writes words with the non-joiner
        ("#a\u200d🚀 #b👩\u200d🚀", ["a", "b"]),
        ("#️⃣sun #️⃣", []),  # the emoji of the key
        ("https://example.com/#top example.com/a#b www.example.com/?q=#c", []),
    ],
)
def test_hashtags_are_found_in_a_text(text: str, expected: list[str]) -> None:
    assert hashtags(text) == expected


# Letters, signs and marks that tokenizers get wrong, more often than by chance.
texts = st.one_of(
    st.text(max_size=200),
    st.text(
        st.sampled_from("aÀ\u017fİΣß日ーقी\u0301\u20e3\ufe0f\u200c\u200d🚀½㈱@\uff20#\uff03_.-/:%&; \n0"), max_size=60
    ),
)


@given(texts)
def test_the_mentions_of_any_text_are_well_formed(text: str) -> None:
    handles = mentions(text)
    assert len(handles) == len(set(handles))
    for handle in handles:
        assert mentions(f"@{handle}") == [handle]
        assert handle.isascii()


@given(texts)
def test_the_hashtags_of_any_text_are_well_formed(text: str) -> None:
    tags = hashtags(text)
    assert len(tags) == len(set(tags))
    for tag in tags:
        assert hashtags(f"#{tag}") == [tag]
        assert 1 <= len(tag) <= HASHTAG_MAX
        assert not any(character.isspace() for character in tag)


@given(texts)
def test_normalizing_changes_neither_mentions_nor_hashtags(text: str) -> None:
    clean = normalize(text)
    assert mentions(normalize(clean)) == mentions(clean)
    assert hashtags(unicodedata.normalize("NFD", clean)) == hashtags(clean)


@pytest.mark.parametrize(
    "unit", ["#", "@", "#a", "@a", "a.", "a-", "a.a/", "_", "www.", "http://", "#\u0301", "\u200d", "\u0301\u0323", "ﷺ"]
)
def test_a_text_of_two_hundred_thousand_characters_is_read_in_one_pass(unit: str) -> None:
    text = unit * (200_000 // len(unit))  # in quadratic time this would take hours
    clean = normalize("a" + text)
    assert len(mentions(clean)) <= 1
    assert len(hashtags(clean)) <= 1


@given(st.text(max_size=200))
def test_normalizing_twice_is_normalizing_once(text: str) -> None:
    assert normalize(normalize(text)) == normalize(text)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  hi  ", "hi"),
        ("a\x00b\x07c", "abc"),
        ("two\r\nlines", "two\nlines"),
        ("e\u0301", "é"),
        ("\u202eevil\u202c", "evil"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("half\ud83d a pair", "half a pair"),
        *((f"two{line_break}lines", "two\nlines") for line_break in LINE_BREAKS),
        ("three\n\u2029lines\r\n", "three\n\nlines"),
        ("👩\u200d🚀", "👩\u200d🚀"),  # the joiner makes one picture of two
    ],
)
def test_texts_are_normalized(text: str, clean: str) -> None:
    assert normalize(text) == clean


INVISIBLE = [
    *("\u3164", "\u2800", "\u2060", "\u200d", "\u200c", "\u034f", "\u115f\u1160", "\uffa0", "\ufffc"),
    *("\u0301", "\u0e31", "\u0903", "\ufe0f", "\u180e", "\u00ad", "\u2064", "\u061c", "\ufffe"),
    *("\U000e0041", "\U0001d159", "\U00013441", "\U0001d173"),
    " \u3164\u0301 \u2800\n",
]


@pytest.mark.parametrize("text", INVISIBLE)
def test_invisible_characters_alone_are_no_text(text: str) -> None:
    assert normalize(text) == ""
    for checked in (checked_text, checked_line, checked_words):
        assert checked(text, "text", max_length=60) == ""
        with pytest.raises(Refusal):
            checked(text, "text", max_length=60, min_length=1)
    assert checked_biography(text) is None


@pytest.mark.parametrize(
    "text", ["a", "ー", "🏳️\u200d🌈", "\u0600", "ᄀ", "7", "…", "\uf8ff", "\u3164a", "🇩🇪", "ा" + "क"]
)
def test_anything_visible_is_text(text: str) -> None:
    assert checked_text(text, "text", max_length=60, min_length=1) == text


@pytest.mark.parametrize("line_break", [*LINE_BREAKS, "\n", "\t"])
def test_a_name_is_on_one_line(line_break: str) -> None:
    assert checked_display_name(f"Ana{line_break}Maria") == "Ana Maria"


@pytest.mark.parametrize("unit", ["\u0301", "e\u0301", "\u0301\u0323", "\u200b", "\u2028", "#a", "\U0001f3fb"])
def test_a_megabyte_is_refused_unread(unit: str) -> None:
    text, took = unit * (1_000_000 // len(unit)), []
    for _ in range(3):
        for checked in (
            checked_display_name,
            checked_biography,
            checked_website,
            lambda text: checked_words(text, "text", max_length=COMMENT_MAX, min_length=1),
            lambda text: checked_line(text, "location.name", max_length=LOCATION_NAME_MAX),
            lambda text: checked_password(text, ("ana",), is_common),
            checked_username,
            checked_email,
        ):
            began = time.thread_time()
            with pytest.raises(Refusal):
                checked(text)
            took.append(time.thread_time() - began)
    assert min(took) < 0.000_1
    assert sorted(took)[len(took) // 2] < 0.002


def test_a_text_of_marks_that_compose_is_as_long_as_what_they_make() -> None:
    assert checked_text("\u03b1\u0313\u0300\u0345" * 60, "text", max_length=60) == "\u1f82" * 60


def test_length_is_counted_after_trimming() -> None:
    assert checked_text(" " + "a" * 5 + " ", "text", max_length=5, min_length=5) == "aaaaa"
    for text in ("a" * 6, "a" * 4, "      "):
        with pytest.raises(Refusal) as refused:
            checked_text(text, "text", max_length=5, min_length=5)
        assert refused.value.field == ["text"]


def test_length_is_counted_in_composed_code_points() -> None:
    assert checked_text("e\u0301" * 5, "text", max_length=5) == "é" * 5
    assert checked_text("👩\u200d🚀", "text", max_length=3) == "👩\u200d🚀"


def test_a_caption_has_so_many_hashtags_and_no_more() -> None:
    tags = " ".join(f"#tag{number}" for number in range(HASHTAGS_MAX))
    assert checked_words(tags, "caption", max_length=CAPTION_MAX) == tags
    with pytest.raises(Refusal):
        checked_words(tags + " #onemore", "caption", max_length=CAPTION_MAX)


@pytest.mark.parametrize("address", ["https://example.com", "http://example.com/a?b=c#d", "https://пример.рф/путь"])
def test_valid_websites_are_accepted(address: str) -> None:
    assert checked_website(address) == address


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "example.com", "ftp://example.com", "https://", "http://[", "https://a b.c", "https:///x"],
)
def test_invalid_websites_are_refused(address: str) -> None:
    with pytest.raises(Refusal) as refused:
        checked_website(address)
    assert refused.value.field == ["website"]


def test_emptying_a_field_of_the_profile_clears_it() -> None:
    assert checked_website(" ") is None
    assert checked_biography("") is None


def test_a_display_name_is_not_empty() -> None:
    with pytest.raises(Refusal):
        checked_display_name(" \u200b ")
