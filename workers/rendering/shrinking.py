"""Scales a decoded picture down without ever holding a second one of its size.

Pillow averages only some modes, needs four bytes a pixel for most of them, and copies the whole picture for every
conversion: fifty megapixels would lie in memory two or three times. So a picture is converted and narrowed in bands
of rows, and only what is left of them is kept.
"""

from collections.abc import Iterator
from math import ceil

from PIL import Image

from workers.rendering.colours import averageable
from workers.rendering.ladder import Size

_BAND_PIXELS = 1 << 19  # 2 MB a copy; larger bands are no faster
_REDUCING_GAP = 3  # large steps down are box-averaged to 3 times the size first; the difference cannot be seen
_LANCZOS = Image.Resampling.LANCZOS


def shrunk(image: Image.Image, size: Size) -> Image.Image:
    """The picture at `size`, not larger than it is, by LANCZOS, in one of the modes that `averageable` answers."""
    across = max(1, image.width // (size.width * _REDUCING_GAP))
    down = max(1, image.height // (size.height * _REDUCING_GAP))
    strips = _narrow_strips(image, size.width, across, down)
    top, strip = next(strips)
    narrow = Image.new(strip.mode, (size.width, ceil(image.height / down)))
    narrow.paste(strip, (0, top))
    for top, strip in strips:
        narrow.paste(strip, (0, top))
    return narrow.resize(size, _LANCZOS, box=(0, 0, size.width, image.height / down))


def _narrow_strips(image: Image.Image, width: int, across: int, down: int) -> Iterator[tuple[int, Image.Image]]:
    """Yields the picture at its final width and `down` times less height: strips with where each begins."""
    rows = max(1, _BAND_PIXELS // (image.width * down)) * down
    for top in range(0, image.height, rows):
        band = averageable(image.crop((0, top, image.width, min(top + rows, image.height))))
        reduced = band.reduce((across, down)) if across > 1 or down > 1 else band
        box = (0, 0, image.width / across, reduced.height)
        yield top // down, reduced.resize((width, reduced.height), _LANCZOS, box=box)
