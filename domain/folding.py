"""Names as people type them into a search: letters and digits alone, without case, accents and widths."""

import re
import unicodedata

import regex

from domain.text import normalize

# Accents and vowel signs that people leave out. Those of other scripts are letters of their own, as are the two marks
# that change the sound of a kana.
_ACCENT = regex.compile(
    r"[[\p{Mn}&&[\p{Script=Inherited}\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\p{Script=Hebrew}"
    r"\p{Script=Arabic}]]--[\u3099\u309a]]",
    regex.VERSION1,
)
_LETTERS = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ŧ": "t", "\u0131": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
_APOSTROPHE = regex.compile(r"(?<=\p{L})['\u2018\u2019\u02bc\u05f3](?=\p{L})")
_UNSHOWN = regex.compile(r"\p{Default_Ignorable_Code_Point}")
_WORD = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}\p{M}]*+")
# The same of printable ASCII, which most names are, without the tables of Unicode.
_PLAIN_APOSTROPHE = re.compile(r"(?<=[a-z])'(?=[a-z])")
_PLAIN_WORD = re.compile(r"[a-z0-9]+")
# Scripts whose names are written without spaces: each letter, with its marks, is a word.
_UNSPACED = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}][\p{M}\u30fc]*+"
    r"|[^\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]++"
)


def folded_words(text: str) -> list[str]:
    """The words of a text in order, folded: `José O'Brien-Smith` has `jose`, `obrien` and `smith`.

    Texts that differ only in case, accents, width or style of letters have the same words. In Chinese, Japanese and
    Korean each letter is a word, because names are written without spaces.
    """
    if text.isascii() and text.isprintable():
        return _PLAIN_WORD.findall(_PLAIN_APOSTROPHE.sub("", text.lower()))
    return _folded_words(text)


def _folded_words(text: str) -> list[str]:
    text = unicodedata.normalize("NFKD", normalize(text).casefold())
    text = _UNSHOWN.sub("", _ACCENT.sub("", text)).casefold().translate(_LETTERS)
    text = unicodedata.normalize("NFC", _APOSTROPHE.sub("", text))
    return [part for word in _WORD.findall(text) for part in _UNSPACED.findall(word)]
