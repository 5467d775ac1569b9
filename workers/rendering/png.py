"""Opens a PNG by its chunks: Pillow gets only those that make the picture.

Only damage to a required chunk refuses the picture. As in browsers, any other damaged chunk is ignored.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from itertools import takewhile
from typing import Any, NamedTuple

from PIL import Image

from domain.limits import MAX_IMAGE_PIXELS

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_REQUIRED = frozenset({b"IHDR", b"PLTE", b"IDAT"})
_OPTIONAL = frozenset({b"tRNS", b"eXIf", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"acTL"})
_ANIMATION = frozenset({b"fcTL", b"fdAT"})
_RELEVANT = _REQUIRED | _OPTIONAL | _ANIMATION
_MAX_PROFILE = 4 * 1024 * 1024  # bytes; a profile with tables for print has at most 2 MB
_PALETTE = 3  # a colour type
_TRANSPARENCY_LENGTH = {0: 2, 2: 6}  # bytes of tRNS by colour type
_GREY_STEP = {"L;2": 85, "L;4": 17}  # 8-bit distance between neighbouring greys of 2 and 4 bits


class _Chunk(NamedTuple):
    kind: bytes
    body: memoryview
    whole: memoryview


class _Frame(NamedTuple):
    """A frame of an animation; `at` is its left and upper edge on the canvas."""

    size: tuple[int, int]
    at: tuple[int, int]
    pixels: bytes


def open_png(data: bytes) -> Image.Image:
    """The picture, or the first frame of an animation; only a frame may be decoded already.

    `info` has `exif`, `transparency`, and the colours as `workers.rendering.colours` reads them. Raises ValueError if
    the file is damaged; Pillow raises other errors.
    """
    chunks = list(_undamaged(data))
    before = list(takewhile(lambda chunk: chunk.kind != b"IDAT", chunks))
    pixels = [chunk.whole for chunk in chunks if chunk.kind == b"IDAT"]
    first = {chunk.kind: chunk for chunk in reversed(before)}
    header = bytes(first[b"IHDR"].body) if b"IHDR" in first else b""
    if len(header) != 13 or not pixels:
        raise ValueError("a PNG needs a header and pixels")
    if math.prod(struct.unpack_from(">II", header)) > MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError
    exif = next((chunk for chunk in chunks if chunk.kind == b"eXIf"), None)
    optional = (first.get(b"PLTE"), first.get(b"tRNS"), exif)
    kept = [chunk.whole for chunk in optional if chunk and _is_acceptable(chunk, header[9])]
    is_hidden = b"acTL" in first and b"fcTL" not in first  # the picture is not a frame of the animation
    frame = _first_frame(header, chunks) if is_hidden else None
    size = header[:8]
    if frame is not None:
        size, pixels = struct.pack(">II", *frame.size), [memoryview(_chunk(b"IDAT", frame.pixels))]
    plain = b"".join([_SIGNATURE, _chunk(b"IHDR", size + header[8:]), *kept, *pixels, _chunk(b"IEND", b"")])
    image = Image.open(BytesIO(plain), formats=("PNG",))
    image.info |= _colours({kind: bytes(chunk.body) for kind, chunk in first.items()})
    _correct_transparency(image)
    return image if frame is None else _on_canvas(image, header, frame)


def _undamaged(data: bytes) -> Iterator[_Chunk]:
    """The undamaged chunks that matter, in order, up to the end. Raises ValueError if a required one is damaged."""
    view, at = memoryview(data), len(_SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if kind == b"IEND" or not kind.isalpha():
            return
        if kind in _RELEVANT:
            if view[end : end + 4] == zlib.crc32(view[at + 4 : end]).to_bytes(4):
                yield _Chunk(kind, view[at + 8 : end], view[at : end + 4])
            elif kind in _REQUIRED:
                raise ValueError(f"the chunk {kind!r} is damaged")
        at = end + 4


def _is_acceptable(chunk: _Chunk, colour_type: int) -> bool:
    """Whether Pillow accepts the chunk: it is stricter than browsers."""
    if chunk.kind != b"tRNS":
        return True
    length = len(chunk.body)
    return 1 <= length <= 256 if colour_type == _PALETTE else _TRANSPARENCY_LENGTH.get(colour_type) == length


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4)


def _first_frame(header: bytes, chunks: list[_Chunk]) -> _Frame | None:
    """The first frame; None if there is none or it is damaged."""
    animation = [chunk for chunk in chunks if chunk.kind in _ANIMATION]
    if not animation or animation[0].kind != b"fcTL" or len(animation[0].body) != 26:
        return None
    width, height, left, top = struct.unpack_from(">4I", animation[0].body, 4)
    pixels = b"".join(chunk.body[4:] for chunk in takewhile(lambda chunk: chunk.kind == b"fdAT", animation[1:]))
    across, down = struct.unpack_from(">II", header)
    if not (width and height and pixels and left + width <= across and top + height <= down):
        return None
    return _Frame((width, height), (left, top), pixels)


def _on_canvas(image: Image.Image, header: bytes, frame: _Frame) -> Image.Image:
    """The frame at its place on a transparent canvas."""
    canvas_size = struct.unpack_from(">II", header)
    if frame.size == canvas_size:
        return image
    canvas = Image.new("RGBA", canvas_size)
    canvas.paste(image.convert("RGBA"), frame.at)
    canvas.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return canvas


def _colours(chunks: dict[bytes, bytes]) -> dict[str | tuple[int, int], Any]:
    """The entries of `info` that describe colours; impossible values are left out."""
    info: dict[str | tuple[int, int], Any] = {}
    cicp = chunks.get(b"cICP", b"")
    if len(cicp) == 4 and cicp[2] == 0 and cicp[3] < 2:  # RGB, of full range or not
        info["cicp"] = tuple(cicp)
    if profile := _profile(chunks.get(b"iCCP", b"")):
        info["icc_profile"] = profile
    if srgb := chunks.get(b"sRGB"):
        info["srgb"] = srgb[0]
    if len(gamma := chunks.get(b"gAMA", b"")) == 4:
        info["gamma"] = int.from_bytes(gamma) / 100_000
    if len(points := chunks.get(b"cHRM", b"")) == 32:
        info["chromaticity"] = tuple(value / 100_000 for value in struct.unpack(">8I", points))
    return info


def _profile(body: bytes) -> bytes | None:
    """Decompresses an ICC profile; None if it is damaged or larger than any real profile."""
    _, _, compressed = body.partition(b"\0")
    if compressed[:1] != b"\0":
        return None
    decompressor = zlib.decompressobj()
    try:
        profile = decompressor.decompress(compressed[1:], _MAX_PROFILE)
    except zlib.error:
        return None
    return profile if decompressor.eof else None


def _correct_transparency(image: Image.Image) -> None:
    """Scales the transparent colour to 8 bits: Pillow scales only the pixels."""
    colour, stored = image.info.get("transparency"), image.tile[0].args  # type: ignore[attr-defined]
    if colour is not None and stored in _GREY_STEP:
        image.info["transparency"] = colour * _GREY_STEP[stored]
    elif colour is not None and stored == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in colour)
