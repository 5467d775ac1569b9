"""By what people are found: their handle, and their name from each of its words on; and the order of what is found.

An account has a few **keys**, words written in one. Who types the beginning of a key finds the account: `Bob Jones` has
the keys `bobjones` and `jonesbob`, so `bob`, `bob jo`, `bobjones`, `jones` and `jones bob` find it. For typing errors
it has the signatures of its handle, its name and the words of its name (`domain/typos.py`).
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from domain.folding import folded_words
from domain.typos import is_one_error, signatures

KEYS_MAX = 6  # of an account: each is an entry of an index
STARTS_MAX = 4  # words from which on a name is found: of more than four the first three and the last
KEY_BYTES = 48  # of the beginning of a key that is stored: a cursor holds it
POPULARITY_MAX = 30


class Group(IntEnum):
    """The parts of a result, in their order."""

    EXACT = 0  # whose handle it is
    KNOWN = 1  # whom the viewer follows, or who follow the viewer
    NAMED = 2  # everybody else of that name
    SIMILAR = 3  # whose name it is but for a typing error


class Terms(NamedTuple):
    """By what an account is found."""

    keys: tuple[str, ...]
    signatures: tuple[int, ...]


@lru_cache(maxsize=4096)
def terms_of(username: str, display_name: str) -> Terms:
    """By what an account with this handle and this name is found. The first key is that of the handle."""
    handle, name = _words(username), _words(display_name)
    found = sorted({each for word in _spelled(handle, name) for each in signatures(word)})
    return Terms(tuple(_without_beginnings(_keys(handle, name)))[:KEYS_MAX], tuple(found))


def query_key(text: str) -> str:
    """What keys begin with that are looked for by this text; empty if there is no letter or digit in it."""
    return _cut("".join(_words(text)))


def found_key(terms: Terms, key: str) -> str | None:
    """The first in order of an account's keys that begins with `key`; None if none does."""
    return min((each for each in terms.keys if each.startswith(key)), default=None)


def is_similar(username: str, display_name: str, key: str) -> bool:
    """Whether the handle, the name or a word of it is `key`, but for one typing error."""
    handle, name = _words(username), _words(display_name)
    return any(is_one_error(word, key) for word in _spelled(handle, name))


def popularity(follower_count: int) -> int:
    """How an account is ordered by its followers: one more each time that their number doubles."""
    return min(POPULARITY_MAX, max(0, follower_count).bit_length())


def _words(text: str) -> list[str]:
    return folded_words(text.replace("_", " "))


def _spelled(handle: Sequence[str], name: Sequence[str]) -> set[str]:
    """The words that are found in spite of a typing error."""
    return {_cut(word) for word in ("".join(handle), "".join(name), *(name[start] for start in _starts(name)))}


def _keys(handle: Sequence[str], name: Sequence[str]) -> Iterator[str]:
    yield _cut("".join(handle))
    yield from _from_each_word(name)
    if len(name) > 2 and len(name[0]) > 1:  # not where each letter is a word
        yield _cut(name[0] + name[-1])
    yield from _from_each_word(handle)


def _from_each_word(words: Sequence[str]) -> Iterator[str]:
    for start in _starts(words):
        yield _cut("".join((*words[start:], *words[:start])))


def _starts(words: Sequence[str]) -> Sequence[int]:
    count = len(words)
    return range(count) if count <= STARTS_MAX else (*range(STARTS_MAX - 1), count - 1)


def _without_beginnings(keys: Iterator[str]) -> list[str]:
    """The first key, and of the rest each once that no other begins with: the other is found by the same text."""
    given = list(dict.fromkeys(keys))
    rest = (key for key in given[1:] if not any(other != key and other.startswith(key) for other in given))
    return [*given[:1], *rest]


def _cut(key: str) -> str:
    """As much of a key as `KEY_BYTES` hold, in whole letters."""
    encoded = key.encode()
    return key if len(encoded) <= KEY_BYTES else encoded[:KEY_BYTES].decode(errors="ignore")
