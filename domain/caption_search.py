"""By which words posts are found: those of their captions, as they are written and by their stems.

Case, accents and the style of letters make no difference, as among names (`domain/folding.py`). A **stem** is what the
forms of a word have in common in one language: `beaches` has `beach`. A word of another script than the caption's
language has the stem of that script's most common language. In scripts without spaces each letter and each pair of
neighbours is a term, and a search asks for all pairs.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import islice, pairwise

import regex
import snowballstemmer

from domain.folding import folded_words
from domain.search_keys import cut_key
from domain.text import normalize

TERMS_MAX = 600  # of a caption, the first ones: each is an entry of an index
WORD_MAX = 48  # letters of a word that its stem is made of
DEFAULT_LANGUAGE = "en"
# Languages that have stems, by their scripts, with the name of the algorithm. The first one is for words in that script
# of captions in a language of another.
_ALGORITHMS: Mapping[str, Mapping[str, str]] = {
    r"\p{Latin}": {
        DEFAULT_LANGUAGE: "english",
        "ca": "catalan",
        "cs": "czech",
        "da": "danish",
        "de": "german",
        "eo": "esperanto",
        "es": "spanish",
        "et": "estonian",
        "eu": "basque",
        "fi": "finnish",
        "fr": "french",
        "ga": "irish",
        "hu": "hungarian",
        "id": "indonesian",
        "it": "italian",
        "lt": "lithuanian",
        "nb": "norwegian",
        "nl": "dutch",
        "nn": "norwegian",
        "no": "norwegian",
        "pl": "polish",
        "pt": "portuguese",
        "ro": "romanian",
        "sv": "swedish",
        "tr": "turkish",
    },
    r"\p{Cyrillic}": {"ru": "russian", "sr": "serbian"},
    r"\p{Greek}": {"el": "greek"},
    r"\p{Arabic}": {"ar": "arabic", "fa": "persian"},
    r"\p{Devanagari}": {"hi": "hindi", "ne": "nepali"},
    r"\p{Armenian}": {"hy": "armenian"},
    r"\p{Tamil}": {"ta": "tamil"},
}
_LANGUAGES = frozenset(language for languages in _ALGORITHMS.values() for language in languages)
_IN_SCRIPT = {script: regex.compile(script) for script in _ALGORITHMS}
_UNSHOWN = regex.compile(r"\p{Default_Ignorable_Code_Point}")
_APOSTROPHES = regex.compile(r"['\u2019\u02bc]")
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
_RUN = regex.compile(
    rf"(?P<unspaced>[[{_UNSPACED}]&&[\p{{L}}\p{{N}}]][{_UNSPACED}\p{{M}}\u30fc]*+)"
    rf"|(?P<word>[[\p{{L}}\p{{N}}]--[{_UNSPACED}]][[\p{{L}}\p{{N}}\p{{M}}'\u2019\u02bc]--[{_UNSPACED}]]*+)",
    regex.VERSION1,
)
_LETTER = regex.compile(r"[\p{L}\p{N}][\p{M}\u30fc]*+")


def language_of(tag: str | None) -> str:
    """The language by which captions of an account, or its searches, have stems; `tag` is that of its mails."""
    language = (tag or "").partition("-")[0].lower()
    return language if language in _LANGUAGES else DEFAULT_LANGUAGE


def caption_terms(caption: str, language: str) -> list[str]:
    """The terms of a caption, each once, at most `TERMS_MAX`, in order; letters of scripts without spaces come last."""
    terms = (term for alternatives in _terms(caption, language, for_query=False) for term in alternatives)
    return list(islice(dict.fromkeys(terms), TERMS_MAX))


def query_terms(text: str, language: str) -> list[tuple[str, ...]]:
    """What a caption must have that is looked for by this text: of each of these tuples a term."""
    return list(dict.fromkeys(_terms(text, language, for_query=True)))


def _terms(text: str, language: str, *, for_query: bool) -> Iterator[tuple[str, ...]]:
    letters = list[str]()  # come last: a long caption without spaces is found by its pairs to its end
    text = unicodedata.normalize("NFKC", _UNSHOWN.sub("", normalize(text))).casefold()
    for run in _RUN.finditer(text):
        if run["unspaced"]:
            run_letters: Sequence[str] = _LETTER.findall("".join(folded_words(run["unspaced"])))
            yield from ((one + other,) for one, other in pairwise(run_letters))
            if len(run_letters) == 1 or not for_query:
                letters += run_letters
            continue
        parts = [part for part in _APOSTROPHES.split(run["word"]) if part]
        for part in parts:
            yield from _of_word(part, language)
        if len(parts) > 1 and not for_query:  # `obrien` finds O'Brien
            yield from _of_word("".join(parts), language)
    yield from ((letter,) for letter in letters)


def _of_word(word: str, language: str) -> Iterator[tuple[str, ...]]:
    folded, stem = cut_key("".join(folded_words(word))), _stem(word[:WORD_MAX], language)
    if folded:
        yield (folded, stem) if stem not in ("", folded) else (folded,)


@lru_cache(maxsize=20_000)
def _stem(word: str, language: str) -> str:
    """The folded stem of a word; empty for a script whose languages have none."""
    for script, languages in _ALGORITHMS.items():
        if _IN_SCRIPT[script].match(word):
            algorithm = languages.get(language) or next(iter(languages.values()))
            if algorithm not in snowballstemmer.algorithms():
                return ""
            return cut_key("".join(folded_words(_stemmer(algorithm).stemWord(word))))
    return ""


@cache
def _stemmer(algorithm: str) -> "snowballstemmer.stemmer":
    return snowballstemmer.stemmer(algorithm)
