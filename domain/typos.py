"""Finding words that are one typing error away: a letter too much, too little or wrong, or two that changed places.

A word is cut into a beginning, a middle and an end. One error leaves two of the three as they were, so each pair of
them is a signature, with the length of the word. Of two words that are one error apart, one has a signature among those
that `misspelled` gives for the other. Words with a signature in common need not be alike: `is_one_error` decides.
"""

from collections.abc import Iterator
from zlib import crc32

SHORTEST = 4  # letters of a word that is found in spite of an error: shorter ones are alike too often
_BITS = 0x7FFFFFFF  # a signature fits into a signed number of 32 bits


def signatures(word: str) -> set[int]:
    """The signatures by which a word is found; none for one that is shorter than `SHORTEST`."""
    length = len(word)
    if length < SHORTEST:
        return set()
    first, last = _cuts(length)
    return {
        _signature("b", length, word[:last]),
        _signature("m", length, word[:first] + word[last:]),
        _signature("e", length, word[first:]),
    }


def misspelled(word: str) -> set[int]:
    """The signatures of which every word that is at most one error away from this one has one; 11 at most."""
    if len(word) < SHORTEST:
        return set()
    return {each for length in (len(word) - 1, len(word), len(word) + 1) for each in _of_length(word, length)}


def is_one_error(word: str, other: str) -> bool:
    """Whether two words are the same, or one error apart."""
    if len(word) > len(other):
        word, other = other, word
    at = next((index for index, letter in enumerate(word) if letter != other[index]), len(word))
    if len(other) == len(word):
        swapped = word[:at] + word[at + 1 : at + 2] + word[at : at + 1] + word[at + 2 :]
        return word[at + 1 :] == other[at + 1 :] or swapped == other
    return len(other) == len(word) + 1 and word[at:] == other[at + 1 :]


def _of_length(word: str, length: int) -> Iterator[int]:
    """What words of this length have in common with one that is misspelled."""
    if length < SHORTEST:
        return
    first, last = _cuts(length)
    end, middle_and_end = word[len(word) - length + last :], word[len(word) - length + first :]
    yield _signature("b", length, word[:last])
    yield _signature("m", length, word[:first] + end)
    yield _signature("e", length, middle_and_end)
    if length == len(word):  # two letters that changed places across a cut are in two of the three parts
        for cut in (first, last):
            unswapped = word[: cut - 1] + word[cut] + word[cut - 1] + word[cut + 1 :]
            yield _signature("b", length, unswapped[:last])


def _cuts(length: int) -> tuple[int, int]:
    """Where the middle of a word begins, and where its end."""
    return (length + 2) // 3, length - length // 3


def _signature(parts: str, length: int, letters: str) -> int:
    return crc32(f"{parts}{length}{letters}".encode()) & _BITS
