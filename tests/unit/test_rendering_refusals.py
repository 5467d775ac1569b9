"""Files that are no valid images are refused at once, each with its code."""

import random
import time

import pytest
from PIL import Image, PngImagePlugin

from domain.errors import Refusal, UserErrorCode
from domain.limits import MAX_IMAGE_BYTES, MAX_IMAGE_FRAMES
from tests.support.pictures import gif_of_many_frames, moving, png_that_claims, quarters, saved
from workers.rendering.pipeline import render

Code = UserErrorCode


def code_of(data: bytes) -> UserErrorCode:
    with pytest.raises(Refusal) as caught:
        render(data)
    assert caught.value.message.endswith(".")
    return caught.value.code


@pytest.mark.parametrize(
    "data",
    [
        b"<html><script>alert(1)</script></html>",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b"%PDF-1.7",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        b"PK\x03\x04",
        b"RIFF\x00\x00\x00\x00WAVEfmt ",
        b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom",
        b"BM" + b"\0" * 60,
        b"II*\0" + b"\0" * 60,
        b"x",
    ],
)
def test_other_formats_are_unsupported(data: bytes) -> None:
    assert code_of(data) is Code.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("name", ["TIFF", "BMP", "PPM", "ICO"])
def test_other_image_formats_are_unsupported(name: str) -> None:
    assert code_of(saved(quarters((200, 200)), name)) is Code.UNSUPPORTED_FORMAT


def test_empty_file_is_corrupt() -> None:
    assert code_of(b"") is Code.IMAGE_CORRUPT


@pytest.mark.parametrize("start", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"GIF87a"])
def test_garbage_after_a_signature_is_corrupt(start: bytes) -> None:
    garbage = random.Random(1).randbytes(5000)
    assert code_of(start + b"\0\x10\0\x10" + garbage) is Code.IMAGE_CORRUPT
    assert code_of(start) is Code.IMAGE_CORRUPT


@pytest.mark.parametrize("tenths", range(1, 10))
@pytest.mark.parametrize("kind", ["jpeg", "progressive", "png", "gif", "moving gif"])
def test_cut_off_file_is_corrupt(kind: str, tenths: int) -> None:
    noisy = Image.frombytes("RGB", (300, 200), random.Random(2).randbytes(300 * 200 * 3))
    data = {
        "jpeg": lambda: saved(noisy, "JPEG"),
        "progressive": lambda: saved(noisy, "JPEG", progressive=True),
        "png": lambda: saved(noisy, "PNG"),
        "gif": lambda: saved(noisy, "GIF"),
        "moving gif": lambda: moving((300, 200)),
    }[kind]()
    assert code_of(data[: len(data) * tenths // 10]) is Code.IMAGE_CORRUPT


def test_png_with_a_flipped_bit_is_corrupt() -> None:
    data = bytearray(saved(quarters(), "PNG"))
    data[len(data) // 2] ^= 4
    assert code_of(bytes(data)) is Code.IMAGE_CORRUPT


def test_file_over_the_limit_is_too_large() -> None:
    assert code_of(b"\xff\xd8\xff" + b"\0" * MAX_IMAGE_BYTES) is Code.IMAGE_TOO_LARGE


@pytest.mark.parametrize("size", [(20_000, 20_000), (10_000, 5_001), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_before_they_are_decoded(size: tuple[int, int]) -> None:
    started = time.perf_counter()
    assert code_of(png_that_claims(*size)) is Code.TOO_MANY_PIXELS
    assert time.perf_counter() - started < 1


def test_frame_larger_than_the_screen_of_a_gif_is_refused() -> None:
    small = bytearray(gif_of_many_frames(1))
    at = small.index(b"\x2c")
    small[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    assert code_of(bytes(small)) in (Code.TOO_MANY_PIXELS, Code.IMAGE_CORRUPT)


def test_too_many_frames_are_refused_before_they_are_decoded() -> None:
    assert code_of(gif_of_many_frames(MAX_IMAGE_FRAMES + 1)) is Code.TOO_MANY_FRAMES
    started = time.perf_counter()
    assert code_of(gif_of_many_frames(500_000)) is Code.TOO_MANY_FRAMES
    assert time.perf_counter() - started < 1


def test_frames_with_too_many_pixels_together_are_refused() -> None:
    started = time.perf_counter()
    assert code_of(gif_of_many_frames(200, (7000, 7000))) is Code.TOO_MANY_PIXELS
    assert time.perf_counter() - started < 1


def test_text_that_decompresses_to_megabytes_is_ignored() -> None:
    text = PngImagePlugin.PngInfo()
    for number in range(8):
        text.add_text(f"Comment{number}", "A" * 5_000_000, zip=True)
    started = time.perf_counter()
    assert render(saved(quarters((50, 50)), "PNG", pnginfo=text)).width == 50
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}])
def test_jpeg_without_its_end_is_accepted_if_all_pixels_are_there(options: dict[str, object]) -> None:
    noisy = Image.frombytes("RGB", (300, 200), random.Random(2).randbytes(300 * 200 * 3))
    for picture in (noisy, quarters((300, 200)), noisy.convert("L"), noisy.convert("CMYK")):
        data = saved(picture, "JPEG", quality=90, **options)
        whole = render(data).renditions
        assert render(data[:-2]).renditions == whole
        assert render(data[:-2] + bytes(1000)).renditions == whole
    for missing in (3, 40, 100, 1000, 10_000):
        assert code_of(saved(noisy, "JPEG", **options)[:-missing]) is Code.IMAGE_CORRUPT


@pytest.mark.parametrize(
    "options", [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0", "xmp": b"x" * 101}]
)
def test_webp_with_a_wrong_length_is_accepted_if_all_pixels_are_there(options: dict[str, object]) -> None:
    for size in ((301, 203), (302, 204), (40, 30)):
        data = saved(quarters(size), "WEBP", **options)
        whole = render(data).renditions
        for length in (0, 20, len(data) - 9, len(data) - 7, len(data) + 100, 2**32 - 1):
            assert render(data[:4] + length.to_bytes(4, "little") + data[8:]).renditions == whole
        if "xmp" in options:
            for missing in (1, 50, 120):
                assert render(data[:-missing]).renditions == whole
        else:
            assert code_of(data[:-8]) is Code.IMAGE_CORRUPT


def test_bytes_behind_the_image_do_not_matter() -> None:
    for data in (saved(quarters(), "JPEG"), saved(quarters(), "PNG"), saved(quarters(), "GIF"), moving()):
        assert render(data + b"<script>alert(1)</script>" * 100).renditions == render(data).renditions


def test_broken_exif_does_not_spoil_the_picture() -> None:
    assert render(saved(quarters(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")).width == 800
