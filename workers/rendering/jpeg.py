"""Opens a JPEG after a check of its structure."""

import re
from io import BytesIO

from PIL import Image, ImageChops

from domain.errors import Refusal, UserErrorCode

MAX_SCANS = 100  # encoders write at most 16
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # the start of a segment, or the end of the image
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_END = b"\xff\xd9"
_NOISE = b"\x55\x2a" * 512  # any code table decodes these bits to coefficients
_COMPARED_PIXELS = 1 << 23


def open_jpeg(data: bytes) -> Image.Image:
    """The picture, not yet decoded. Raises Refusal if it has too many scans; Pillow raises other errors.

    A file without its end marker is accepted if all pixels are there: a camera leaves it so when its card is pulled.
    """
    if not _has_end(data) and _has_all_pixels(data):
        data += _END
    return Image.open(BytesIO(data), formats=("JPEG",))


def _has_end(data: bytes) -> bool:
    """Whether there is an end marker. Raises Refusal if there are too many scans.

    A scan of a few bytes can go over all pixels: thousands of scans would keep a child busy for hours.
    """
    at, scans = 2, 0
    while marker := _MARKER.search(data, at):
        kind, at = marker[0][1], marker.end()
        if kind == _END_OF_IMAGE:
            return True
        scans += kind == _START_OF_SCAN
        if scans > MAX_SCANS:
            raise Refusal(UserErrorCode.IMAGE_CORRUPT, "This image is made of too many layers. Try saving it again.")
        at += int.from_bytes(data[at : at + 2])
    return False


def _has_all_pixels(data: bytes) -> bool:
    """Whether bytes appended to the file change nothing: a decoder would read missing pixels from them."""
    pictures = []
    for appended in (b"", _NOISE):
        image = Image.open(BytesIO(data + appended + _END), formats=("JPEG",))
        while image.width * image.height > _COMPARED_PIXELS:
            before = image.width
            image.draft(None, (image.width // 2, image.height // 2))
            if image.width == before:
                break
        image.load()
        pictures.append(image)
    return ImageChops.difference(*pictures).getbbox() is None
