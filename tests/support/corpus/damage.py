"""Files that are cut off or have a few flipped bits."""

from collections.abc import Iterator
from functools import partial
from random import Random

from PIL import Image

from datasources.media.source_formats import formats_taken
from domain.errors import UserErrorCode
from domain.image_formats import SourceFormat
from tests.support.corpus.case import Case, Shown, case
from tests.support.pictures import heic, moving, saved

SIZE = (300, 200)
FLIPPED_FILES = 8
FLIPS = 3
CORRUPT = UserErrorCode.IMAGE_CORRUPT


def damaged() -> list[Case]:
    return [*_cut(), *_flipped()]


def _noise(mode: str = "RGB") -> Image.Image:
    bands = len(mode)
    return Image.frombytes(mode, SIZE, Random(2).randbytes(SIZE[0] * SIZE[1] * bands))


def _whole() -> dict[str, bytes]:
    return {
        "jpeg": saved(_noise(), "JPEG"),
        "progressive jpeg": saved(_noise(), "JPEG", progressive=True),
        "cmyk jpeg": saved(_noise("CMYK"), "JPEG"),
        "png": saved(_noise(), "PNG"),
        "png with alpha": saved(_noise("RGBA"), "PNG"),
        "gif": saved(_noise("L"), "GIF"),
        "moving gif": moving(SIZE),
        "webp": saved(_noise(), "WEBP"),
        "webp without loss": saved(_noise(), "WEBP", lossless=True),
        "webp with alpha": saved(_noise("RGBA"), "WEBP"),
        "moving webp": _moving("WEBP"),
        "avif": saved(_noise(), "AVIF", speed=9),
        "moving avif": _moving("AVIF", speed=9),
        **_heics(),
    }


def _moving(kind: str, **options: object) -> bytes:
    others = [Image.new("RGB", SIZE, colour) for colour in ("red", "green", "blue")]
    return saved(_noise(), kind, save_all=True, append_images=others, duration=50, **options)


def _heics() -> dict[str, bytes]:
    if SourceFormat.HEIC not in formats_taken():
        return {}
    return {"heic": heic(_noise()), "heic in tiles": heic(_noise(), tile_size=64)}


def _cut() -> Iterator[Case]:
    for name, data in _whole().items():
        for tenths in range(1, 10):
            yield case(f"{name} cut at {tenths}0 %", partial(_start, data, len(data) * tenths // 10), CORRUPT)
    yield case("nothing", bytes, CORRUPT)


def _start(data: bytes, length: int) -> bytes:
    return data[:length]


def _flipped() -> Iterator[Case]:
    """Only a PNG has checksums: in other formats a flipped bit may change a pixel unnoticed."""
    for name, data in _whole().items():
        for number in range(FLIPPED_FILES):
            png = name.startswith("png")
            size = Shown(SIZE, None, is_moving=name.startswith("moving"), is_transparent=name == "webp with alpha")
            verdicts = (CORRUPT,) if png else (CORRUPT, size)
            make = partial(_with_flips, data, Random(f"{name} {number}"))
            yield case(f"{name} with flipped bits, {number}", make, *verdicts)


def _with_flips(data: bytes, random: Random) -> bytes:
    """Flips bits behind the header: in the header they could make another valid picture."""
    body = bytearray(data)
    for _ in range(FLIPS):
        body[random.randrange(len(data) // 4, len(data) - 20)] ^= 1 << random.randrange(8)
    return bytes(body)
