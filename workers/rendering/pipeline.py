"""Makes the renditions of an uploaded image."""

import warnings
from collections.abc import Iterable, Iterator

import msgspec
from PIL import Image

from domain.image_formats import RenditionFormat
from workers.rendering.allocator import tune_allocator
from workers.rendering.animation import encode_moving, moving_sizes, read_animation, scaled
from workers.rendering.expected_time import refuse_slow
from workers.rendering.placeholder import blur_hash, dominant_color
from workers.rendering.rendered import USUAL, Formats, Rendered, RenderedFile
from workers.rendering.sizes import Size, ladder, square_side
from workers.rendering.source import Motion, Source, open_source
from workers.rendering.still import encode, pyramid, scaled_down, square_of, still_format, upright_size

POSTER_WIDTH = 640


def render(data: bytes, formats: Formats = USUAL) -> Rendered:
    """Makes all renditions in these formats in one pass of `renderings`."""
    return next(renderings(data, formats))


def renderings(data: bytes, *passes: Formats, max_seconds: float | None = None) -> Iterator[Rendered]:
    """Yields for each pass the renditions in its formats; decodes the image once.

    The content alone decides the format of the source. A still image gets JPEG, or PNG if it is transparent, an
    animation also GIF and never AVIF. The same bytes always give the same files.

    Raises Refusal with UNSUPPORTED_FORMAT, IMAGE_TOO_LARGE, IMAGE_CORRUPT, TOO_MANY_PIXELS or TOO_MANY_FRAMES, and
    MemoryError. If rendering is expected to take more than `max_seconds`, raises NeedsSlowLane before it decodes.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about damaged metadata, which is dropped
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        source = open_source(data)
        refuse_slow(max_seconds, source.format, source.pixels, source.motion.count if source.motion else 1)
        tune_allocator(source.pixels)
        yield from _moving(source, source.motion, passes) if source.motion else _still(source.image, passes)


def _still(image: Image.Image, passes: Iterable[Formats]) -> Iterator[Rendered]:
    size = upright_size(image)
    levels, square = pyramid(image)
    described = _described(size, levels[-1], is_animated=False)
    possible = (still_format(levels[0]), RenditionFormat.WEBP, RenditionFormat.AVIF)
    for formats in passes:
        wanted = [file_format for file_format in possible if file_format in formats]
        pictures = [square, *reversed(levels)]
        yield _with_files(described, [encode(picture, file_format) for picture in pictures for file_format in wanted])


def _moving(source: Source, motion: Motion, passes: Iterable[Formats]) -> Iterator[Rendered]:
    size = upright_size(source.image)
    sizes = moving_sizes(size, motion.count)
    widest = read_animation(source, motion, sizes[0])
    described = _described(size, widest.frames[0], is_animated=True)
    for formats in passes:
        files = _posters(widest.frames[0], formats)
        wanted = [file_format for file_format in (RenditionFormat.GIF, RenditionFormat.WEBP) if file_format in formats]
        animation = widest
        for size in sizes if wanted else ():
            animation = scaled(animation, size)
            files += [encode_moving(animation, file_format) for file_format in wanted]
        yield _with_files(described, files)


def _posters(first: Image.Image, formats: Formats) -> list[RenderedFile]:
    """The still renditions of an animation: the square, and its first frame, at most POSTER_WIDTH wide."""
    file_format, size = still_format(first), Size(*first.size)
    if file_format not in formats:
        return []
    levels = scaled_down(first, ladder(size))
    poster = next(level for level in levels if level.width <= POSTER_WIDTH)
    square = square_of(levels, square_side(size))
    return [encode(picture, file_format) for picture in (square, poster) if picture]


def _described(source: Size, sample: Image.Image, *, is_animated: bool) -> Rendered:
    """The answer of every pass, without its renditions."""
    return Rendered(
        width=source.width,
        height=source.height,
        blur_hash=blur_hash(sample),
        dominant_color=dominant_color(sample),
        is_animated=is_animated,
        renditions=[],
    )


def _with_files(described: Rendered, files: list[RenderedFile]) -> Rendered:
    order = list(RenditionFormat)
    files = sorted(files, key=lambda file: (file.width, order.index(file.format)))
    return msgspec.structs.replace(described, renditions=files)
