"""Source images for the tests of rendering, each made on the spot, and how their pixels are compared."""

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw

CANARY = "CANARY-4711"
QUARTERS = {"red": (230, 30, 30), "green": (30, 180, 40), "blue": (40, 60, 220), "yellow": (240, 220, 40)}


def quarters(size: tuple[int, int] = (800, 600)) -> Image.Image:
    """Red above left, green above right, blue below left, yellow below right."""
    width, height = size
    picture = Image.new("RGB", size, QUARTERS["red"])
    draw = ImageDraw.Draw(picture)
    draw.rectangle((width // 2, 0, width, height // 2), fill=QUARTERS["green"])
    draw.rectangle((0, height // 2, width // 2, height), fill=QUARTERS["blue"])
    draw.rectangle((width // 2, height // 2, width, height), fill=QUARTERS["yellow"])
    return picture


def pixel_at(picture: Image.Image, at: tuple[int, int]) -> tuple[int, ...]:
    """The pixel of a picture that has several bands."""
    pixel = picture.getpixel(at)
    assert isinstance(pixel, tuple)
    return pixel


def are_near(pixel: tuple[int, ...], wanted: tuple[int, ...], tolerance: int = 6) -> bool:
    """Whether no band differs by more than `tolerance`."""
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, wanted, strict=True))


def saved(picture: Image.Image, name: str, **options: Any) -> bytes:
    """The picture as a file."""
    buffer = BytesIO()
    picture.save(buffer, name, **options)
    return buffer.getvalue()


def heic(picture: Image.Image, **options: Any) -> bytes:
    """The picture as a HEIC; needs pillow-heif."""
    from pillow_heif import register_heif_opener  # noqa: PLC0415  it is optional

    register_heif_opener()
    return saved(picture, "HEIF", **options)


def moving(size: tuple[int, int] = (400, 300), count: int = 6, **options: Any) -> bytes:
    """A GIF of a white square that moves from left to right over blue; each frame lasts 20 ms longer."""
    frames = []
    for number in range(count):
        frame = Image.new("RGB", size, (20, 40, 160))
        left = size[0] * number // count
        ImageDraw.Draw(frame).rectangle((left, 50, left + 40, 90), fill="white")
        frames.append(frame)
    durations = [40 + 20 * number for number in range(count)]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0, **options)


def gif_of_many_frames(count: int, size: tuple[int, int] = (1, 1)) -> bytes:
    """A GIF with `count` tiny frames on a screen of `size`, written by hand."""
    head = b"GIF89a" + struct.pack("<HHBBB", *size, 0x80, 0, 0) + b"\x00\x00\x00\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + frame * count + b"\x3b"


def png_that_claims(width: int, height: int) -> bytes:
    """A small PNG whose header announces a picture of any size, all of one colour."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )
