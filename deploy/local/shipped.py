"""The shipped configurations of servers, changed for this machine: what is tried here is what others install."""

from collections.abc import Mapping
from pathlib import Path

DEPLOY = Path(__file__).parents[1]


def changed(file: str, changes: Mapping[str, str]) -> str:
    """The text of a file of `deploy/`, with each key of `changes` replaced. Raises ValueError if it has one not."""
    text = (DEPLOY / file).read_text()
    for old, new in changes.items():
        if old not in text:
            raise ValueError(f"deploy/{file} does not have {old!r}")
        text = text.replace(old, new)
    return text
