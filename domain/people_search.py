"""By what people are found: their handle, and their name from each of its words on; and the order of what is found.

An account has a few keys (`domain/search_keys.py`). For typing errors it has the signatures of its handle, its name and
the words of its name (`domain/typos.py`).
"""

from collections.abc import Iterator, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from domain.search_keys import KEYS_MAX, cut_key, from_each_word, starts, without_beginnings, words_of
from domain.typos import is_one_error, signatures

STARTS_MAX = 4  # words from which on a name is found: of more than four the first three and the last


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
def keys_of(username: str, display_name: str) -> Sequence[str]:
    """The keys of an account with this handle and this name. The first is that of the handle."""
    return without_beginnings(_keys(words_of(username), words_of(display_name)))[:KEYS_MAX]


def terms_of(username: str, display_name: str) -> Terms:
    """By what an account with this handle and this name is found."""
    words = _spelled(username, display_name)
    found = sorted({each for word in words for each in signatures(word)})
    return Terms(tuple(keys_of(username, display_name)), tuple(found))


def is_similar(username: str, display_name: str, key: str) -> bool:
    """Whether the handle, the name or a word of it is `key`, but for one typing error."""
    return any(is_one_error(word, key) for word in _spelled(username, display_name))


@lru_cache(maxsize=4096)
def _spelled(username: str, display_name: str) -> frozenset[str]:
    """The words that are found in spite of a typing error."""
    handle, name = words_of(username), words_of(display_name)
    words = ("".join(handle), "".join(name), *(name[start] for start in starts(name, STARTS_MAX)))
    return frozenset(cut_key(word) for word in words)


def _keys(handle: Sequence[str], name: Sequence[str]) -> Iterator[str]:
    yield cut_key("".join(handle))
    yield from from_each_word(name, STARTS_MAX)
    if len(name) > 2 and len(name[0]) > 1:  # not where each letter is a word
        yield cut_key(name[0] + name[-1])
    yield from from_each_word(handle, STARTS_MAX)
