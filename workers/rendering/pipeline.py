"""From the bytes somebody uploaded to the files everybody may see."""

import warnings

from PIL import Image, ImageFile

from domain.limits import RenditionFormat, SourceFormat
from workers.rendering.animation import encode_moving, moving_sizes, read_animation, scaled
from workers.rendering.ladder import Size, ladder, square_side
from workers.rendering.placeholder import blur_hash, dominant_color
from workers.rendering.rendered import Rendered, RenderedFile
from workers.rendering.source import frame_count, open_source
from workers.rendering.still import encode, pyramid, scaled_down, square_of, still_format, upright_size

POSTER_WIDTH = 640


def render(data: bytes) -> Rendered:
    """Makes all renditions of a JPEG, PNG or GIF; what it is, its content decides.

    The same bytes always give the same files. Raises Refusal with UNSUPPORTED_FORMAT, IMAGE_TOO_LARGE, IMAGE_CORRUPT,
    TOO_MANY_PIXELS or TOO_MANY_FRAMES, and MemoryError if there is not enough.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd metadata, which is thrown away
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        source, image = open_source(data)
        frames = frame_count(data, image) if source is SourceFormat.GIF else 1
        return _moving(image, frames) if frames > 1 else _still(image)


def _still(image: ImageFile.ImageFile) -> Rendered:
    size = upright_size(image)
    levels, square = pyramid(image)
    plain = still_format(levels[0])
    files = [
        encode(picture, file_format)
        for picture in [square, *reversed(levels)]
        for file_format in (plain, RenditionFormat.WEBP)
    ]
    return _rendered(size, levels[-1], files, is_animated=False)


def _moving(image: ImageFile.ImageFile, frames: int) -> Rendered:
    source = Size(*image.size)
    sizes = moving_sizes(source, frames)
    animation = read_animation(image, frames, sizes[0])
    first = animation.frames[0]
    stills = _posters(first)
    files = list(stills)
    for size in sizes:
        animation = scaled(animation, size)
        files += encode_moving(animation)
    return _rendered(source, first, files, is_animated=True)


def _posters(first: Image.Image) -> list[RenderedFile]:
    """The square, and the first frame at the poster's width or as near below as the animation allows."""
    size = Size(*first.size)
    levels = scaled_down(first, ladder(size))
    poster = next((level for level in levels if level.width <= POSTER_WIDTH), levels[-1])
    squares = [square for square in [square_of(levels, square_side(size))] if square]
    return [encode(picture, still_format(first)) for picture in [*squares, poster]]


def _rendered(source: Size, sample: Image.Image, files: list[RenderedFile], *, is_animated: bool) -> Rendered:
    order = list(RenditionFormat)
    return Rendered(
        width=source.width,
        height=source.height,
        blur_hash=blur_hash(sample),
        dominant_color=dominant_color(sample),
        is_animated=is_animated,
        renditions=sorted(files, key=lambda file: (file.width, order.index(file.format))),
    )
