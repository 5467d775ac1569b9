"""The result of rendering one image."""

from collections.abc import Collection

import msgspec

from domain.image_formats import RenditionFormat

Formats = Collection[RenditionFormat]
SHOWN_EVERYWHERE: Formats = (RenditionFormat.JPEG, RenditionFormat.PNG, RenditionFormat.GIF)
SMALLER: Formats = (RenditionFormat.WEBP,)
USUAL: Formats = (*SHOWN_EVERYWHERE, *SMALLER)


class RenderedFile(msgspec.Struct, frozen=True):
    """A finished file; `data` has no metadata of any kind."""

    format: RenditionFormat
    width: int
    height: int
    data: bytes


class Rendered(msgspec.Struct, frozen=True, tag=True):
    """A rendered image in the formats of one pass.

    `width` and `height` are those of the upright source. `renditions` are ordered by width, then by the order of
    `RenditionFormat`. The GIF and WEBP of an animation move; it also has still renditions in JPEG, or PNG if it is
    transparent.
    """

    width: int
    height: int
    blur_hash: str
    dominant_color: str
    is_animated: bool
    renditions: list[RenderedFile]
