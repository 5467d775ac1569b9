"""The largest accepted pictures: fifty megapixels, and animations at their limits."""

from collections.abc import Iterator
from functools import partial

from PIL import Image

from tests.support.corpus.bombs import heavy_but_honest
from tests.support.corpus.case import IN_COLOUR, Case, Shown, case
from tests.support.corpus.writing import (
    ADAM7,
    CHANNELS,
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGB_ALPHA,
    chunk,
    gif,
    gif_frame,
    png_of,
)
from tests.support.pictures import quarters, saved

SIZE = (8160, 6120)  # a phone's 50 megapixels
TABLE = b"".join(bytes(colour) for colour in IN_COLOUR)


def large() -> list[Case]:
    heavy = [case(name, partial(bytes, data), Shown((200, 160))) for name, data in heavy_but_honest().items()]
    return [*heavy, *_jpegs(), *_pngs(), *_gifs()]


def _jpegs() -> Iterator[Case]:
    phone = (4032, 3024)
    yield case("jpeg of 12 megapixels", lambda: saved(quarters(phone), "JPEG"), Shown(phone))
    yield case("jpeg of 12 megapixels, CMYK", lambda: saved(quarters(phone).convert("CMYK"), "JPEG"), Shown(phone))
    yield case("jpeg of 50 megapixels", lambda: saved(quarters(SIZE), "JPEG"), Shown(SIZE))
    yield case(
        "jpeg of 50 megapixels, progressive", lambda: saved(quarters(SIZE), "JPEG", progressive=True), Shown(SIZE)
    )


def _pngs() -> Iterator[Case]:
    kinds = {
        "RGB": (8, RGB),
        "RGBA": (8, RGB_ALPHA),
        "RGB of 16 bits": (16, RGB),
        "RGBA of 16 bits": (16, RGB_ALPHA),
        "palette": (8, PALETTE),
        "grey of 16 bits": (16, GREY),
        "grey and alpha": (8, GREY_ALPHA),
    }
    for name, (depth, kind) in kinds.items():
        shown = Shown(
            SIZE, IN_COLOUR if kind in (RGB, PALETTE) else None, is_transparent=kind in (RGB_ALPHA, GREY_ALPHA)
        )
        yield case(f"png of 50 megapixels, {name}", partial(_png, depth, kind), shown)
    for kind, name in ((RGB, "RGB"), (RGB_ALPHA, "RGBA")):
        shown = Shown(SIZE, IN_COLOUR if kind == RGB else None, is_transparent=kind == RGB_ALPHA)
        yield case(f"png of 50 megapixels, {name}, interlaced", partial(_png, 8, kind, interlaced=True), shown)


def _png(depth: int, kind: int, *, interlaced: bool = False) -> bytes:
    """Quarters, the first half transparent if there is alpha; all rows of a half are equal."""
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    rows = b""
    for left, top, across, down in passes:
        columns = [len(range(start, end, across)) for start, end in _halves(left, across, SIZE[0])]
        lines = [len(range(start, end, down)) for start, end in _halves(top, down, SIZE[1])]
        for half in (0, 1):
            pair = [_sample(kind, 2 * half + side, depth // 8) * columns[side] for side in (0, 1)]
            rows += (b"\0" + b"".join(pair)) * lines[half]
    palette = [chunk(b"PLTE", TABLE)] if kind == PALETTE else []
    return png_of(SIZE, depth, kind, rows, *palette, interlaced=interlaced)


def _halves(first: int, step: int, length: int) -> tuple[tuple[int, int], tuple[int, int]]:
    middle = length // 2
    second = first + -(-max(middle - first, 0) // step) * step
    return (first, middle), (second, length)


def _sample(kind: int, quarter: int, width: int) -> bytes:
    if kind == PALETTE:
        return bytes([quarter])
    colour = IN_COLOUR[quarter][: CHANNELS[kind]] if kind in (RGB, RGB_ALPHA) else IN_COLOUR[quarter][:1]
    alpha = (128 if quarter == 0 else 255,) if kind in (RGB_ALPHA, GREY_ALPHA) else ()
    return b"".join(bytes([value]) * width for value in (*colour, *alpha))


def _gifs() -> Iterator[Case]:
    yield case("gif of 50 megapixels", lambda: saved(quarters(SIZE).quantize(4), "GIF"), Shown(SIZE))
    for size, count in (((3840, 2160), 24), ((1080, 1080), 170), ((300, 300), 250)):
        name = f"gif of {count} frames of {size[0]} x {size[1]}"
        yield case(name, partial(_gif, size, count), Shown(size, None, is_moving=True))
        yield case(
            f"{name}, clear",
            partial(_gif, size, count, clear=True),
            Shown(size, None, is_moving=True, is_transparent=True),
        )


def _gif(size: tuple[int, int], count: int, *, clear: bool = False) -> bytes:
    """An animation of patches over a background."""
    first = saved(Image.new("P", size), "GIF")
    frame = first[first.index(b"\x2c\0\0\0\0") : -1]
    patch = gif_frame(
        (size[0] // 4, size[1] // 4, 60, 60), b"\1" * 3600, disposal=2 if clear else 3, clear=0 if clear else None
    )
    ground = b"\x21\xf9\x04" + bytes([4 + clear, 4, 0, 0, 0]) + frame
    return gif(size, [ground, *[patch] * (count - 1)], TABLE)
