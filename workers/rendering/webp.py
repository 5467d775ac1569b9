"""Opens a WebP, still or animated."""

import struct
from collections.abc import Iterator
from io import BytesIO

from PIL import Image, ImageFile

from domain.limits import MAX_WEB_PIXELS

_SIDE = 0x3FFF  # 14 bits
_REQUIRED = frozenset({b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L"})
_OPTIONAL = frozenset({b"ICCP", b"EXIF"})
_HAS_ALPHA = 0x10  # a flag of VP8X
_VP8_START = b"\x9d\x01\x2a"


def open_webp(data: bytes) -> ImageFile.ImageFile:
    """The picture, not yet decoded; its `loop` counts as in GIF. Damaged bytes raise many kinds of exception."""
    width, height = _size(data[:30])
    if width * height > MAX_WEB_PIXELS:  # Pillow allocates the canvas at once
        raise Image.DecompressionBombError
    image = Image.open(BytesIO(_repaired(data)), formats=("WEBP",))
    plays = image.info["loop"]
    image.info["loop"] = plays - 1 if plays > 1 else None if plays else 0
    return image


def _repaired(data: bytes) -> bytes:
    """The file with only the chunks that matter and the right length, whatever its header says.

    Metadata behind the pixels may be cut off, and an encoder may have left out the last byte. An animation always gets
    transparency, because its frames may leave a part of the canvas uncovered.
    """
    kept, at = [], 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length
        if kind in _REQUIRED or (kind in _OPTIONAL and end <= len(data)):
            kept.append(data[at:end] + b"\0" * (length & 1))
        at = end + (length & 1)
    if any(chunk.startswith(b"ANMF") for chunk in kept) and kept[0].startswith(b"VP8X"):
        kept[0] = kept[0][:8] + bytes([kept[0][8] | _HAS_ALPHA]) + kept[0][9:]
    return data[:4] + struct.pack("<I", 4 + sum(map(len, kept))) + b"WEBP" + b"".join(kept)


def _size(head: bytes) -> tuple[int, int]:
    """The size of the canvas according to the first chunk."""
    kind = head[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", head, 21)
        return 1 + (bits & _SIDE), 1 + (bits >> 14 & _SIDE)
    if head[23:26] != _VP8_START:
        raise ValueError("a WebP of an unknown kind")
    width, height = struct.unpack_from("<HH", head, 26)
    return width & _SIDE, height & _SIDE


def frames_of(image: ImageFile.ImageFile, count: int) -> Iterator[tuple[Image.Image, int]]:
    """Decodes the frames of an animated WebP or AVIF, each with its milliseconds; one is valid until the next one."""
    for number in range(count):
        image.seek(number)
        image.load()
        yield image, int(image.info.get("duration") or 0)
