"""Decides by its content whether a file is an image we take, before any pixel of it is decoded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
from PIL import ExifTags, Image, ImageFile, PngImagePlugin

from datasources.media.source_formats import format_taken
from domain.errors import Refusal, UserErrorCode
from domain.image_formats import SIGNATURE_BYTES, SourceFormat
from domain.limits import MAX_FRAME_PIXELS, MAX_IMAGE_BYTES, MAX_IMAGE_FRAMES, MAX_IMAGE_PIXELS, MAX_MOVING_PIXELS
from workers.rendering.gif import Gif
from workers.rendering.heif import open_avif, open_heic
from workers.rendering.jpeg import open_jpeg
from workers.rendering.png import open_png
from workers.rendering.webp import frames_of, open_webp

# Pillow's own guards, set to our limits: whatever decodes here without these checks is stopped by them.
Image.MAX_IMAGE_PIXELS = MAX_IMAGE_PIXELS
ImageFile.LOAD_TRUNCATED_IMAGES = False
PngImagePlugin.MAX_TEXT_CHUNK = 1024 * 1024
PngImagePlugin.MAX_TEXT_MEMORY = 4 * 1024 * 1024


class Motion(msgspec.Struct, frozen=True):
    """What moves: how many frames, and what decodes them, each whole, in order, with its milliseconds.

    `loop` counts repetitions as GIF does: 0 is for ever, None is to play once. A frame is good until the next one.
    """

    count: int
    loop: int | None
    frames: Callable[[], Iterator[tuple[Image.Image, int]]]


class Source(msgspec.Struct, frozen=True):
    """An opened file: its picture, not yet decoded as a rule, which is the first frame if it moves."""

    format: SourceFormat
    image: Image.Image
    motion: Motion | None = None

    @property
    def pixels(self) -> int:
        """Of the picture, or of one frame."""
        return self.image.width * self.image.height


@contextmanager
def damage_refused() -> Iterator[None]:
    """Turns whatever a decoder raises into Refusal: bad bytes raise many kinds of exception in Pillow."""
    try:
        yield
    except (Refusal, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise too_many_pixels() from None
    except Exception as error:
        raise Refusal(UserErrorCode.IMAGE_CORRUPT, "This image is damaged or cut off. Try saving it again.") from error


def too_many_pixels(source: SourceFormat | None = None) -> Refusal:
    """The refusal of an image that is too large once decoded."""
    limit = MAX_IMAGE_PIXELS if source is None else source.max_pixels
    return Refusal(
        UserErrorCode.TOO_MANY_PIXELS,
        f"This image has too many pixels. The most we take is {limit // 1_000_000} megapixels.",
    )


def source_format(data: bytes) -> SourceFormat:
    """Tells the format from the first bytes. Raises Refusal: IMAGE_TOO_LARGE, IMAGE_CORRUPT, UNSUPPORTED_FORMAT."""
    if len(data) > MAX_IMAGE_BYTES:
        megabytes = MAX_IMAGE_BYTES // (1024 * 1024)
        raise Refusal(UserErrorCode.IMAGE_TOO_LARGE, f"This file is larger than {megabytes} MB.")
    if not data:
        raise Refusal(UserErrorCode.IMAGE_CORRUPT, "This file is empty.")
    return format_taken(data[:SIGNATURE_BYTES])


def open_source(data: bytes) -> Source:
    """Opens the image without decoding it.

    Raises Refusal if it is not one, is damaged, or has too many pixels or frames.
    """
    source = source_format(data)
    with damage_refused():
        try:
            opened = _OPENERS[source](data)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise too_many_pixels(source) from None
        if opened.pixels > source.max_pixels:
            raise too_many_pixels(source)
    return opened


def _open_gif(data: bytes) -> Source:
    gif = Gif(data)
    if gif.size[0] * gif.size[1] > MAX_IMAGE_PIXELS:
        raise too_many_pixels()
    areas = gif.areas()
    if len(areas) == 1:
        return Source(SourceFormat.GIF, gif.first())
    _check_motion(len(areas), max(areas), sum(areas))
    return Source(SourceFormat.GIF, gif.first(), Motion(len(areas), gif.loop, gif.frames))


def _open_animated(source: SourceFormat, image: ImageFile.ImageFile) -> Source:
    count = getattr(image, "n_frames", 1)
    if count == 1:
        return Source(source, image)
    pixels = image.width * image.height
    _check_motion(count, pixels, count * pixels)
    return Source(source, image, Motion(count, image.info.get("loop", 0), lambda: frames_of(image, count)))


_OPENERS: dict[SourceFormat, Callable[[bytes], Source]] = {
    SourceFormat.JPEG: lambda data: Source(SourceFormat.JPEG, open_jpeg(data)),
    SourceFormat.PNG: lambda data: Source(SourceFormat.PNG, open_png(data)),
    SourceFormat.GIF: _open_gif,
    SourceFormat.WEBP: lambda data: _open_animated(SourceFormat.WEBP, open_webp(data)),
    SourceFormat.AVIF: lambda data: _open_animated(SourceFormat.AVIF, open_avif(data)),
    SourceFormat.HEIC: lambda data: Source(SourceFormat.HEIC, open_heic(data)),
}


def _check_motion(count: int, largest: int, together: int) -> None:
    """Raises Refusal if the frames, or their pixels, are too many."""
    if count > MAX_IMAGE_FRAMES:
        raise Refusal(
            UserErrorCode.TOO_MANY_FRAMES,
            f"This animation has too many frames. The most we take is {MAX_IMAGE_FRAMES}.",
        )
    if largest > MAX_FRAME_PIXELS or together > MAX_MOVING_PIXELS:
        raise Refusal(
            UserErrorCode.TOO_MANY_PIXELS,
            f"This animation has too many pixels. The most we take is {MAX_FRAME_PIXELS // 1_000_000} megapixels"
            f" a frame and {MAX_MOVING_PIXELS // 1_000_000} in all frames together.",
        )


def orientation(image: Image.Image) -> Image.Transpose | None:
    """Reads how EXIF says the image must be turned; None if it stands upright or its EXIF cannot be read."""
    try:
        tag = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001  broken metadata raises anything; the picture is still good
        return None
    return _TURNS.get(tag) if isinstance(tag, int) else None


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TURNS_THAT_SWAP_SIDES = frozenset(
    {
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_270,
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_90,
    },
)
