"""From the bytes somebody uploaded to the files everybody may see."""

import warnings
from collections.abc import Iterable, Iterator

import msgspec
from PIL import Image

from domain.image_formats import RenditionFormat
from workers.rendering.allocator import arrange_memory
from workers.rendering.animation import encode_moving, moving_sizes, read_animation, scaled
from workers.rendering.expected_time import refuse_slow
from workers.rendering.placeholder import blur_hash, dominant_color
from workers.rendering.rendered import USUAL, Formats, Rendered, RenderedFile
from workers.rendering.sizes import Size, ladder, square_side
from workers.rendering.source import Motion, Source, open_source
from workers.rendering.still import encode, pyramid, scaled_down, square_of, still_format, upright_size

POSTER_WIDTH = 640


def render(data: bytes, formats: Formats = USUAL) -> Rendered:
    """All renditions in these formats at once; as `renderings`."""
    return next(renderings(data, formats))


def renderings(data: bytes, *passes: Formats, max_seconds: float | None = None) -> Iterator[Rendered]:
    """Makes the renditions of an image of any `SourceFormat` in the formats of each pass, one pass after the other.

    What the image is, its content decides; it is decoded once. JPEG or PNG is what a still picture needs, GIF is for
    moving ones, and a moving one has no AVIF. The same bytes always give the same files. Raises Refusal with
    UNSUPPORTED_FORMAT, IMAGE_TOO_LARGE, IMAGE_CORRUPT, TOO_MANY_PIXELS or TOO_MANY_FRAMES, and MemoryError if there is
    not enough. Raises NeedsSlowLane, before it decodes anything, if that is expected to take more than `max_seconds`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd metadata, which is thrown away
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        source = open_source(data)
        refuse_slow(max_seconds, source.format, source.pixels, source.motion.count if source.motion else 1)
        arrange_memory(source.pixels)
        yield from _moving(source, source.motion, passes) if source.motion else _still(source.image, passes)


def _still(image: Image.Image, passes: Iterable[Formats]) -> Iterator[Rendered]:
    size = upright_size(image)
    levels, square = pyramid(image)
    described = _described(size, levels[-1], is_animated=False)
    possible = (still_format(levels[0]), RenditionFormat.WEBP, RenditionFormat.AVIF)
    for formats in passes:
        wanted = [each for each in possible if each in formats]
        yield _with_files(
            described, [encode(picture, each) for picture in [square, *reversed(levels)] for each in wanted]
        )


def _moving(source: Source, motion: Motion, passes: Iterable[Formats]) -> Iterator[Rendered]:
    size = upright_size(source.image)
    sizes = moving_sizes(size, motion.count)
    widest = read_animation(source, motion, sizes[0])
    described = _described(size, widest.frames[0], is_animated=True)
    for formats in passes:
        files = _posters(widest.frames[0], formats)
        wanted = [each for each in (RenditionFormat.GIF, RenditionFormat.WEBP) if each in formats]
        animation = widest
        for size in sizes if wanted else ():
            animation = scaled(animation, size)
            files += [encode_moving(animation, each) for each in wanted]
        yield _with_files(described, files)


def _posters(first: Image.Image, formats: Formats) -> list[RenderedFile]:
    """The square, and the first frame at the poster's width or as near below as the animation allows."""
    plain, size = still_format(first), Size(*first.size)
    if plain not in formats:
        return []
    levels = scaled_down(first, ladder(size))
    poster = next((level for level in levels if level.width <= POSTER_WIDTH), levels[-1])
    squares = [square for square in [square_of(levels, square_side(size))] if square]
    return [encode(picture, plain) for picture in [*squares, poster]]


def _described(source: Size, sample: Image.Image, *, is_animated: bool) -> Rendered:
    """What every pass says of the image, found out once."""
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
