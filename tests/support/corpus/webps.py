"""WebPs, valid and hostile, still and moving."""

import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

from PIL import Image

from domain.errors import UserErrorCode
from domain.limits import MAX_IMAGE_FRAMES
from tests.support.corpus.case import IN_GREY, Case, Shown, case
from tests.support.pictures import quarters, saved

SIZE = (200, 160)
LOSSES: dict[str, dict[str, Any]] = {"": {}, ", without loss": {"lossless": True, "quality": 0}}
PIXELS, FRAMES = UserErrorCode.TOO_MANY_PIXELS, UserErrorCode.TOO_MANY_FRAMES
LARGEST = (6000, 4000)
PEAK_MIB = 450  # two canvases of the decoder, its result and Pillow's picture: four bytes a pixel each


def webps() -> list[Case]:
    return [*_still(), *_moving(), *_bombs(), *_large()]


def _still() -> Iterator[Case]:
    ways: dict[str, dict[str, Any]] = {
        "": {},
        ", without loss": {"lossless": True},
        ", of quality 1": {"quality": 1},
        ", slowly": {"method": 6},
        ", with metadata": {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0", "xmp": b"CANARY", "icc_profile": b"CANARY"},
    }
    for name, options in ways.items():
        shown = Shown(SIZE) if name != ", of quality 1" else Shown(SIZE, None)
        yield case(f"webp{name}", partial(saved, quarters(SIZE), "WEBP", **options), shown)
    yield case("webp, grey", partial(saved, quarters(SIZE).convert("L"), "WEBP"), Shown(SIZE, IN_GREY))
    for name, options in LOSSES.items():
        clear = quarters(SIZE)
        clear.putalpha(Image.linear_gradient("L").resize(SIZE))
        yield case(
            f"webp with alpha{name}", partial(saved, clear, "WEBP", **options), Shown(SIZE, None, is_transparent=True)
        )
    for size in ((1, 1), (1, 700), (700, 1)):
        yield case(f"webp of {size[0]} x {size[1]}", partial(saved, quarters(size), "WEBP"), Shown(size, None))


def _animated(count: int, size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    first = quarters(size)
    other = first.transpose(Image.Transpose.ROTATE_180)  # neighbours differ: equal ones would be merged
    many = [first if number % 2 else other for number in range(count - 1)]
    return saved(first, "WEBP", save_all=True, append_images=many, duration=40, method=0, **options)


def _moving() -> Iterator[Case]:
    for name, options in (*LOSSES.items(), (", once", {"loop": 1})):
        yield case(f"webp moving{name}", partial(_animated, 4, **options), Shown(SIZE, is_moving=True))
    yield case("webp moving, of 250 frames", partial(_animated, 250, (32, 32)), Shown((32, 32), None, is_moving=True))


def _bombs() -> Iterator[Case]:
    yield case("webp of 251 frames", partial(_animated, MAX_IMAGE_FRAMES + 1, (8, 8)), FRAMES, is_bomb=True)
    for size in ((16_383, 16_383), (6000, 4001)):
        for kind in ("VP8 ", "VP8L", "VP8X"):
            name = f"webp that claims {size[0]} x {size[1]} by {kind.strip()}"
            yield case(name, partial(_that_claims, kind, size), PIXELS, is_bomb=True)
    many = partial(_animated, 3, (3000, 2800))
    yield case("webp moving, of large frames", many, PIXELS, is_bomb=True)


def _that_claims(kind: str, size: tuple[int, int]) -> bytes:
    ways: dict[str, dict[str, Any]] = {"VP8L": {"lossless": True}, "VP8X": {"xmp": b"CANARY"}}
    options = ways.get(kind, {})
    data = bytearray(saved(quarters((64, 64)), "WEBP", **options))
    assert data[12:16] == kind.encode()
    width, height = size
    if kind == "VP8X":
        data[24:30] = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    elif kind == "VP8L":
        data[21:25] = struct.pack("<I", (width - 1) | (height - 1) << 14)
    else:
        data[26:30] = struct.pack("<HH", width, height)
    return bytes(data)


def _large() -> Iterator[Case]:
    for name, options in LOSSES.items():
        make = partial(saved, quarters(LARGEST), "WEBP", method=0, **options)
        yield case(f"webp of 24 megapixels{name}", make, Shown(LARGEST), peak_mib=PEAK_MIB)
