"""Renders one still picture: decoded once, as small as will do, each size made from the next larger one."""

from io import BytesIO
from typing import Any

from PIL import Image

from domain.image_formats import RenditionFormat
from workers.rendering.colours import ColourSpace, averageable, to_srgb
from workers.rendering.downscaling import shrunk
from workers.rendering.rendered import RenderedFile
from workers.rendering.sizes import Size, ladder, square_side
from workers.rendering.source import TURNS_THAT_SWAP_SIDES, damage_refused, orientation
from workers.rendering.square_crop import Window, square_window

_DECODE_FACTOR = 1.4  # pixels decoded for one of the largest rendition, along a side; 49 dB from decoding them all
_STEP_DOWN = Image.Resampling.BICUBIC  # for a step of about two: 50 dB from LANCZOS at two thirds of its cost
# The lowest quality, in steps of five, whose mean SSIM is 0.95 or more in every width: `python -m benchmarks.quality`,
# table in benchmarks/README.md. Progressive JPEG would be 4 % smaller, but costs the hot path a tenth more time.
_SAVE_OPTIONS: dict[RenditionFormat, dict[str, Any]] = {
    RenditionFormat.JPEG: {"quality": 75, "optimize": True},
    RenditionFormat.WEBP: {"quality": 80, "method": 2},
    RenditionFormat.PNG: {"compress_level": 6},
    RenditionFormat.AVIF: {"quality": 60, "speed": 9, "max_threads": 1},
}


def upright_size(image: Image.Image) -> Size:
    """The image's size after EXIF orientation, known before it is decoded."""
    size = Size(*image.size)
    return size.turned if orientation(image) in TURNS_THAT_SWAP_SIDES else size


def pyramid(image: Image.Image) -> tuple[list[Image.Image], Image.Image]:
    """Decodes `image` to its upright sRGB pictures: all sizes of the ladder, widest first, and the square.

    Uses the image up. Raises Refusal(IMAGE_CORRUPT) if its pixels cannot be decoded.
    """
    turn, space, upright = orientation(image), ColourSpace.of(image), upright_size(image)
    sizes, side = ladder(upright), square_side(upright)
    with damage_refused():
        _decode(image, max(sizes[0].width / upright.width, side / min(upright)))
        small = to_srgb(shrunk(image, lying(sizes[0], turn)), space)
    levels = scaled_down(turned(small, turn), sizes)
    square = square_of(levels, side)
    if square is None:  # a panorama: no level is as high as the square
        cut = averageable(image.crop(_whole(square_window(small).box(*image.size))))
        square = turned(to_srgb(cut.resize((side, side), Image.Resampling.LANCZOS), space), turn)
    image.close()  # and with it the memory of its pixels, before encoding takes more
    return levels, square


def scaled_down(widest: Image.Image, sizes: list[Size]) -> list[Image.Image]:
    """Scales a picture of the first of `sizes` to the others, each from the one before it."""
    levels = [widest]
    for size in sizes[1:]:
        levels.append(levels[-1].resize(size, _STEP_DOWN))
    return levels


def square_of(levels: list[Image.Image], side: int) -> Image.Image | None:
    """Cuts the subject out of the smallest level that is large enough; None if there is none, as with a panorama."""
    large_enough = next((level for level in reversed(levels) if min(level.size) >= side), None)
    return large_enough and _cut(large_enough, square_window(levels[-1]), side)


def encode(picture: Image.Image, file_format: RenditionFormat) -> RenderedFile:
    """Writes clean pixels (no `info`) to a file."""
    buffer = BytesIO()
    picture.save(buffer, file_format.value, **_SAVE_OPTIONS[file_format])
    return RenderedFile(file_format, picture.width, picture.height, buffer.getvalue())


def still_format(picture: Image.Image) -> RenditionFormat:
    """The format that every client can show: JPEG, or PNG if the picture is transparent somewhere."""
    return RenditionFormat.PNG if picture.mode == "RGBA" else RenditionFormat.JPEG


def _decode(image: Image.Image, scale: float) -> None:
    """Decodes to at least `scale` of the size; JPEG can be decoded at a half, a quarter or an eighth for less."""
    wanted = Size(*image.size).times(min(1.0, scale * _DECODE_FACTOR))
    image.draft(None, wanted)
    announced = image.size
    image.load()
    if image.size != announced:
        raise ValueError("the picture is not of the size that its file says")


def lying(size: Size, turn: Image.Transpose | None) -> Size:
    """The size before it is turned of what is to have `size` upright."""
    return size.turned if turn in TURNS_THAT_SWAP_SIDES else size


def turned(picture: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    """The picture, upright."""
    return picture if turn is None else picture.transpose(turn)


def _cut(picture: Image.Image, window: Window, side: int) -> Image.Image:
    return picture.resize((side, side), Image.Resampling.LANCZOS, box=window.box(*picture.size))


def _whole(box: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    left, top, right, bottom = map(round, box)
    return left, top, right, bottom
