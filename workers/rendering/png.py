"""Opens a PNG by its chunks: Pillow gets those that make the picture, and nothing of the rest.

Only a chunk without which there is no picture can refuse it; any other that is damaged is left out, as browsers do.
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
_NEEDED = frozenset({b"IHDR", b"PLTE", b"IDAT"})
_HELPFUL = frozenset({b"tRNS", b"eXIf", b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"acTL"})
_ANIMATION = frozenset({b"fcTL", b"fdAT"})
_MAX_PROFILE = 4 * 1024 * 1024  # bytes; a profile with tables for print has 2 MB at most
_PALETTE = 3  # a type of colour
_CLEAR_LENGTH = {0: 2, 2: 6}  # of tRNS, by the type of colour
_GREY_STEP = {"L;2": 85, "L;4": 17}  # between two neighbouring greys of 2 and of 4 bits


class _Chunk(NamedTuple):
    kind: bytes
    body: memoryview
    whole: memoryview


class _Frame(NamedTuple):
    """A frame of an animation, and where it lies on the canvas."""

    size: tuple[int, int]
    at: tuple[int, int]
    pixels: bytes


def open_png(data: bytes) -> Image.Image:
    """The picture, or the first frame if it is animated, which only then may have been decoded.

    `info` has what says how to show it: `exif`, `transparency`, and the colours as `workers.rendering.colours` reads
    them. Raises ValueError, and what Pillow raises, if it is damaged.
    """
    chunks = list(_sound(data))
    before = list(takewhile(lambda chunk: chunk.kind != b"IDAT", chunks))
    pixels = [chunk.whole for chunk in chunks if chunk.kind == b"IDAT"]
    first = {chunk.kind: chunk for chunk in reversed(before)}
    header = bytes(first[b"IHDR"].body) if b"IHDR" in first else b""
    if len(header) != 13 or not pixels:
        raise ValueError("a PNG needs a header and pixels")
    if math.prod(struct.unpack_from(">II", header)) > MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError
    exif = next((chunk for chunk in chunks if chunk.kind == b"eXIf"), None)
    helpful = [first[kind] for kind in (b"PLTE", b"tRNS") if kind in first]
    kept = [chunk.whole for chunk in (*helpful, exif) if chunk and _is_fitting(chunk, header[9])]
    is_hidden = b"acTL" in first and b"fcTL" not in first
    frame = _first_frame(header, chunks) if is_hidden else None
    plain = _png(header, kept, pixels) if frame is None else _png_of_frame(header, kept, frame)
    image = Image.open(BytesIO(plain), formats=("PNG",))
    image.info |= _colours({kind: bytes(chunk.body) for kind, chunk in first.items()})
    _correct_transparency(image)
    return image if frame is None else _on_canvas(image, header, frame)


def _sound(data: bytes) -> Iterator[_Chunk]:
    """The chunks that matter, up to the end. Raises ValueError if one that is needed is damaged."""
    view, at = memoryview(data), len(_SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if kind == b"IEND" or not kind.isalpha():
            return
        if kind in _NEEDED or kind in _HELPFUL or kind in _ANIMATION:
            if view[end : end + 4] == zlib.crc32(view[at + 4 : end]).to_bytes(4):
                yield _Chunk(kind, view[at + 8 : end], view[at : end + 4])
            elif kind in _NEEDED:
                raise ValueError(f"the chunk {kind!r} is damaged")
        at = end + 4


def _is_fitting(chunk: _Chunk, colour_type: int) -> bool:
    """Whether Pillow, which is stricter than browsers, will not mind the chunk."""
    if chunk.kind != b"tRNS":
        return True
    length = len(chunk.body)
    return 1 <= length <= 256 if colour_type == _PALETTE else _CLEAR_LENGTH.get(colour_type) == length


def _png(header: bytes, kept: list[memoryview], pixels: list[memoryview]) -> bytes:
    return b"".join([_SIGNATURE, _chunk(b"IHDR", header), *kept, *pixels, _chunk(b"IEND", b"")])


def _png_of_frame(header: bytes, kept: list[memoryview], frame: _Frame) -> bytes:
    return _png(struct.pack(">II", *frame.size) + header[8:], kept, [memoryview(_chunk(b"IDAT", frame.pixels))])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + zlib.crc32(kind + body).to_bytes(4)


def _first_frame(header: bytes, chunks: list[_Chunk]) -> _Frame | None:
    """None if there is none, or it is damaged."""
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
    """The frame where it lies on a clear canvas."""
    canvas_size = struct.unpack_from(">II", header)
    if frame.size == canvas_size:
        return image
    canvas = Image.new("RGBA", canvas_size)
    canvas.paste(image.convert("RGBA"), frame.at)
    canvas.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return canvas


def _colours(chunks: dict[bytes, bytes]) -> dict[str | tuple[int, int], Any]:
    """What the chunks say of colours, each as far as it makes sense."""
    colour_chunks: dict[str | tuple[int, int], Any] = {}
    cicp = chunks.get(b"cICP", b"")
    if len(cicp) == 4 and cicp[2] == 0 and cicp[3] < 2:  # RGB, of full range or not
        colour_chunks["cicp"] = tuple(cicp)
    if profile := _profile(chunks.get(b"iCCP", b"")):
        colour_chunks["icc_profile"] = profile
    if srgb := chunks.get(b"sRGB"):
        colour_chunks["srgb"] = srgb[0]
    if len(gamma := chunks.get(b"gAMA", b"")) == 4:
        colour_chunks["gamma"] = int.from_bytes(gamma) / 100_000
    if len(points := chunks.get(b"cHRM", b"")) == 32:
        colour_chunks["chromaticity"] = tuple(value / 100_000 for value in struct.unpack(">8I", points))
    return colour_chunks


def _profile(body: bytes) -> bytes | None:
    """Unpacks an ICC profile; None if it is damaged, or larger than profiles are."""
    _, _, packed = body.partition(b"\0")
    if packed[:1] != b"\0":
        return None
    unpacking = zlib.decompressobj()
    try:
        profile = unpacking.decompress(packed[1:], _MAX_PROFILE)
    except zlib.error:
        return None
    return profile if unpacking.eof else None


def _correct_transparency(image: Image.Image) -> None:
    """Brings the transparent colour to the scale that Pillow brings the pixels to, as Pillow does not."""
    clear, stored = image.info.get("transparency"), image.tile[0].args  # type: ignore[attr-defined]
    if clear is None:
        return
    if stored in _GREY_STEP:
        image.info["transparency"] = clear * _GREY_STEP[stored]
    elif stored == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in clear)
