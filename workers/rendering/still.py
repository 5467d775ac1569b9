"""Renders one still picture: decoded once, as small as will do, each size made from the next larger one."""

from io import BytesIO
from typing import Any

from PIL import Image, ImageFile, ImageOps

from domain.limits import RenditionFormat
from workers.rendering.colours import resizable, to_srgb
from workers.rendering.ladder import Size, ladder, square_side
from workers.rendering.rendered import RenderedFile
from workers.rendering.source import TURNS_THAT_SWAP_SIDES, damage_refused, orientation

_DECODE_FACTOR = 1.4  # pixels decoded for one of the largest rendition, along a side; 51 dB from decoding them all
_REDUCING_GAP = 3.0  # large steps down are box-averaged to 3 times the size first; the difference cannot be seen
_SAVE_OPTIONS: dict[RenditionFormat, dict[str, Any]] = {
    RenditionFormat.JPEG: {"quality": 82, "optimize": True, "progressive": True},
    RenditionFormat.WEBP: {"quality": 80, "method": 2},
    RenditionFormat.PNG: {"compress_level": 6},
    RenditionFormat.AVIF: {"quality": 60, "speed": 9, "max_threads": 1},
}


def upright_size(image: Image.Image) -> Size:
    """The image's size after EXIF orientation, known before it is decoded."""
    size = Size(*image.size)
    return size.turned if orientation(image) in TURNS_THAT_SWAP_SIDES else size


def pyramid(image: ImageFile.ImageFile) -> tuple[list[Image.Image], Image.Image]:
    """Decodes `image` to its upright sRGB pictures: all sizes of the ladder, widest first, and the square.

    Uses the image up. Raises Refusal(IMAGE_CORRUPT) if its pixels cannot be decoded.
    """
    turn, icc, upright = orientation(image), image.info.get("icc_profile"), upright_size(image)
    sizes, side = ladder(upright), square_side(upright)
    with damage_refused():
        _decode(image, max(sizes[0].width / upright.width, side / min(upright)))
        pixels = resizable(image)

    def finish(picture: Image.Image) -> Image.Image:
        srgb = to_srgb(picture, icc)
        return srgb if turn is None else srgb.transpose(turn)

    widest = sizes[0].turned if turn in TURNS_THAT_SWAP_SIDES else sizes[0]
    levels = scaled_down(finish(pixels.resize(widest, Image.Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)), sizes)
    return levels, square_of(levels, side) or finish(_fit(pixels, side))


def scaled_down(widest: Image.Image, sizes: list[Size]) -> list[Image.Image]:
    """Scales a picture of the first of `sizes` to the others, each from the one before it."""
    levels = [widest]
    for size in sizes[1:]:
        levels.append(levels[-1].resize(size, Image.Resampling.LANCZOS))
    return levels


def square_of(levels: list[Image.Image], side: int) -> Image.Image | None:
    """Cuts the middle out of the smallest level that is large enough; None if there is none, as with a panorama."""
    return next((_fit(level, side) for level in reversed(levels) if min(level.size) >= side), None)


def encode(picture: Image.Image, file_format: RenditionFormat) -> RenderedFile:
    """Writes clean pixels (no `info`) to a file."""
    buffer = BytesIO()
    picture.save(buffer, file_format.value, **_SAVE_OPTIONS[file_format])
    return RenderedFile(file_format, picture.width, picture.height, buffer.getvalue())


def still_format(picture: Image.Image) -> RenditionFormat:
    """The format that every client can show: JPEG, or PNG if the picture is transparent somewhere."""
    return RenditionFormat.PNG if picture.mode == "RGBA" else RenditionFormat.JPEG


def _decode(image: ImageFile.ImageFile, scale: float) -> None:
    """Decodes to at least `scale` of the size; JPEG can be decoded at a half, a quarter or an eighth for less."""
    wanted = Size(*image.size).times(min(1.0, scale * _DECODE_FACTOR))
    image.draft(None, wanted)
    image.load()


def _fit(picture: Image.Image, side: int) -> Image.Image:
    return ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS)
