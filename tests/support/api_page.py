"""Reads docs/api.md: its examples, and its tables."""

import re
from typing import NamedTuple

from tests.support.stack import ROOT

TEXT = (ROOT / "docs/api.md").read_text()


class Block(NamedTuple):
    """A fenced block, and the JSON that follows it as its answer, if there is one."""

    language: str
    text: str
    answer: str | None


def blocks(language: str) -> list[Block]:
    """The blocks in one language, in the order of the page."""
    matches = re.findall(r"^```(\w+)\n(.*?)^```(?:\n```json\n(.*?)^```)?", TEXT, re.DOTALL | re.MULTILINE)
    return [Block(kind, text, answer or None) for kind, text, answer in matches if kind == language]


def table(heading: str) -> list[list[str]]:
    """The cells of the table whose heading begins like this, without its heading."""
    lines = TEXT[TEXT.index(f"\n| {heading} |") + 1 :].split("\n\n")[0].split("\n")
    return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines[2:] if line[:1] == "|"]


def quoted(cell: str) -> list[str]:
    """What a cell has in backticks."""
    return re.findall(r"`([^`]+)`", cell)
