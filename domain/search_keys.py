"""Keys by which names are found: who types the beginning of a key finds what has it.

A **key** is a name from one of its words on, folded, the words joined: `Bob Jones` has the keys `bobjones` and
`jonesbob`, so `bob`, `bob jo`, `bobjones`, `jones` and `jones bob` find it.
"""

from collections.abc import Iterable, Iterator, Sequence

from domain.folding import folded_words

KEYS_MAX = 6  # of an account, a hashtag or a place: each is an entry of an index
KEY_BYTES = 48  # of the beginning of a key that is stored: a cursor holds it
POPULARITY_MAX = 30
_LETTER_BYTES = 4  # at most


def words_of(text: str) -> list[str]:
    """The folded words of a name or a handle."""
    return folded_words(text.replace("_", " "))


def query_key(text: str) -> str:
    """What keys begin with that are looked for by this text; empty if there is no letter or digit in it."""
    return cut_key("".join(words_of(text)))


def found_key(keys: Sequence[str], key: str) -> str | None:
    """The first in order of these keys that begins with `key`; None if none does."""
    return min((each for each in keys if each.startswith(key)), default=None)


def popularity(count: int) -> int:
    """The order of what is found, by its followers or posts: one more each time that their number doubles."""
    return min(POPULARITY_MAX, max(0, count).bit_length())


def starts(words: Sequence[str], limit: int) -> Sequence[int]:
    """From which words on a name is found: of more than `limit` the first ones and the last."""
    count = len(words)
    return range(count) if count <= limit else (*range(limit - 1), count - 1)


def from_each_word(words: Sequence[str], limit: int) -> Iterator[str]:
    """The keys of a name, from up to `limit` of its words on."""
    for start in starts(words, limit):
        yield cut_key("".join((*words[start:], *words[:start])))


def without_beginnings(keys: Iterable[str]) -> list[str]:
    """The first key, and of the rest each once that no other begins with: the other is found by the same text."""
    given = list(dict.fromkeys(keys))
    rest = (key for key in given[1:] if not any(other != key and other.startswith(key) for other in given))
    return [*given[:1], *rest]


def cut_key(key: str) -> str:
    """As much of a key as `KEY_BYTES` hold, in whole letters."""
    if len(key) * _LETTER_BYTES <= KEY_BYTES:
        return key
    encoded = key.encode()
    return key if len(encoded) <= KEY_BYTES else encoded[:KEY_BYTES].decode(errors="ignore")
