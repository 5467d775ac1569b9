"""Valid PNGs."""

import struct
import zlib
from collections.abc import Iterator
from functools import partial

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.support.corpus.case import IN_COLOUR, IN_GREY, Case, Shown, case
from tests.support.corpus.profiles import encoded
from tests.support.corpus.writing import GREY, GREY_ALPHA, PALETTE, RGB, RGB_ALPHA, Pixel, chunk, png, quarter_at
from tests.support.pictures import quarters, saved

SIZE = (200, 160)
_COLOURS = b"".join(bytes(colour) for colour in IN_COLOUR)
_PLTE = chunk(b"PLTE", _COLOURS)
_AT = quarter_at(SIZE)
CLEAR_QUARTERS = Shown(SIZE, None, is_transparent=True)


def pngs() -> list[Case]:
    return [*_depths(), *_transparent(), *_by_pillow(), *_gammas(), *_texts()]


def _quarter(x: int, y: int) -> int:
    return (x >= SIZE[0] // 2) + 2 * (y >= SIZE[1] // 2)


def _grey_steps(depth: int) -> tuple[Pixel, Shown]:
    """Four greys as far apart as the depth allows."""
    top = 2**depth - 1
    steps = [0, top // 3, top - top // 3, top] if depth > 1 else [0, 1, 1, 0]
    shown = tuple((round(255 * step / top),) * 3 for step in steps)
    return lambda x, y: (steps[_quarter(x, y)],), Shown(SIZE, shown)


def _depths() -> Iterator[Case]:
    for interlaced in (False, True):
        note = ", interlaced" if interlaced else ""
        for depth in (1, 2, 4, 8, 16):
            pixel, shown = _grey_steps(depth)
            make = partial(png, SIZE, depth, GREY, pixel, interlaced=interlaced)
            yield case(f"png grey of {depth} bits{note}", make, shown)
        for depth in (2, 4, 8):
            make = partial(png, SIZE, depth, PALETTE, lambda x, y: (_quarter(x, y),), _PLTE, interlaced=interlaced)
            yield case(f"png palette of {depth} bits{note}", make, Shown(SIZE))
        for depth, wide in ((8, 1), (16, 257)):
            for kind, last in ((RGB, ()), (RGB_ALPHA, (255 * wide,))):
                pixel = partial(_widened, wide, last)
                name = "RGB" if kind == RGB else "RGBA, opaque,"
                make = partial(png, SIZE, depth, kind, pixel, interlaced=interlaced)
                yield case(f"png {name} of {depth} bits{note}", make, Shown(SIZE))


def _widened(wide: int, last: tuple[int, ...], x: int, y: int) -> tuple[int, ...]:
    return (*(value * wide for value in _AT(x, y)), *last)


def _transparent() -> Iterator[Case]:
    """The first quarter is transparent, in each way that PNG has."""
    red = IN_COLOUR[0]
    for depth in (1, 2, 4, 8, 16):
        pixel, _ = _grey_steps(depth)
        clear = chunk(b"tRNS", struct.pack(">H", pixel(0, 0)[0]))
        yield case(f"png clear grey of {depth} bits", partial(png, SIZE, depth, GREY, pixel, clear), CLEAR_QUARTERS)
        if depth > 1:
            clear = chunk(b"tRNS", struct.pack(">H", pixel(SIZE[0] - 1, 0)[0]))
            make = partial(png, SIZE, depth, GREY, pixel, clear)
            yield case(f"png clear second grey of {depth} bits", make, CLEAR_QUARTERS)
    for depth, wide in ((8, 1), (16, 257)):
        clear = chunk(b"tRNS", struct.pack(">HHH", *(value * wide for value in red)))
        make = partial(png, SIZE, depth, RGB, partial(_widened, wide, ()), clear)
        yield case(f"png clear colour of {depth} bits", make, CLEAR_QUARTERS)
        for name, levels in (("clear", (0, 255, 255, 255)), ("half clear", (128, 255, 255, 255))):
            for kind in (RGB_ALPHA, GREY_ALPHA):
                pixel = partial(_with_alpha, wide, kind, levels)
                make = partial(png, SIZE, depth, kind, pixel)
                yield case(f"png {name} {'RGBA' if kind == RGB_ALPHA else 'LA'} of {depth} bits", make, CLEAR_QUARTERS)
    for depth in (2, 8):
        make = partial(png, SIZE, depth, PALETTE, lambda x, y: (_quarter(x, y),), _PLTE, chunk(b"tRNS", b"\0"))
        yield case(f"png clear palette of {depth} bits", make, CLEAR_QUARTERS)
    make = partial(png, SIZE, 8, RGB_ALPHA, lambda x, y: (*_AT(x, y), 0))
    yield case("png of nothing", make, CLEAR_QUARTERS)


def _with_alpha(wide: int, kind: int, levels: tuple[int, ...], x: int, y: int) -> tuple[int, ...]:
    colour = _AT(x, y) if kind == RGB_ALPHA else (200,)
    return tuple(value * wide for value in (*colour, levels[_quarter(x, y)]))


def _by_pillow() -> Iterator[Case]:
    picture = quarters((480, 360))
    shown = Shown(picture.size)
    yield case("png of one bit", partial(saved, picture.convert("1"), "PNG"), Shown(picture.size, None))
    yield case("png palette of 256", partial(saved, picture.quantize(256), "PNG"), shown)
    yield case("png stored", partial(saved, picture, "PNG", compress_level=0), shown)
    yield case("png animated", _animated, shown)
    yield case("png grey", partial(saved, picture.convert("L"), "PNG"), Shown(picture.size, IN_GREY))
    for size in ((1, 1), (1, 700), (700, 1), (3, 3)):
        yield case(f"png of {size[0]} x {size[1]}", partial(saved, quarters(size), "PNG"), Shown(size, None))


def _animated() -> bytes:
    others = [Image.new("RGB", (480, 360), colour) for colour in ("black", "white")]
    return saved(quarters((480, 360)), "PNG", save_all=True, append_images=others, duration=50)


def _gammas() -> Iterator[Case]:
    linear = tuple(tuple(encoded(value / 255) for value in colour) for colour in IN_COLOUR)
    for name, gamma, extra, shown in (
        ("of sRGB", 45455, b"", IN_COLOUR),
        ("of a camera of 1999", 55556, b"", None),
        ("that is linear", 100000, b"", linear),
        ("that is linear, but said to be sRGB,", 100000, chunk(b"sRGB", b"\0"), IN_COLOUR),
        ("of nought", 0, b"", IN_COLOUR),
    ):
        before = (extra, chunk(b"gAMA", struct.pack(">I", gamma)))
        yield case(f"png with a gamma {name}", partial(png, SIZE, 8, RGB, _AT, *before), Shown(SIZE, shown))


def _texts() -> Iterator[Case]:
    text = PngInfo()
    text.add_text("Comment", "plain " * 20)
    text.add_text("Compressed", "long " * 20_000, zip=True)
    text.add_itxt("International", "größer " * 200, "de", "Wörter", zip=True)
    yield case("png with texts", partial(saved, quarters(SIZE), "PNG", pnginfo=text), Shown(SIZE))
    for name, added in {
        "a background and a size in metres": (
            chunk(b"bKGD", b"\0\1" * 3),
            chunk(b"pHYs", struct.pack(">IIB", 1, 9, 1)),
        ),
        "an unknown chunk": (chunk(b"teSt", b"whatever"),),
        "broken EXIF": (chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff"),),
        "a broken profile": (chunk(b"iCCP", b"name\0\0" + zlib.compress(b"not a profile")),),
        "a profile that is not compressed": (chunk(b"iCCP", b"name\0\0not compressed"),),
        "a time": (chunk(b"tIME", struct.pack(">HBBBBB", 2026, 2, 30, 25, 61, 61)),),
    }.items():
        yield case(f"png with {name}", partial(png, SIZE, 8, RGB, _AT, *added), Shown(SIZE))
