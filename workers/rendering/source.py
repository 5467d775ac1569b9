"""Opens an uploaded file and checks its format and size before any pixel is decoded."""

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

# Pillow's own limits are a second guard behind the checks below.
Image.MAX_IMAGE_PIXELS = MAX_IMAGE_PIXELS
ImageFile.LOAD_TRUNCATED_IMAGES = False
PngImagePlugin.MAX_TEXT_CHUNK = 1024 * 1024
PngImagePlugin.MAX_TEXT_MEMORY = 4 * 1024 * 1024


class Motion(msgspec.Struct, frozen=True):
    """The frames of an animation: their number, and a function that decodes them.

    It yields each complete frame, in order, with its milliseconds; a frame is valid until the next one. `loop` counts
    repetitions as GIF does: 0 is for ever, None is to play once.
    """

    count: int
    loop: int | None
    frames: Callable[[], Iterator[tuple[Image.Image, int]]]


class Source(msgspec.Struct, frozen=True):
    """An opened file: its picture, or the first frame of an animation, which is usually not decoded yet."""

    format: SourceFormat
    image: Image.Image
    motion: Motion | None = None

    @property
    def pixels(self) -> int:
        """Of the picture, or of one frame."""
        return self.image.width * self.image.height


@contextmanager
def refuse_damage(max_pixels: int = MAX_IMAGE_PIXELS) -> Iterator[None]:
    """Turns any exception of a decoder into a Refusal: damaged bytes raise many kinds in Pillow."""
    try:
        yield
    except (Refusal, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        message = f"This image has too many pixels. The most we take is {max_pixels // 1_000_000} megapixels."
        raise Refusal(UserErrorCode.TOO_MANY_PIXELS, message) from None
    except Exception as error:
        raise Refusal(UserErrorCode.IMAGE_CORRUPT, "This image is damaged or cut off. Try saving it again.") from error


def open_source(data: bytes) -> Source:
    """Opens an image without decoding it. Raises Refusal if it is no supported image, damaged or too large."""
    if len(data) > MAX_IMAGE_BYTES:
        megabytes = MAX_IMAGE_BYTES // (1024 * 1024)
        raise Refusal(UserErrorCode.IMAGE_TOO_LARGE, f"This file is larger than {megabytes} MB.")
    if not data:
        raise Refusal(UserErrorCode.IMAGE_CORRUPT, "This file is empty.")
    source = format_taken(data[:SIGNATURE_BYTES])
    with refuse_damage(source.max_pixels):
        opened = _OPENERS[source](data)
        if opened.pixels > source.max_pixels:
            raise Image.DecompressionBombError
    return opened


def _open_gif(data: bytes) -> Source:
    gif = Gif(data)
    if gif.size[0] * gif.size[1] > MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError
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


def _check_motion(count: int, largest: int, total: int) -> None:
    """Raises Refusal if there are too many frames, or pixels in the largest one or in all together."""
    if count > MAX_IMAGE_FRAMES:
        message = f"This animation has too many frames. The most we take is {MAX_IMAGE_FRAMES}."
        raise Refusal(UserErrorCode.TOO_MANY_FRAMES, message)
    if largest > MAX_FRAME_PIXELS or total > MAX_MOVING_PIXELS:
        raise Refusal(
            UserErrorCode.TOO_MANY_PIXELS,
            f"This animation has too many pixels. The most we take is {MAX_FRAME_PIXELS // 1_000_000} megapixels"
            f" a frame and {MAX_MOVING_PIXELS // 1_000_000} in all frames together.",
        )


def orientation(image: Image.Image) -> Image.Transpose | None:
    """The transposition that makes the image upright; None if it is upright or its EXIF is unreadable."""
    try:
        tag = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001  damaged metadata raises anything; the picture is still good
        return None
    return _TURNS.get(tag) if isinstance(tag, int) else None


_TURNS = {  # by the value of EXIF's Orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TURNS_THAT_SWAP_SIDES = frozenset(_TURNS[tag] for tag in (5, 6, 7, 8))
