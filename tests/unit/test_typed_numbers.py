"""Limits in descriptions and messages are built from `domain/limits.py`: nobody types their numbers again."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain import limits
from tests.support.stack import ROOT

SOURCES = sorted([*(ROOT / "schema").glob("*.py"), *(ROOT / "resolvers").glob("*.py")])
VALUES = {
    value
    for limit in vars(limits).values()
    for value in (limit if isinstance(limit, tuple) else (limit,))
    if isinstance(value, int) and value >= 10  # smaller ones are too common to tell
}


def texts(source: Path) -> Iterator[str]:
    """The strings of a module but for its docstrings; of an f-string, what is typed."""
    tree = ast.parse(source.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def typed_limits(text: str) -> set[int]:
    return {int(number.replace(",", "")) for number in re.findall(r"(?<![\w-])\d[\d,]*", text)} & VALUES


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_limit_is_typed_by_hand(source: Path) -> None:
    assert not {text: numbers for text in texts(source) if (numbers := typed_limits(text))}


def test_a_typed_limit_is_noticed() -> None:
    assert typed_limits("Its words; at most 2,200 characters.") == {limits.CAPTION_MAX}
    assert typed_limits("An image has at most 10 MiB.") == {limits.MAX_IMAGE_MIB}
