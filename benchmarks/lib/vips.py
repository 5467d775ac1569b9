"""The same JPEG renditions by libvips, to compare ours with; needs `pip install photogram[bench]`."""

import os

os.environ.setdefault("VIPS_CONCURRENCY", "1")  # read when libvips starts: one core, as for the others

import pyvips

from domain.image_formats import RenditionFormat
from domain.limits import RENDITION_WIDTHS
from workers.rendering.rendered import RenderedFile

QUALITY = 75  # as ours
_TALLEST = 16_383


def vips_jpeg(data: bytes) -> list[RenderedFile]:
    """Decodes at the wanted size, makes each rendition from the one before, and cuts by libvips's own attention."""
    side, *widths = RENDITION_WIDTHS
    widest, *others = sorted(widths, reverse=True)
    levels = [pyvips.Image.thumbnail_buffer(data, widest, height=_TALLEST, size="down").copy_memory()]
    for width in others:
        levels.append(levels[-1].thumbnail_image(width, height=_TALLEST, size="down").copy_memory())
    square = levels[-1].thumbnail_image(side, height=side, crop="attention")
    return [_saved(picture) for picture in (*levels, square)]


def _saved(picture: pyvips.Image) -> RenderedFile:
    data = picture.jpegsave_buffer(Q=QUALITY, optimize_coding=True, keep="none")
    return RenderedFile(RenditionFormat.JPEG, picture.width, picture.height, data)
