"""Words that are one typing error apart are always found."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.typos import SHORTEST, is_one_error, misspelled, signatures

LETTERS = st.sampled_from("abcdé山")  # few, so that the same letter often comes twice
WORDS = st.text(LETTERS, min_size=SHORTEST, max_size=30)


@st.composite
def errors(draw: st.DrawFn) -> tuple[str, str]:
    """A word, and the same word with one error."""
    word = draw(WORDS)
    at, letter = draw(st.integers(0, len(word) - 1)), draw(LETTERS)
    wrong = {
        "left out": word[:at] + word[at + 1 :],
        "too much": word[:at] + letter + word[at:],
        "too much at the end": word + letter,
        "wrong": word[:at] + letter + word[at + 1 :],
        "changed places": word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :],
    }
    return word, draw(st.sampled_from(list(wrong.values())))


def distance(word: str, other: str) -> int:
    """How many errors make one of the other: the textbook's table, where no letter is changed twice."""
    rows = [[max(i, j) if not i * j else 0 for j in range(len(other) + 1)] for i in range(len(word) + 1)]
    for i in range(1, len(word) + 1):
        for j in range(1, len(other) + 1):
            same = word[i - 1] == other[j - 1]
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (not same))
            if i > 1 and j > 1 and word[i - 1] == other[j - 2] and word[i - 2] == other[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


@settings(deadline=None)  # a busy machine is no failure
@given(errors())
@example(("abcd", "abdc"))
@example(("abcdef", "abdcef"))
def test_a_word_with_an_error_has_a_signature_of_the_word(pair: tuple[str, str]) -> None:
    word, typed = pair
    assert is_one_error(word, typed)
    assert is_one_error(typed, word)
    if len(typed) >= SHORTEST:
        assert signatures(word) & misspelled(typed)
        assert signatures(typed) & misspelled(word)


@settings(deadline=None)  # a busy machine is no failure
@given(st.text(LETTERS, max_size=7), st.text(LETTERS, max_size=7))
def test_one_error_is_what_the_table_says(word: str, other: str) -> None:
    assert is_one_error(word, other) == (distance(word, other) <= 1)


@settings(deadline=None)  # a busy machine is no failure
@given(WORDS)
def test_signatures_are_few_and_fit_into_32_bits(word: str) -> None:
    assert len(signatures(word)) <= 4
    assert len(misspelled(word)) <= 15
    assert all(0 <= each < 2**31 for each in signatures(word) | misspelled(word))


def test_short_words_have_none() -> None:
    assert signatures("bob") == misspelled("bob") == set()
    assert misspelled("bobs")
