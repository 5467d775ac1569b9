"""A picture like a phone's: twelve megapixels with detail at every scale and hard edges, the same for the same seed."""

from io import BytesIO
from random import Random

from PIL import ExifTags, Image, ImageChops, ImageDraw

SIZE = (4032, 3024)
COARSE = ((6, 0.45), (24, 0.25), (96, 0.14))  # columns of random dots, and their weight
FINE = ((384, 0.10), (1536, 0.08), (4032, 0.03))  # the last one is the sensor's grain
OBJECTS = 120
AS_IT_IS, ON_ITS_SIDE = 1, 6  # EXIF: the second is to be shown turned a quarter clockwise


def phone_jpeg(seed: int, *, level: bool = False, grain: float = 1.0) -> bytes:
    """A JPEG of 4032 x 3024 pixels at quality 88, about 2 MB; to be turned upright by its EXIF, if not `level`.

    `grain` is how much finest detail there is: a sensor's noise, more in the dark.
    """
    random = Random(seed)
    fine = tuple((columns, weight * grain) for columns, weight in FINE)
    light = _objects(_dots(_dots(Image.new("L", SIZE, 128), COARSE, random), fine, random), random)
    colors = [_dots(Image.new("L", SIZE, 128), COARSE, random) for _ in range(2)]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = AS_IT_IS if level else ON_ITS_SIDE
    buffer = BytesIO()
    Image.merge("YCbCr", [light, *colors]).convert("RGB").save(buffer, "JPEG", quality=88, exif=exif)
    return buffer.getvalue()


def _dots(channel: Image.Image, octaves: tuple[tuple[int, float], ...], random: Random) -> Image.Image:
    """Adds random detail that gets fainter as it gets finer, as it does in photographs."""
    for columns, weight in octaves:
        size = (columns, columns * 3 // 4)
        faint = bytes(round(value * weight) for value in range(256))
        dots = Image.frombytes("L", size, random.randbytes(size[0] * size[1]).translate(faint))
        enlarged = dots.resize(SIZE, Image.Resampling.BICUBIC)
        channel = ImageChops.add(channel, enlarged, offset=-round(127.5 * weight))
    return channel


def _objects(channel: Image.Image, random: Random) -> Image.Image:
    """Makes shapes lighter or darker than what is around them."""
    shade = Image.new("L", SIZE, 128)
    draw = ImageDraw.Draw(shade)
    for _ in range(OBJECTS):
        x, y, side = random.randrange(SIZE[0]), random.randrange(SIZE[1]), random.randrange(40, 700)
        draw.regular_polygon(
            (x, y, side), random.randrange(3, 9), random.randrange(360), fill=random.randrange(90, 166)
        )
    return ImageChops.add(channel, shade, offset=-128)
