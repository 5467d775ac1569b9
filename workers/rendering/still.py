"""Renders a still picture: decoded once, as small as possible; each size is made from the next larger one."""

from io import BytesIO
from typing import Any

from PIL import Image

from domain.image_formats import RenditionFormat
from workers.rendering.colours import ColourSpace, averageable, to_srgb
from workers.rendering.downscaling import shrunk
from workers.rendering.rendered import RenderedFile
from workers.rendering.sizes import Size, ladder, square_side
from workers.rendering.source import TURNS_THAT_SWAP_SIDES, orientation, refuse_damage
from workers.rendering.square_crop import square_window

_DECODE_FACTOR = 1.4  # a side is decoded to so many times the largest rendition: 49 dB from decoding all pixels
_STEP_DOWN = Image.Resampling.BICUBIC  # for a step of about two: 50 dB from LANCZOS at two thirds of its cost
# The lowest quality, in steps of five, whose mean SSIM is at least 0.95 in every width (`python -m benchmarks.quality`;
# table in benchmarks/README.md). Progressive JPEG is 4 % smaller, but takes a tenth more time.
_SAVE_OPTIONS: dict[RenditionFormat, dict[str, Any]] = {
    RenditionFormat.JPEG: {"quality": 75, "optimize": True},
    RenditionFormat.WEBP: {"quality": 80, "method": 2},
    RenditionFormat.PNG: {"compress_level": 6},
    RenditionFormat.AVIF: {"quality": 60, "speed": 9, "max_threads": 1},
}


def upright_size(image: Image.Image) -> Size:
    """The image's size after EXIF orientation; the image need not be decoded."""
    size = Size(*image.size)
    return size.turned if orientation(image) in TURNS_THAT_SWAP_SIDES else size


def pyramid(image: Image.Image) -> tuple[list[Image.Image], Image.Image]:
    """Decodes `image` to upright sRGB pictures: all sizes of the ladder, widest first, and the square.

    Closes the image. Raises Refusal(IMAGE_CORRUPT) if its pixels cannot be decoded.
    """
    turn, space, upright = orientation(image), ColourSpace.of(image), upright_size(image)
    sizes, side = ladder(upright), square_side(upright)
    with refuse_damage():
        _decode(image, max(sizes[0].width / upright.width, side / min(upright)))
        small = to_srgb(shrunk(image, stored_size(sizes[0], turn)), space)
    levels = scaled_down(turned(small, turn), sizes)
    square = square_of(levels, side)
    if square is None:  # a panorama: every level is lower than the square
        left, top, right, bottom = map(round, square_window(small).box(*image.size))
        cut = averageable(image.crop((left, top, right, bottom)))
        square = turned(to_srgb(cut.resize((side, side), Image.Resampling.LANCZOS), space), turn)
    image.close()  # frees its pixels before encoding needs memory
    return levels, square


def scaled_down(widest: Image.Image, sizes: list[Size]) -> list[Image.Image]:
    """Scales a picture of the first of `sizes` to the others, each from the one before it."""
    levels = [widest]
    for size in sizes[1:]:
        levels.append(levels[-1].resize(size, _STEP_DOWN))
    return levels


def square_of(levels: list[Image.Image], side: int) -> Image.Image | None:
    """Cuts the subject out of the smallest level that is large enough; None if none is, as in a panorama."""
    level = next((level for level in reversed(levels) if min(level.size) >= side), None)
    if level is None:
        return None
    box = square_window(levels[-1]).box(*level.size)
    return level.resize((side, side), Image.Resampling.LANCZOS, box=box)


def encode(picture: Image.Image, file_format: RenditionFormat) -> RenderedFile:
    """Encodes a picture with empty `info`."""
    buffer = BytesIO()
    picture.save(buffer, file_format.value, **_SAVE_OPTIONS[file_format])
    return RenderedFile(file_format, picture.width, picture.height, buffer.getvalue())


def still_format(picture: Image.Image) -> RenditionFormat:
    """The format for every client: JPEG, or PNG if the picture is transparent somewhere."""
    return RenditionFormat.PNG if picture.mode == "RGBA" else RenditionFormat.JPEG


def _decode(image: Image.Image, scale: float) -> None:
    """Decodes to at least `scale` of the size; decoding a JPEG at a half, a quarter or an eighth is cheaper."""
    wanted = Size(*image.size).times(min(1.0, scale * _DECODE_FACTOR))
    image.draft(None, wanted)
    expected = image.size
    image.load()
    if image.size != expected:
        raise ValueError("the size of the picture differs from its header")


def stored_size(size: Size, turn: Image.Transpose | None) -> Size:
    """The size before the turn of a picture whose upright size is `size`."""
    return size.turned if turn in TURNS_THAT_SWAP_SIDES else size


def turned(picture: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    return picture if turn is None else picture.transpose(turn)
