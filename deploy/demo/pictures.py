"""The demo's pictures: sixty posts' worth and ten avatars, painted on the spot and always the same."""

from collections.abc import Callable
from io import BytesIO
from random import Random
from typing import NamedTuple

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
    encode: Callable[[int, Entry], bytes] = {
        SourceFormat.JPEG: _phone if entry.size == PHONE else _jpeg,
        SourceFormat.PNG: _png,
        SourceFormat.GIF: _gif,
    }[entry.format]
    return DemoPicture(encode(number, entry), entry.format, entry.alt_text, entry.caption)


def avatar(index: int) -> DemoPicture:
    """Paints one of ten faces (0 to 9, then again from the start); the same index gives the same bytes."""
    number = index % AVATARS
    buffer = BytesIO()
    portrait(_random(number), number).save(buffer, "JPEG", quality=88)
    return DemoPicture(buffer.getvalue(), SourceFormat.JPEG, "A drawn portrait.", "")


def _random(seed: int) -> Random:
    return Random(seed)  # noqa: S311  not a secret: the same every time


def _painted(number: int, entry: Entry, scale: float, drift: float | None = None) -> Image.Image:
    width, height = entry.size
    small = (round(width * scale), round(height * scale))
    extra = {} if drift is None else {"drift": drift}
    painted = entry.paint(_random(number), small, colors(entry.palette), **extra)
    return painted if scale == 1 else painted.resize(entry.size, Image.Resampling.BICUBIC)


def _jpeg(number: int, entry: Entry) -> bytes:
    buffer = BytesIO()
    grain(_painted(number, entry, _PAINTED), _random(number)).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _png(number: int, entry: Entry) -> bytes:
    buffer = BytesIO()
    _painted(number, entry, _PAINTED).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _phone(number: int, entry: Entry) -> bytes:
    """Writes what a phone writes: the sensor's landscape pixels, and EXIF that says how it was held, when and where."""
    upright = grain(_painted(number, entry, _PHONE_PAINTED), _random(number), 7)
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Photogram"
    exif[ExifTags.Base.Model] = "Demo Phone 12"
    exif[ExifTags.Base.Orientation] = 6  # to be shown turned a quarter clockwise
    exif[ExifTags.Base.DateTime] = "2026:09:12 19:41:07"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(
        {
            ExifTags.GPS.GPSLatitudeRef: "N",
            ExifTags.GPS.GPSLatitude: (46.0, 33.0, 26.4),
            ExifTags.GPS.GPSLongitudeRef: "E",
            ExifTags.GPS.GPSLongitude: (8.0, 33.0, 41.2),
        }
    )
    buffer = BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(buffer, "JPEG", quality=88, exif=exif)
    return buffer.getvalue()


def _gif(number: int, entry: Entry) -> bytes:
    frames = [_painted(number, entry, 1, at / _CLIP_FRAMES) for at in range(_CLIP_FRAMES)]
    palette = frames[0].quantize(128, Image.Quantize.FASTOCTREE)
    reduced = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    buffer = BytesIO()
    reduced[0].save(buffer, "GIF", save_all=True, append_images=reduced[1:], duration=80, loop=0)
    return buffer.getvalue()
