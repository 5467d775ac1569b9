"""Decides by its content whether a file is an image we take, before any pixel of it is decoded."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import islice

from PIL import ExifTags, Image, ImageFile, PngImagePlugin

from domain.errors import Refusal, UserErrorCode
from domain.limits import MAX_IMAGE_BYTES, MAX_IMAGE_FRAMES, MAX_IMAGE_PIXELS, SourceFormat

MAX_SCANS = 100  # of a JPEG; encoders write at most 16
MAX_FRAME_PIXELS = 8_300_000  # one frame of an animation, 3840 x 2160: decoding one takes 20 bytes a pixel
MAX_MOVING_PIXELS = 200_000_000  # all frames of an animation together: some seconds of decoding

# Pillow's own guards, set to our limits: whatever decodes here without these checks is stopped by them.
Image.MAX_IMAGE_PIXELS = MAX_IMAGE_PIXELS
ImageFile.LOAD_TRUNCATED_IMAGES = False
PngImagePlugin.MAX_TEXT_CHUNK = 1024 * 1024
PngImagePlugin.MAX_TEXT_MEMORY = 4 * 1024 * 1024

_MAGIC = {
    b"\xff\xd8\xff": SourceFormat.JPEG,
    b"\x89PNG\r\n\x1a\n": SourceFormat.PNG,
    b"GIF87a": SourceFormat.GIF,
    b"GIF89a": SourceFormat.GIF,
}


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


def too_many_pixels() -> Refusal:
    """The refusal of an image that is too large once decoded."""
    return Refusal(
        UserErrorCode.TOO_MANY_PIXELS,
        f"This image has too many pixels. The most we take is {MAX_IMAGE_PIXELS // 1_000_000} megapixels.",
    )


def source_format(data: bytes) -> SourceFormat:
    """Tells the format from the first bytes. Raises Refusal: IMAGE_TOO_LARGE, IMAGE_CORRUPT, UNSUPPORTED_FORMAT."""
    if len(data) > MAX_IMAGE_BYTES:
        megabytes = MAX_IMAGE_BYTES // (1024 * 1024)
        raise Refusal(UserErrorCode.IMAGE_TOO_LARGE, f"This file is larger than {megabytes} MB.")
    if not data:
        raise Refusal(UserErrorCode.IMAGE_CORRUPT, "This file is empty.")
    for magic, source in _MAGIC.items():
        if data.startswith(magic):
            return source
    raise Refusal(UserErrorCode.UNSUPPORTED_FORMAT, "This file is not a JPEG, PNG or GIF image.")


def open_source(data: bytes) -> tuple[SourceFormat, ImageFile.ImageFile]:
    """Opens the image without decoding it. Raises Refusal if it is not one, is damaged, or has too many pixels."""
    source = source_format(data)
    with damage_refused():
        image = Image.open(BytesIO(data), formats=(source.value,))
        if image.width * image.height > MAX_IMAGE_PIXELS:
            raise too_many_pixels()
        if source is SourceFormat.JPEG:
            _refuse_too_many_scans(data)
        if source is SourceFormat.PNG:
            image.verify()  # the checksums, which decoding leaves out; it uses the image up
            image = Image.open(BytesIO(data), formats=(source.value,))
            _correct_transparency(image)
    return source, image


def _correct_transparency(image: ImageFile.ImageFile) -> None:
    """Brings a PNG's transparent colour to the scale that Pillow brings its pixels to, which Pillow forgets."""
    clear, stored = image.info.get("transparency"), image.tile[0].args
    if clear is None:
        return
    if stored in _GREY_STEP:
        image.info["transparency"] = clear * _GREY_STEP[stored]
    elif stored == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in clear)


_GREY_STEP = {"L;2": 85, "L;4": 17}  # between two neighbouring greys of 2 and of 4 bits


def load(image: ImageFile.ImageFile) -> None:
    """Decodes the picture, or the first frame; what a GIF's frame leaves of the screen is clear, as browsers have it.

    Pillow fills it with the palette's first colour. Without a free place in the palette that stays so.
    """
    frame, screen = image.tile[0].extents if image.tile else None, (0, 0, *image.size)
    image.load()
    colours = len(image.palette.palette) // 3 if image.palette else 0
    if image.mode == "P" and frame and frame != screen and "transparency" not in image.info and colours <= _CLEAR:
        kept = image.crop(frame)
        image.paste(_CLEAR, screen)
        image.paste(kept, frame)
        image.info["transparency"] = _CLEAR


_CLEAR = 255  # a place in a palette


def _refuse_too_many_scans(data: bytes) -> None:
    """Each scan of a JPEG may go over all pixels for a few bytes: thousands would keep a child busy for hours."""
    at, scans = 2, 0
    while marker := _MARKER.search(data, at):
        kind, at = marker[0][1], marker.end()
        if kind == _END_OF_IMAGE:
            return
        scans += kind == _START_OF_SCAN
        if scans > MAX_SCANS:
            raise Refusal(UserErrorCode.IMAGE_CORRUPT, "This image is made of too many layers. Try saving it again.")
        at += int.from_bytes(data[at : at + 2])


_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # those that begin a segment, and the end
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


def frame_count(data: bytes, image: Image.Image) -> int:
    """Counts a GIF's frames without decoding them. Raises Refusal if they, or their pixels, are too many."""
    with damage_refused():
        count = sum(1 for _ in islice(_gif_frames(data), MAX_IMAGE_FRAMES + 1))
    if count > MAX_IMAGE_FRAMES:
        raise Refusal(
            UserErrorCode.TOO_MANY_FRAMES,
            f"This animation has too many frames. The most we take is {MAX_IMAGE_FRAMES}.",
        )
    pixels = image.width * image.height
    if count > 1 and (pixels > MAX_FRAME_PIXELS or count * pixels > MAX_MOVING_PIXELS):
        raise Refusal(
            UserErrorCode.TOO_MANY_PIXELS,
            f"This animation has too many pixels. The most we take is {MAX_FRAME_PIXELS // 1_000_000} megapixels"
            f" a frame and {MAX_MOVING_PIXELS // 1_000_000} in all frames together.",
        )
    return count


def _gif_frames(data: bytes) -> Iterator[int]:
    """Yields the offset of each frame; Pillow's `n_frames` would read on to the end, however many there are."""
    at = 13 + _palette_size(data[10])
    while at < len(data):
        kind = data[at]
        if kind == 0x2C:
            yield at
            at = _skip_blocks(data, at + 11 + _palette_size(data[at + 9]))
        elif kind == 0x21:
            at = _skip_blocks(data, at + 2)
        elif kind == 0x3B:
            return
        else:
            at += 1


def _palette_size(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _skip_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1


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
