"""What rendering one image yields."""

from collections.abc import Collection

import msgspec

from domain.image_formats import RenditionFormat

Formats = Collection[RenditionFormat]
SHOWN_EVERYWHERE: Formats = (RenditionFormat.JPEG, RenditionFormat.PNG, RenditionFormat.GIF)
SMALLER: Formats = (RenditionFormat.WEBP,)
USUAL: Formats = (*SHOWN_EVERYWHERE, *SMALLER)


class RenderedFile(msgspec.Struct, frozen=True):
    """One finished file: `data` holds pixels and nothing else, no metadata of any kind. Sizes are in pixels."""

    format: RenditionFormat
    width: int
    height: int
    data: bytes


class Rendered(msgspec.Struct, frozen=True, tag=True):
    """An image ready to be stored, in the formats of one pass.

    `width` and `height` are those of the source, upright. `renditions` are ordered by width, then by the order of
    `RenditionFormat`. A moving image also has still renditions (JPEG, or PNG where it is
    transparent); its GIF and WEBP ones move.
    """

    width: int
    height: int
    blur_hash: str
    dominant_color: str
    is_animated: bool
    renditions: list[RenderedFile]
