"""Finding words that are one typing error away: a letter too much, too little or wrong, or two that changed places.

A word is cut into four parts. One error leaves three of them as they were, so any three of them are a signature, with
the length of the word. Of two words that are one error apart, one has a signature among those that `misspelled` gives
for the other. Words with a signature in common need not be alike: `is_one_error` decides.
"""

from collections.abc import Iterator
from itertools import pairwise
from zlib import crc32

SHORTEST = 4  # letters of a word that is found in spite of an error: shorter ones are alike too often
_PARTS = 4  # fewer are fewer signatures, and more words that have one in common
_BITS = 0x7FFFFFFF  # a signature fits into a signed number of 32 bits


def signatures(word: str) -> set[int]:
    """The four signatures by which a word is found; none for one that is shorter than `SHORTEST`."""
    return set(_without_each_part(word, len(word)))


def misspelled(word: str) -> set[int]:
    """The signatures of which every word that is at most one error away from this one has one; 15 at most."""
    if len(word) < SHORTEST:
        return set()
    found = {each for length in (len(word) - 1, len(word), len(word) + 1) for each in _without_each_part(word, length)}
    return found | set(_unswapped(word))


def is_one_error(word: str, other: str) -> bool:
    """Whether two words are the same, or one error apart."""
    if len(word) > len(other):
        word, other = other, word
    if len(other) - len(word) > 1:
        return False
    at = next((index for index, letter in enumerate(word) if letter != other[index]), len(word))
    if len(other) == len(word):
        swapped = word[:at] + word[at + 1 : at + 2] + word[at : at + 1] + word[at + 2 :]
        return word[at + 1 :] == other[at + 1 :] or swapped == other
    return word[at:] == other[at + 1 :]


def _without_each_part(word: str, length: int) -> Iterator[int]:
    """What a word has in common with one of this length, if the error is in one of the parts of that."""
    if length < SHORTEST:
        return
    for part, (start, end) in enumerate(pairwise(_cuts(length))):
        yield _signature(part, length, word[:start] + word[end + len(word) - length :])


def _unswapped(word: str) -> Iterator[int]:
    """What a word has in common with one in which two letters changed places across a cut, and so in two parts."""
    for cut in _cuts(len(word))[1:-1]:
        right = word[: cut - 1] + word[cut] + word[cut - 1] + word[cut + 1 :]
        yield next(_without_each_part(right, len(right)))


def _cuts(length: int) -> list[int]:
    """Where the parts of a word of this length begin, and where the last one ends."""
    return [length * part // _PARTS for part in range(_PARTS + 1)]


def _signature(part: int, length: int, letters: str) -> int:
    return crc32(f"{part}{length} {letters}".encode()) & _BITS
