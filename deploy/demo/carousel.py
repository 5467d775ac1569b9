"""Cuts a panorama into the slices that one swipes through."""

from io import BytesIO

from PIL import Image

from deploy.demo.pictures import DemoPicture, encode

_NAMES = {1: ("A detail",), 2: ("The left half", "The right half"), 3: ("The left", "The middle", "The right")}


def cut(panorama: DemoPicture, slices: int) -> list[DemoPicture]:
    """The picture, then its slices from left to right (none to three); the same picture gives the same bytes."""
    return [panorama, *(_slice(panorama, number, slices) for number in range(slices))]


def _slice(panorama: DemoPicture, number: int, slices: int) -> DemoPicture:
    with Image.open(BytesIO(panorama.data), formats=("JPEG",)) as whole:
        width = whole.width // max(2, slices)
        left = number * width if slices > 1 else (whole.width - width) // 2
        data = encode(whole.crop((left, 0, left + width, whole.height)), "JPEG", quality=88)
    return DemoPicture(data, panorama.format, f"{_NAMES[slices][number]} of: {panorama.alt_text}", "")
