"""AVIFs and HEICs, valid and hostile."""

import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from PIL import Image

from datasources.media.source_formats import formats_taken
from domain.errors import UserErrorCode
from domain.image_formats import SourceFormat
from domain.limits import MAX_IMAGE_FRAMES
from tests.support.corpus.case import IN_GREY, Case, Shown, case
from tests.support.corpus.large import SIZE as PHONE
from tests.support.pictures import heic, quarters, saved

SIZE = (200, 160)
CORRUPT, PIXELS, FRAMES = UserErrorCode.IMAGE_CORRUPT, UserErrorCode.TOO_MANY_PIXELS, UserErrorCode.TOO_MANY_FRAMES
PEAK_MIB = 450  # the codec's planes, their conversion, and Pillow's copy
Saved = Callable[..., bytes]


def heifs() -> list[Case]:
    cases = [*_of_kind("avif", _avif), *_moving()]
    if SourceFormat.HEIC in formats_taken():
        cases += [*_of_kind("heic", _heic), *_tiled()]
    return cases


def _avif(picture: Image.Image, **options: Any) -> bytes:
    return saved(picture, "AVIF", **{"speed": 10, **options})


def _heic(picture: Image.Image, **options: Any) -> bytes:
    return heic(picture, enc_params={"preset": "ultrafast"}, **options)


def _of_kind(kind: str, save: Saved) -> Iterator[Case]:
    yield case(kind, partial(save, quarters(SIZE)), Shown(SIZE))
    yield case(f"{kind}, grey", partial(save, quarters(SIZE).convert("L")), Shown(SIZE, IN_GREY))
    clear = quarters(SIZE)
    clear.putalpha(Image.linear_gradient("L").resize(SIZE))
    yield case(f"{kind} with alpha", partial(save, clear), Shown(SIZE, None, is_transparent=True))
    secret = {
        "exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0e\x01\x02\0\x07\0\0\0\x1a\0\0\0\0\0\0\0CANARY\0",
        "xmp": b"CANARY",
    }
    yield case(f"{kind} with metadata", partial(save, quarters(SIZE), **secret), Shown(SIZE))
    yield case(f"{kind} with bytes behind it", lambda: save(quarters(SIZE)) + b"CANARY" * 50, Shown(SIZE))
    yield case(f"{kind} of 64 x 700", partial(save, quarters((64, 700))), Shown((64, 700), None))
    for size in ((20_000, 20_000), (10_000, 5_001), (2**31 - 1, 2**31 - 1)):
        name = f"{kind} that claims {size[0]} x {size[1]}"
        yield case(name, partial(_that_claims, save, size), PIXELS, is_bomb=True)
    largest = PHONE if kind == "heic" else (6000, 4000)
    name = f"{kind} of {largest[0]} x {largest[1]}"
    yield case(name, partial(save, quarters(largest), quality=50), Shown(largest), peak_mib=PEAK_MIB)
    beyond = partial(_that_claims, save, (64, 64), quarters((6000, 4000)))
    yield case(f"{kind} of 6000 x 4000 that claims 64 x 64", beyond, CORRUPT, Shown((64, 64), None), peak_mib=PEAK_MIB)


def _that_claims(save: Saved, size: tuple[int, int], picture: Image.Image | None = None) -> bytes:
    data = save(picture or quarters((64, 64)))
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", *size) + data[at + 8 :]


def _moving() -> Iterator[Case]:
    for count, verdict in ((3, Shown(SIZE, None, is_moving=True)), (MAX_IMAGE_FRAMES + 1, FRAMES)):
        name = f"avif moving, of {count} frames"
        yield case(name, partial(_animated, count), verdict, is_bomb=verdict is FRAMES)


def _animated(count: int) -> bytes:
    size = SIZE if count < 10 else (16, 16)
    others = [quarters(size).transpose(Image.Transpose.ROTATE_180)] * (count - 1)
    return _avif(quarters(size), save_all=True, append_images=others, duration=40)


def _tiled() -> Iterator[Case]:
    """HEICs as phones write them: a grid of tiles, which declares their number."""
    size = (300, 200)
    yield case("heic in tiles", partial(_heic, quarters(size), tile_size=128), Shown(size))
    for name, columns in {"a column too many": 5, "256 columns": 255}.items():
        yield case(f"heic in tiles, with {name}", partial(_with_columns, columns), CORRUPT, is_bomb=True)
    for claimed in ((30_000, 30_000), (60_000, 60_000)):
        yield case(
            f"heic in tiles that claims {claimed[0]}", partial(_with_canvas, claimed), PIXELS, CORRUPT, is_bomb=True
        )


def _grid(data: bytearray) -> int:
    """The offset of the grid's description: version, flags, rows and columns less one, width and height."""
    return data.index(b"\0\0\x01\x02\x01\x2c\0\xc8")


def _with_columns(columns: int) -> bytes:
    data = bytearray(_heic(quarters((300, 200)), tile_size=128))
    data[_grid(data) + 3] = columns
    return bytes(data)


def _with_canvas(size: tuple[int, int]) -> bytes:
    data = bytearray(_heic(quarters((300, 200)), tile_size=128))
    at = _grid(data)
    data[at + 4 : at + 8] = struct.pack(">HH", *size)
    first = data.index(struct.pack(">II", 300, 200))
    data[first : first + 8] = struct.pack(">II", *size)
    return bytes(data)
