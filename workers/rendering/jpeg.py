"""Opens a JPEG after a look at its structure."""

import re
from io import BytesIO

from PIL import Image, ImageChops

from domain.errors import Refusal, UserErrorCode

MAX_SCANS = 100  # encoders write at most 16
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # those that begin a segment, and the end
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_END = b"\xff\xd9"
_NOISE = b"\x55\x2a" * 512  # bits that any code table makes coefficients of
_COMPARED_PIXELS = 1 << 23


def open_jpeg(data: bytes) -> Image.Image:
    """The picture, not yet decoded. Raises Refusal if it has too many scans, and what Pillow raises.

    One that lacks its end is taken if every pixel is there, as a camera leaves it whose card was pulled.
    """
    if not _has_end(data) and _is_whole(data):
        data += _END
    return Image.open(BytesIO(data), formats=("JPEG",))


def _has_end(data: bytes) -> bool:
    """Whether the picture's end is marked.

    Each scan may go over all pixels for a few bytes: thousands would keep a child busy for hours, and are refused.
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


def _is_whole(data: bytes) -> bool:
    """Whether what comes behind makes no difference: a decoder that still misses pixels takes them from there."""
    pictures = []
    for behind in (b"", _NOISE):
        image = Image.open(BytesIO(data + behind + _END), formats=("JPEG",))
        while image.width * image.height > _COMPARED_PIXELS:
            before = image.width
            image.draft(None, (image.width // 2, image.height // 2))
            if image.width == before:
                break
        image.load()
        pictures.append(image)
    return ImageChops.difference(*pictures).getbbox() is None
