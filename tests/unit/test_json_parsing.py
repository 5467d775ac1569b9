"""JSON as clients send it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.transport.json_parsing import parse_json

ANY_TEXT = st.text(st.characters() | st.characters(categories=["Cs"]))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | ANY_TEXT | st.sampled_from(["\\", "\\ud83d", "\ud83d"]),
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"hi \ud83d"', "hi "),
        (r'"\ude00 hi"', " hi"),
        (r'"\ude00\ud83d"', ""),
        (r'"\ud83d\ud83d\ude00"', "\N{GRINNING FACE}"),
        (r'"\uD83D\uDE00\uDE00"', "\N{GRINNING FACE}"),
        (r'"\ud83d\u0041"', "A"),
        (r'"\ud83d\\ud83d"', r"\ud83d"),
        (r'"\\\ud83d\n"', "\\\n"),
        (r'{"a\ud83d": ["\ud83d"]}', {"a": [""]}),
        ('"\N{GRINNING FACE}\\ud83d"', "\N{GRINNING FACE}"),
        ("\ufeff[1]", [1]),
        ('\ufeff"\\ud83d"', ""),
    ],
)
def test_lone_surrogates_and_byte_order_marks_are_dropped(text: str, value: object) -> None:
    assert parse_json(text) == parse_json(text.encode()) == value


@given(ANY_JSON)
def test_lone_surrogates_are_dropped_from_every_value(value: object) -> None:
    whole = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "ignore")
    assert parse_json(json.dumps(value)) == json.loads(whole)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\ufeff",
        "\ufeff\ufeff1",
        "1\ufeff",
        r'"\ud83d',
        r'"\ud83"',
        r'"\ud83d" x',
        r'"\ud83d\x"',
        r'["\ud83d", NaN]',
    ],
)
def test_invalid_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_json(text)
