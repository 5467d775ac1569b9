"""The demo's pictures: sixty posts' worth and ten avatars, painted on the spot and always the same."""

from io import BytesIO
from random import Random
from typing import Any, NamedTuple

from PIL import ExifTags, Image

from deploy.demo.avatars import portrait
from deploy.demo.catalogue import ENTRIES, PHONE, Entry
from deploy.demo.painting import colors, grain
from domain.image_formats import SourceFormat

PICTURES = len(ENTRIES)
AVATARS = 10
_STRIDE = 23  # shares no factor with 60: neighbours in the answer are of different kinds
_PAINTED = 0.75  # painted at this scale and enlarged, which is faster and softens the edges
_PHONE_PAINTED = 0.5
_CLIP_FRAMES = 24


class DemoPicture(NamedTuple):
    """A file as a phone would upload it, and what its author says about it."""

    data: bytes
    format: SourceFormat
    alt_text: str
    caption: str


def picture(index: int) -> DemoPicture:
    """Paints one of sixty pictures (0 to 59, then again from the start); the same index gives the same bytes.

    One is a 12-megapixel photograph held upright, with the orientation and the place in its EXIF; ten have
    transparency or flat colours (PNG); three move (GIF). Takes about 0.1 to 0.4 s.
    """
    number = index * _STRIDE % PICTURES
    entry = ENTRIES[number]
    if entry.size == PHONE:
        data = _phone(number, entry)
    elif entry.format is SourceFormat.GIF:
        data = _gif(number, entry)
    elif entry.format is SourceFormat.PNG:
        data = encode(_painted(number, entry, _PAINTED), "PNG", compress_level=3)
    else:
        data = encode(grain(_painted(number, entry, _PAINTED), _random(number)), "JPEG", quality=88)
    return DemoPicture(data, entry.format, entry.alt_text, entry.caption)


def avatar(index: int) -> DemoPicture:
    """Paints one of ten faces (0 to 9, then again from the start); the same index gives the same bytes."""
    number = index % AVATARS
    data = encode(portrait(_random(number), number), "JPEG", quality=88)
    return DemoPicture(data, SourceFormat.JPEG, "A drawn portrait.", "")


def encode(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """The image as a file."""
    buffer = BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def _random(seed: int) -> Random:
    return Random(seed)  # noqa: S311  not a secret: the same every time


def _painted(number: int, entry: Entry, scale: float, drift: float | None = None) -> Image.Image:
    width, height = entry.size
    small = (round(width * scale), round(height * scale))
    extra = {} if drift is None else {"drift": drift}
    painted = entry.paint(_random(number), small, colors(entry.palette), **extra)
    return painted if scale == 1 else painted.resize(entry.size, Image.Resampling.BICUBIC)


def _phone(number: int, entry: Entry) -> bytes:
    """Writes what a phone writes: the sensor's landscape pixels, and EXIF that says how it was held, when and where."""
    upright = grain(_painted(number, entry, _PHONE_PAINTED), _random(number), 7)
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Photogram"
    exif[ExifTags.Base.Model] = "Demo Phone 12"
    exif[ExifTags.Base.Orientation] = 6  # to be shown turned a quarter clockwise
    exif[ExifTags.Base.DateTime] = "2026:09:12 19:41:07"
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    gps[ExifTags.GPS.GPSLatitudeRef], gps[ExifTags.GPS.GPSLatitude] = "N", (46.0, 33.0, 26.4)
    gps[ExifTags.GPS.GPSLongitudeRef], gps[ExifTags.GPS.GPSLongitude] = "E", (8.0, 33.0, 41.2)
    return encode(upright.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=88, exif=exif)


def _gif(number: int, entry: Entry) -> bytes:
    frames = [_painted(number, entry, 1, at / _CLIP_FRAMES) for at in range(_CLIP_FRAMES)]
    palette = frames[0].quantize(128, Image.Quantize.FASTOCTREE)
    reduced = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    return encode(reduced[0], "GIF", save_all=True, append_images=reduced[1:], duration=80, loop=0)
