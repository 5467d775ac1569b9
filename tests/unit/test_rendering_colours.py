"""Colours equal those of a reference conversion, and turned pictures equal the upright one."""

from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import product

import pytest
from PIL import Image, ImageChops, ImageCms

from domain.image_formats import RenditionFormat
from tests.support.corpus.jpegs import APP14, STORED_TURNS, as_photoshop_writes_it
from tests.support.corpus.profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    Space,
    cmyk_in_srgb,
    cmyk_profile,
    encoded,
    grey_profile,
    in_srgb,
    profile,
)
from tests.support.corpus.writing import GREY, PALETTE, RGB, Pixel, chunk, jpeg_without, png
from tests.support.pictures import pixel_at, saved
from workers.rendering.pipeline import render
from workers.rendering.source import open_source
from workers.rendering.still import pyramid

SPACES = {"Display P3": DISPLAY_P3, "Adobe RGB": ADOBE_RGB}
TOLERANCE = 3  # of 255
PATCH, STEPS = 60, (0, 51, 102, 153, 204, 255)
COLOURS = list(product(STEPS, STEPS[::2], STEPS[::2]))
INKS = [
    (c, m, y, k) for (c, m, y), k in zip(COLOURS, STEPS * 9, strict=True) if c + m + y + k < 600
]  # as much ink as paper can hold
UNFIT_FOR_CMYK = {
    "none": None,
    "for RGB": profile(DISPLAY_P3),
    "for grey": grey_profile(1.8),
    "cut off": cmyk_profile()[:600],
    "of zeros": bytes(1000),
    "that is none": b"not a profile",
}


def patches() -> Image.Image:
    """Fields of one colour each, six in a row."""
    return painted(Image.new("RGB", (6 * PATCH, len(COLOURS) // 6 * PATCH)), COLOURS)


def prints() -> Image.Image:
    """The same in CMYK; the last fields are white paper."""
    return painted(Image.new("CMYK", patches().size), INKS)


def painted(picture: Image.Image, colours: Sequence[tuple[int, ...]]) -> Image.Image:
    for number, colour in enumerate(colours):
        left, top = number % 6 * PATCH, number // 6 * PATCH
        picture.paste(colour, (left, top, left + PATCH, top + PATCH))
    return picture


def middles(picture: Image.Image) -> list[tuple[int, ...]]:
    """The colour in the middle of each patch, in a picture of any size."""
    rgb = picture.convert("RGB")
    pixels = []
    for number in range(len(COLOURS)):
        x, y = number % 6 * PATCH + PATCH // 2, number // 6 * PATCH + PATCH // 2
        pixels.append(pixel_at(rgb, (x * rgb.width // (6 * PATCH), y * rgb.height // (len(COLOURS) // 6 * PATCH))))
    return pixels


def max_difference(colours: Sequence[tuple[int, ...]], wanted: Sequence[tuple[int, ...]]) -> int:
    return max(abs(a - b) for pair in zip(colours, wanted, strict=True) for a, b in zip(*pair, strict=True))


def halves(left: tuple[int, ...], right: tuple[int, ...]) -> Pixel:
    """The left and the right half of a picture that is 40 pixels wide."""
    return lambda x, _: left if x < 20 else right


def widest(data: bytes) -> Image.Image:
    return pyramid(open_source(data).image)[0][0]


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_colours_match_the_formula(name: str, kind: str) -> None:
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    data = saved(patches(), kind, icc_profile=profile(SPACES[name]), **options)
    stored = middles(Image.open(BytesIO(data)))  # the rounding of a JPEG is not that of the conversion
    wanted = [in_srgb(SPACES[name], (r, g, b)) for r, g, b in stored]
    assert max_difference(middles(widest(data)), wanted) <= TOLERANCE


def test_profiles_do_change_colours() -> None:
    for space in SPACES.values():
        assert max_difference([in_srgb(space, (r, g, b)) for r, g, b in COLOURS], COLOURS) > 20


@pytest.mark.parametrize("space", SPACES.values(), ids=list(SPACES))
def test_shrinking_before_converting_is_as_good_as_converting_the_whole(space: Space) -> None:
    """The reference: LittleCMS on every pixel, and then LANCZOS."""
    soft = patches().resize((1600, 1200), Image.Resampling.BICUBIC)
    icc = profile(space)
    srgb = ImageCms.profileToProfile(soft, ImageCms.ImageCmsProfile(BytesIO(icc)), ImageCms.createProfile("sRGB"))
    assert srgb is not None
    rendered = widest(saved(soft, "PNG", icc_profile=icc))
    wanted = srgb.resize(rendered.size, Image.Resampling.LANCZOS)
    assert max_difference(middles(rendered), middles(wanted)) <= TOLERANCE
    off = ImageChops.difference(rendered, wanted).convert("L").histogram()
    assert sum(off[: TOLERANCE + 1]) > 0.99 * sum(off)


def test_renditions_keep_the_colours() -> None:
    """Compression changes even areas only a little."""
    rendered = render(saved(patches(), "PNG"))
    for file in rendered.renditions:
        if file.width >= 320 and file.format is RenditionFormat.JPEG:
            assert max_difference(middles(Image.open(BytesIO(file.data))), COLOURS) <= TOLERANCE


def test_grey_profile_is_converted() -> None:
    grey = patches().convert("L")
    rendered = middles(widest(saved(grey, "PNG", icc_profile=grey_profile(1.0))))
    wanted = [(encoded(value / 255),) * 3 for value, *_ in middles(grey)]
    assert max_difference(rendered, wanted) <= TOLERANCE


CMYK_FILES = {
    "as Adobe has it": lambda **options: saved(prints(), "JPEG", quality=100, **options),
    "in YCCK": lambda **options: as_photoshop_writes_it(prints(), **options),
    "without Adobe's mark": lambda **options: jpeg_without(saved(prints(), "JPEG", quality=100, **options), APP14),
}


@pytest.mark.parametrize("make", CMYK_FILES.values(), ids=list(CMYK_FILES))
def test_cmyk_profile_is_converted_and_removed(make: Callable[..., bytes]) -> None:
    data = make(icc_profile=cmyk_profile())
    assert Image.open(BytesIO(data)).mode == "CMYK"
    wanted = [cmyk_in_srgb(inks) for inks in INKS]
    assert max_difference(middles(widest(data))[: len(INKS)], wanted) <= TOLERANCE
    for file in render(data).renditions:
        picture = Image.open(BytesIO(file.data))
        assert picture.mode == "RGB"
        assert "icc_profile" not in picture.info
        assert b"acsp" not in file.data


@pytest.mark.parametrize("make", CMYK_FILES.values(), ids=list(CMYK_FILES))
@pytest.mark.parametrize("icc", UNFIT_FOR_CMYK.values(), ids=list(UNFIT_FOR_CMYK))
def test_cmyk_without_a_suitable_profile_is_converted_by_its_numbers(
    make: Callable[..., bytes], icc: bytes | None
) -> None:
    data = make(icc_profile=icc) if icc else make()
    wanted = [tuple(round((255 - ink) * (255 - k) / 255) for ink in (c, m, y)) for c, m, y, k in INKS]
    assert max_difference(middles(widest(data))[: len(INKS)], wanted) <= TOLERANCE
    assert max_difference(wanted, [cmyk_in_srgb(inks) for inks in INKS]) > 20


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_cmyk_profile_of_an_rgb_picture_is_ignored(kind: str) -> None:
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    data = saved(patches(), kind, icc_profile=cmyk_profile(), **options)
    assert max_difference(middles(widest(data)), COLOURS) <= TOLERANCE


def test_linear_gamma_of_a_png_is_converted_and_that_of_srgb_is_not() -> None:
    for gamma, wanted in ((100_000, encoded(100 / 255)), (45_455, 100)):
        data = png((40, 40), 8, RGB, halves((100, 100, 100), (100, 100, 100)), chunk(b"gAMA", gamma.to_bytes(4)))
        assert widest(data).getpixel((5, 5)) == (wanted,) * 3


def test_only_the_transparent_colour_is_transparent() -> None:
    """Pillow scales greys of few bits and of 16 to 8 bits, but not the transparent colour."""
    for depth, values in ((2, (1, 2)), (4, (5, 6)), (16, (0x1234, 0x12FF))):
        clear = chunk(b"tRNS", values[0].to_bytes(2))
        alpha = widest(png((40, 40), depth, GREY, halves(values[:1], values[1:]), clear)).getchannel("A")
        assert (alpha.getpixel((5, 20)), alpha.getpixel((35, 20))) == (0, 255), depth
    palette = (chunk(b"PLTE", bytes(range(12))), chunk(b"tRNS", b"\xff\x80"))
    alpha = widest(png((40, 40), 2, PALETTE, halves((0,), (1,)), *palette)).getchannel("A")
    assert (alpha.getpixel((5, 20)), alpha.getpixel((35, 20))) == (255, 128)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_all_orientations_give_the_same_picture(kind: str) -> None:
    """The picture has no symmetry; each rendition equals that of the upright picture, except for rounding."""
    upright = patches().resize((960, 480), Image.Resampling.BICUBIC)
    shown = {}
    for orientation, turn in STORED_TURNS.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
        stored = upright if turn is None else upright.transpose(turn)
        levels, square = pyramid(open_source(saved(stored, kind, exif=exif, **options)).image)
        shown[orientation] = [*levels, square]
    for orientation, pictures in shown.items():
        for picture, first in zip(pictures, shown[1], strict=True):
            assert picture.size == first.size
            off = ImageChops.difference(picture, first).convert("L").histogram()
            assert sum(off[: TOLERANCE + 1]) > 0.99 * sum(off), (orientation, picture.size)
