"""Writes what Pillow cannot: PNGs of any depth and interlacing, GIFs frame by frame, JPEG segments."""

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator

from tests.support.pictures import QUARTERS

Pixel = Callable[[int, int], tuple[int, ...]]  # the samples at x and y
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6  # PNG's colour types
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG's chunk, with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_of(
    size: tuple[int, int], depth: int, kind: int, rows: bytes, *before: bytes, interlaced: bool = False
) -> bytes:
    """A PNG of these rows, each with its filter byte; `before` are chunks that precede the pixels."""
    header = struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, int(interlaced))
    pixels = chunk(b"IDAT", zlib.compress(rows, 1))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(before) + pixels + chunk(b"IEND", b"")


def png(size: tuple[int, int], depth: int, kind: int, pixel: Pixel, *before: bytes, interlaced: bool = False) -> bytes:
    """A PNG of the samples that `pixel` returns, unfiltered."""
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    rows = b"".join(row for grid in passes for row in _rows(size, depth, pixel, grid))
    return png_of(size, depth, kind, rows, *before, interlaced=interlaced)


def _rows(size: tuple[int, int], depth: int, pixel: Pixel, grid: tuple[int, int, int, int]) -> Iterator[bytes]:
    left, top, across, down = grid
    for y in range(top, size[1], down):
        samples = [sample for x in range(left, size[0], across) for sample in pixel(x, y)]
        if samples:
            yield b"\0" + _packed(samples, depth)


def _packed(samples: list[int], depth: int) -> bytes:
    if depth == 16:
        return struct.pack(f">{len(samples)}H", *samples)
    if depth == 8:
        return bytes(samples)
    bits = "".join(f"{sample:0{depth}b}" for sample in samples)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)


def quarter_at(size: tuple[int, int]) -> Pixel:
    """The pixels of `tests.support.pictures.quarters`, 8 bits a sample."""
    colours = list(QUARTERS.values())
    return lambda x, y: colours[(x >= size[0] // 2) + 2 * (y >= size[1] // 2)]


def gif(screen: tuple[int, int], frames: Iterable[bytes], palette: bytes = b"", loop: int | None = 0) -> bytes:
    """A GIF of these frames; `palette` has three bytes for each of 2, 4, 8 ... 256 colours, or is empty."""
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, _table_flags(palette), 0, 0) + palette
    looping = b"" if loop is None else b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", loop) + b"\0"
    return head + looping + b"".join(frames) + b"\x3b"


def gif_frame(
    box: tuple[int, int, int, int],
    indexes: bytes,
    *,
    delay: int = 10,
    disposal: int = 0,
    clear: int | None = None,
    palette: bytes = b"",
    interlaced: bool = False,
) -> bytes:
    """A frame; `box` is left, top, width, height, each index is below 128, `delay` is in hundredths of a second."""
    width = box[2]
    if interlaced:
        lines = [indexes[at : at + width] for at in range(0, len(indexes), width)]
        indexes = b"".join(line for start, step in ((0, 8), (4, 8), (2, 4), (1, 2)) for line in lines[start::step])
    control = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, disposal << 2 | (clear is not None), delay, clear or 0, 0)
    flags = _table_flags(palette) | interlaced << 6
    return control + b"\x2c" + struct.pack("<HHHHB", *box, flags) + palette + _lzw(indexes)


def _table_flags(palette: bytes) -> int:
    return 0x80 | (len(palette) // 3).bit_length() - 2 if palette else 0


def _lzw(indexes: bytes) -> bytes:
    """Uses only single codes of eight bits: clear codes keep the table from growing to nine bits."""
    codes = b"".join(b"\x80" + indexes[at : at + 120] for at in range(0, len(indexes), 120)) + b"\x81"
    return (
        b"\x07"
        + b"".join(bytes([len(codes[at : at + 255])]) + codes[at : at + 255] for at in range(0, len(codes), 255))
        + b"\0"
    )


def jpeg_with(data: bytes, *segments: tuple[int, bytes]) -> bytes:
    """The JPEG with more segments (marker and body) before its own ones."""
    added = b"".join(b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments)
    return data[:2] + added + data[2:]


def jpeg_without(data: bytes, marker: int) -> bytes:
    """The JPEG without the segments of that marker before the pixels."""
    kept, at = data[:2], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        kept += data[at:end] if data[at + 1] != marker else b""
        at = end
    return kept + data[at:]
