"""Lists of images that moderators want to see: exact files, and pictures that look alike.

PDQ is Meta's perceptual hash: 256 bits, of which a picture that was scaled, compressed or slightly changed keeps most.
"""

import asyncio
import base64
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

QUALITY_MIN = 50  # below it a picture has too little in it to be told from others, says PDQ's author
ENTRIES_MAX = 200_000  # comparing one picture with so many takes some tens of milliseconds


class UnknownMatchingError(ValueError):
    """A list cannot be read, or the packages for perceptual hashes are not installed."""


class Entry(NamedTuple):
    """A hash of a list, and what the list says about it."""

    number: int
    about: str


class KnownImages:
    """The lists of one worker, read again when their files change."""

    def __init__(self, files: Path | None, images: Path | None, distance: int) -> None:
        """Raises UnknownMatchingError."""
        self._files, self._images = files, images
        self._distance = distance
        self._read: dict[Path, tuple[int, list[Entry]]] = {}
        if images is not None:
            _pdqhash()
        self.check()

    @property
    def has_images(self) -> bool:
        """Whether pictures are compared."""
        return self._images is not None

    def check(self) -> None:
        """Reads the lists that have changed. Raises UnknownMatchingError."""
        for path in (self._files, self._images):
            if path is not None:
                self._entries(path)

    def find_file(self, sha256: str) -> str | None:
        """What the list says about a file of this digest (base64); None if it has none."""
        if self._files is None or not sha256:
            return None
        number = int.from_bytes(base64.b64decode(sha256))
        return next((entry.about for entry in self._entries(self._files) if entry.number == number), None)

    async def find_image(self, data: bytes) -> str | None:
        """What the list says about the picture that is most like this one; None if none is like it."""
        if self._images is None:
            return None
        return await asyncio.to_thread(self._nearest, data, self._entries(self._images))

    def _nearest(self, data: bytes, entries: list[Entry]) -> str | None:
        number = perceptual_hash(data)
        if number is None or not entries:
            return None
        nearest = min(entries, key=lambda entry: (entry.number ^ number).bit_count())
        return nearest.about if (nearest.number ^ number).bit_count() <= self._distance else None

    def _entries(self, path: Path) -> list[Entry]:
        try:
            changed_at = path.stat().st_mtime_ns
            known = self._read.get(path)
            if known is None or known[0] != changed_at:
                known = self._read[path] = (changed_at, _parsed(path.read_text()))
        except (OSError, ValueError) as error:
            raise UnknownMatchingError(f"the list {path} cannot be read: {error}") from error
        return known[1]


def perceptual_hash(data: bytes) -> int | None:
    """The PDQ hash of a picture, as a number; None for one with too little in it."""
    pdqhash, numpy = _pdqhash()
    with Image.open(BytesIO(data), formats=("JPEG", "PNG", "WEBP", "GIF")) as opened:
        bits, quality = pdqhash.compute(numpy.asarray(opened.convert("RGB")))
    return int("".join("1" if bit else "0" for bit in bits), 2) if quality >= QUALITY_MIN else None


def _pdqhash() -> tuple[Any, Any]:
    try:
        import numpy  # noqa: ICN001, PLC0415  both come with the extra alone
        import pdqhash  # noqa: PLC0415
    except ImportError as error:
        raise UnknownMatchingError("PHOTOGRAM_KNOWN_IMAGES needs the extra `matching`") from error
    return pdqhash, numpy


def _parsed(text: str) -> list[Entry]:
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if any(len(words[0]) != 64 for words in lines):
        raise ValueError("each line begins with 64 hexadecimal digits")
    if len(lines) > ENTRIES_MAX:
        raise ValueError(f"it has more than {ENTRIES_MAX:,} entries")
    return [Entry(int(words[0], 16), words[1].strip() if words[1:] else "without a name") for words in lines]
