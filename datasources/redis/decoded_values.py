"""What cached values were decoded to, so that the same bytes, when they come from Redis again, are not decoded again.

Nothing is read from here without its bytes, which were read from Redis at this moment: so no value is older than those.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")

ENTRY_BYTES = 200  # of names and the like, in addition to the encoded value


class DecodedValues(Generic[Value]):
    """Immutable values by name, with the bytes that they were decoded from, of about `max_bytes` in all.

    There are two halves. When the newer one is full, the older one is discarded, with all values that nobody has asked
    for since it was the newer one.
    """

    def __init__(self, decode: Callable[[bytes], Value], max_bytes: int) -> None:
        self._decode = decode
        self._half = max_bytes // 2
        self._newer: dict[str, tuple[bytes, Value]] = {}
        self._older: dict[str, tuple[bytes, Value]] = {}
        self._size = 0  # of the newer half

    def decode(self, name: str, encoded: bytes) -> Value:
        """The value that these bytes stand for. Raises what decoding raises."""
        entry = self._newer.get(name)
        if entry is not None and entry[0] == encoded:
            return entry[1]
        entry = self._older.get(name)
        if entry is None or entry[0] != encoded:
            entry = (encoded, self._decode(encoded))
        self._keep(name, entry)
        return entry[1]

    def latest(self, name: str) -> Value | None:
        """What was last decoded under a name and is still kept. It may be old: it is only a hint."""
        entry = self._newer.get(name) or self._older.get(name)
        return None if entry is None else entry[1]

    def _keep(self, name: str, entry: tuple[bytes, Value]) -> None:
        size = len(entry[0]) + ENTRY_BYTES
        if self._size + size > self._half:
            self._older, self._newer, self._size = self._newer, {}, 0
        if size <= self._half:
            self._newer[name] = entry
            self._size += size
