"""Small files that would need all memory or hours if their headers were believed."""

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial

from domain.errors import UserErrorCode
from tests.support.corpus.case import Case, case
from tests.support.corpus.writing import GREY, chunk, gif, gif_frame, jpeg_with
from tests.support.pictures import gif_of_many_frames, png_that_claims, quarters, saved

CORRUPT, PIXELS, FRAMES = (
    UserErrorCode.IMAGE_CORRUPT,
    UserErrorCode.TOO_MANY_PIXELS,
    UserErrorCode.TOO_MANY_FRAMES,
)

Bomb = tuple[str, Callable[[], bytes], UserErrorCode]


def bombs() -> list[Case]:
    """Each must be refused before its pixels are decoded."""
    return [case(name, make, code, is_bomb=True) for name, make, code in (*_of_pixels(), *_of_frames())]


def _of_pixels() -> Iterator[Bomb]:
    yield "png of 20,000 x 20,000", _real_png, PIXELS
    for size in ((10_000, 5_001), (60_000, 60_000), (2**31 - 1, 1), (1, 2**31 - 1), (2**31 - 1, 2**31 - 1)):
        yield f"png that claims {size[0]} x {size[1]}", partial(png_that_claims, *size), PIXELS
    for size in ((20_000, 20_000), (65_500, 65_500)):
        yield f"jpeg that claims {size[0]} x {size[1]}", partial(_jpeg_that_claims, size), PIXELS
    yield "gif that claims 65,535 x 65,535", partial(gif, (65_535, 65_535), [gif_frame((0, 0, 1, 1), b"\0")]), PIXELS
    yield "jpeg of 5,000 scans", partial(_many_scans, 5000), CORRUPT
    yield "jpeg of 300,000 scans", partial(_many_scans, 300_000), CORRUPT


def _real_png() -> bytes:
    """A PNG that really has 20,000 x 20,000 pixels, in 400 kB."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(20_001)) for _ in range(20_000)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, GREY, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _jpeg_that_claims(size: tuple[int, int]) -> bytes:
    data = bytearray(saved(quarters((64, 64)), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", size[1], size[0])
    return bytes(data)


def _many_scans(count: int) -> bytes:
    """A progressive JPEG that repeats a scan of a few bytes, which covers all pixels."""
    data = saved(quarters((4000, 3000)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x05\x00" + b"\x00" * 12
    return data[:last] + scan * count + data[last:]


def _of_frames() -> Iterator[Bomb]:
    for count in (251, 500, 500_000):
        yield f"gif of {count:,} frames", partial(gif_of_many_frames, count), FRAMES
    yield "gif of 200 tiny frames on a huge screen", partial(gif_of_many_frames, 200, (7000, 7000)), PIXELS
    yield "gif of two frames on a huge screen", partial(gif_of_many_frames, 2, (5000, 5000)), PIXELS
    yield "gif of 250 frames on a large screen", partial(gif_of_many_frames, 250, (1000, 1000)), PIXELS
    beyond = gif_frame((0, 0, 65_535, 65_535), b"\0")
    table = b"\0\0\0\xff\xff\xff"
    yield "gif with a frame beyond its screen", partial(gif, (10, 10), [beyond], table), PIXELS
    small = gif_frame((0, 0, 10, 10), bytes(100))
    yield "gif with a second frame beyond its screen", partial(gif, (10, 10), [small, beyond], table), PIXELS


def heavy_but_honest() -> dict[str, bytes]:
    """Small pictures with megabytes of metadata, compressed or not: they are rendered without reading it."""
    jpeg = saved(quarters((200, 160)), "JPEG")
    bomb = zlib.compress(bytes(50_000_000))
    texts = [chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"A" * 5_000_000)) for _ in range(8)]
    entries = b"Exif\0\0II*\0\x08\0\0\0\x88\x13" + b"\x0e\x01\x02\0\x04\0\0\0abc\0" * 5000
    return {
        "jpeg with 100 EXIFs": jpeg_with(jpeg, *[(0xE1, entries)] * 100),
        "jpeg with 9 MB of comments": jpeg_with(jpeg, *[(0xFE, b"x" * 65_000)] * 140),
        "gif with 9 MB between its blocks": _gif_with(bytes(9_000_000)),
        "gif with 9 MB of empty comments": _gif_with(b"\x21\xfe\0" * 3_000_000),
        "png with 9 MB of EXIF": _png_with(chunk(b"eXIf", bytes(9_000_000))),
        "png with texts of 40 MB": _png_with(*texts),
        "png with a profile of 50 MB": _png_with(chunk(b"iCCP", b"name\0\0" + bomb)),
        "png with an international text of 50 MB": _png_with(chunk(b"iTXt", b"name\0\1\0\0\0" + bomb)),
    }


def _gif_with(between: bytes) -> bytes:
    data = saved(quarters((200, 160)), "GIF")
    start = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    return data[:start] + between + data[start:]


def _png_with(*chunks: bytes) -> bytes:
    data = saved(quarters((200, 160)), "PNG")
    return data[:33] + b"".join(chunks) + data[33:]
