"""The BlurHash and the colour that a client shows while an image loads."""

import blurhash
from PIL import Image

from workers.rendering.colours import on_white

_SAMPLE_SIDE = 24  # enough for 4 x 3 components; more pixels only take longer


def blur_hash(picture: Image.Image) -> str:
    """The BlurHash of the picture on white: 4 x 3 components, or 3 x 4 for a portrait."""
    sample = on_white(picture).resize((_SAMPLE_SIDE, _SAMPLE_SIDE), Image.Resampling.BOX)
    rows = [[sample.getpixel((x, y)) for x in range(_SAMPLE_SIDE)] for y in range(_SAMPLE_SIDE)]
    across, down = (4, 3) if picture.width >= picture.height else (3, 4)
    return str(blurhash.encode(rows, across, down))


def dominant_color(picture: Image.Image) -> str:
    """The colour that covers most of the picture on white, as #rrggbb."""
    sample = on_white(picture).resize((64, 64), Image.Resampling.BOX).quantize(6, Image.Quantize.MEDIANCUT)
    _, index = max(sample.getcolors() or [(0, 0)])
    palette = sample.getpalette() or [0, 0, 0]
    red, green, blue = palette[3 * int(str(index)) :][:3]
    return f"#{red:02x}{green:02x}{blue:02x}"
