"""By which words captions are found: in any form, any script, with and without accents."""

# ruff: noqa: RUF001  letters that look alike are what is tested

from itertools import pairwise

import pytest
import snowballstemmer
from hypothesis import given
from hypothesis import strategies as st

from domain import caption_search
from domain.caption_search import TERMS_MAX, caption_terms, language_of, query_terms
from domain.search_keys import KEY_BYTES
from domain.text import normalize


def is_found(caption: str, text: str, language: str, viewers: str | None = None) -> bool:
    terms, words = set(caption_terms(caption, language)), query_terms(text, viewers or language)
    return bool(words) and all(terms.intersection(word) for word in words)


@pytest.mark.parametrize(
    ("caption", "text", "language"),
    [
        ("Sunny beaches", "beach", "en"),
        ("A sunny beach", "BEACHES, sunny!", "en"),
        ("We were running", "run", "en"),
        ("Montañas y playas", "montana playa", "es"),
        ("Les montagnes de l’été", "été montagne", "fr"),
        ("Les montagnes de l'été", "l'ete", "fr"),
        ("Schöne Straßen", "strasse schon", "de"),
        ("Piękne góry", "pieknych gór", "pl"),
        ("Красивые закаты", "закат", "en"),
        ("Όμορφες παραλίες", "ομορφη", "el"),
        ("東京タワーの夜", "東京", "en"),
        ("東京タワーの夜", "タワー", "ja"),
        ("東京タワーの夜", "夜", "en"),
        ("서울에서 본 하늘", "서울", "ko"),
        ("สวัสดีครับ", "สวัสดี", "th"),
        ("東京tower", "tower 東京", "en"),
        ("O'Brien's pub", "obrien", "en"),
        ("O'Brien's pub", "brien pub", "en"),
        ("#golden_hour at @ana", "golden hour ana", "en"),
        ("𝓑𝓮𝓪𝓬𝓱 Ｂｅａｃｈ 2026", "beach 2026", "en"),
    ],
)
def test_a_caption_is_found(caption: str, text: str, language: str) -> None:
    assert is_found(caption, text, language_of(language))


@pytest.mark.parametrize(
    ("caption", "text"),
    [
        ("Sunny beaches", "sunny mountains"),
        ("Sunny beaches", "bea"),
        ("東京タワー", "京東"),
        ("東京。大阪", "京大"),
        ("Sunny beaches", "..."),
        ("", "beach"),
        ("🌸", "🌸"),
    ],
)
def test_a_caption_is_not_found(caption: str, text: str) -> None:
    assert not is_found(caption, text, "en")


def test_a_word_as_it_is_written_is_found_in_any_language() -> None:
    for language in ("en", "es", "ru"):
        for viewers in ("de", "fr"):
            assert is_found("Playas bonitas", "playas", language, viewers)
    assert is_found("casa", "casas", "es", "es")
    assert not is_found("casa", "case", "es", "en")


@pytest.mark.parametrize(
    ("tag", "language"), [("de-AT", "de"), ("pt-br", "pt"), ("ja", "en"), (None, "en"), ("", "en")]
)
def test_the_language_of_a_tag(tag: str | None, language: str) -> None:
    assert language_of(tag) == language


def test_terms_are_bounded() -> None:
    caption = " ".join(f"word{number}" for number in range(2_000))
    assert len(caption_terms(caption, "en")) == TERMS_MAX
    assert caption_terms("beach Beach BEACH", "en") == ["beach"]
    (term, *_) = caption_terms("x" * 2_200, "en")
    assert len(term) == KEY_BYTES


@given(st.text(max_size=200), st.sampled_from(["en", "de", "ru", "ar"]))
def test_a_caption_is_found_by_itself_and_by_each_of_its_words(caption: str, language: str) -> None:
    terms = caption_terms(caption, language)
    assert all(term and len(term.encode()) <= KEY_BYTES for term in terms)
    for text in (caption, *normalize(caption).split()):
        words = query_terms(text, language)
        assert all(set(word) & set(terms) for word in words)


def test_every_language_has_its_algorithm() -> None:
    used = {algorithm for languages in caption_search._ALGORITHMS.values() for algorithm in languages.values()}
    assert used <= set(snowballstemmer.algorithms())
    for algorithm in used:
        assert caption_search._stemmer(algorithm).stemWord("a")


def test_the_end_of_a_long_caption_without_spaces_is_found_by_its_pairs() -> None:
    letters = [chr(0x4E00 + number) for number in range(500)]
    terms = caption_terms("".join(letters), "en")
    assert terms[:499] == [one + other for one, other in pairwise(letters)]
    assert terms[499:] == letters[:101]
