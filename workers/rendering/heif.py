"""Opens AVIF with Pillow, and HEIC with pillow-heif where it is installed."""

from functools import cache
from io import BytesIO

from PIL import AvifImagePlugin, Image, ImageFile

from domain.limits import MAX_IMAGE_PIXELS
from workers.rendering.container_boxes import read_container

AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # the pool decides how much runs in parallel


def open_avif(data: bytes) -> ImageFile.ImageFile:
    """The picture, or the first of a sequence, not yet decoded. Damaged bytes raise many kinds of exception."""
    return _opened(data, "AVIF")


def open_heic(data: bytes) -> ImageFile.ImageFile:
    """The primary picture of a HEIC, not yet decoded. Damaged bytes raise many kinds of exception."""
    _register()
    return _opened(data, "HEIF")


@cache
def _register() -> None:
    """Lets pillow-heif read only the picture itself: a thumbnail or a depth map may show something else."""
    from pillow_heif import register_heif_opener  # noqa: PLC0415  optional and large

    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


def _opened(data: bytes, name: str) -> ImageFile.ImageFile:
    """Ignores the orientation in XMP: decoders rotate the picture as the container says, or tell Pillow to."""
    container = read_container(data)
    if container.size and container.size[0] * container.size[1] > MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError
    image = Image.open(BytesIO(data), formats=(name,))
    image.info.pop("xmp", None)
    if container.code_points and not image.info.get("icc_profile"):
        image.info["cicp"] = (*container.code_points, 0, 1)
    return image
