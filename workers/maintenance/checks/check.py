"""What a check reports: one small struct for each thing that is not as it should be."""

from typing import Any

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as the facts say; `expected` and `found` are numbers, texts or lists of texts."""

    kind: str
    id: str
    expected: Any
    found: Any
    why: str
