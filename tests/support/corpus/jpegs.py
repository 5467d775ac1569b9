"""Valid JPEGs."""

from collections.abc import Iterator
from functools import partial

from PIL import Image, ImageChops, ImageCms

from tests.support.corpus.case import IN_COLOUR, IN_GREY, Case, Shown, case
from tests.support.corpus.profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    Space,
    cmyk_in_srgb,
    cmyk_profile,
    encoded,
    grey_profile,
    in_srgb,
    profile,
)
from tests.support.corpus.writing import jpeg_with, jpeg_without
from tests.support.pictures import quarters, saved

SIZE = (480, 360)
APP1, APP2, APP14, COMMENT = 0xE1, 0xE2, 0xEE, 0xFE
STORED_TURNS: dict[int, Image.Transpose | None] = {  # how a picture with this EXIF orientation is stored
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def jpegs() -> list[Case]:
    return [*_encodings(), *_orientations(), *_profiles(), *_inks(), *_sizes(), *_odd_segments()]


def turned(name: str, orientation: int) -> bytes:
    """A picture with this EXIF orientation, in a file of this format."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = STORED_TURNS[orientation]
    picture = quarters(SIZE)
    return saved(picture if turn is None else picture.transpose(turn), name, exif=exif)


def _encodings() -> Iterator[Case]:
    colour, grey = quarters(SIZE), quarters(SIZE).convert("L")
    ways: dict[str, tuple[Image.Image, dict[str, object]]] = {
        "baseline": (colour, {}),
        "progressive": (colour, {"progressive": True}),
        "optimized": (colour, {"optimize": True}),
        "best quality": (colour, {"quality": 100, "subsampling": 0}),
        "poor quality": (colour, {"quality": 20}),
        "4:2:2": (colour, {"subsampling": 1}),
        "4:4:4 progressive": (colour, {"subsampling": 0, "progressive": True}),
        "RGB, not YCbCr": (colour, {"keep_rgb": True}),
        "restart markers": (colour, {"restart_marker_rows": 1}),
        "grey": (grey, {}),
        "grey progressive": (grey, {"progressive": True}),
        "CMYK as Adobe writes it": (colour.convert("CMYK"), {}),
        "CMYK progressive": (colour.convert("CMYK"), {"progressive": True}),
    }
    for name, (picture, options) in ways.items():
        shown = Shown(SIZE, None if name == "poor quality" else IN_GREY if picture is grey else IN_COLOUR)
        yield case(f"jpeg {name}", partial(saved, picture, "JPEG", **options), shown)
    cmyk = partial(saved, colour.convert("CMYK"), "JPEG")
    yield case("jpeg CMYK without Adobe's mark", lambda: jpeg_without(cmyk(), APP14), Shown(SIZE))
    yield case("jpeg without JFIF", lambda: jpeg_without(saved(colour, "JPEG"), 0xE0), Shown(SIZE))
    behind = {"save_all": True, "append_images": [Image.new("RGB", SIZE)]}
    yield case("jpeg with pictures behind the first", partial(saved, colour, "MPO", **behind), Shown(SIZE))


def _orientations() -> Iterator[Case]:
    for name in ("JPEG", "PNG"):
        for orientation in STORED_TURNS:
            yield case(f"{name} orientation {orientation}", partial(turned, name, orientation), Shown(SIZE))
    for wrong in (0, 9, 65535):
        exif = Image.Exif()
        exif[0x0112] = wrong
        yield case(f"jpeg orientation {wrong}", partial(saved, quarters(SIZE), "JPEG", exif=exif), Shown(SIZE))


def in_space(space: Space) -> tuple[tuple[int, ...], ...]:
    """The colours of the quarters in sRGB if their values belong to `space`."""
    return tuple(in_srgb(space, (r, g, b)) for r, g, b in IN_COLOUR)


def _profiles() -> Iterator[Case]:
    picture, grey = quarters(SIZE), quarters(SIZE).convert("L")
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    for kind in ("JPEG", "PNG"):
        for name, space in (("Display P3", DISPLAY_P3), ("Adobe RGB", ADOBE_RGB)):
            make = partial(saved, picture, kind, icc_profile=profile(space))
            yield case(f"{kind} in {name}", make, Shown(SIZE, in_space(space)))
        for name, unfit in {
            "of Lab": lab,
            "of grey": grey_profile(1.8),
            "that is no profile": b"not a profile",
            "cut off": profile(DISPLAY_P3)[:300],
            "of zeros": bytes(1000),
        }.items():
            yield case(f"{kind} with a profile {name}", partial(saved, picture, kind, icc_profile=unfit), Shown(SIZE))
        brighter = tuple((encoded(value / 255),) * 3 for value, *_ in IN_GREY)
        make = partial(saved, grey, kind, icc_profile=grey_profile(1.0))
        yield case(f"{kind} grey with a linear profile", make, Shown(SIZE, brighter))
        make = partial(saved, grey, kind, icc_profile=profile(DISPLAY_P3))
        yield case(f"{kind} grey with a profile of colours", make, Shown(SIZE, IN_GREY))


def as_photoshop_writes_it(inks: Image.Image, **options: object) -> bytes:
    """A CMYK picture as a JPEG in YCCK: three inks are converted as if they were red, green and blue."""
    *three, black = inks.split()
    written = [ImageChops.invert(band) for band in Image.merge("RGB", three).convert("YCbCr").split()]
    data = bytearray(saved(Image.merge("CMYK", [*written, black]), "JPEG", quality=100, **options))
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


def _inks() -> Iterator[Case]:
    picture = quarters(SIZE).convert("CMYK")
    known = tuple(cmyk_in_srgb((255 - r, 255 - g, 255 - b, 0)) for r, g, b in IN_COLOUR)
    for name, make in {
        "CMYK": partial(saved, picture, "JPEG"),
        "YCCK": partial(as_photoshop_writes_it, picture),
    }.items():
        yield case(f"jpeg {name} with its profile", partial(make, icc_profile=cmyk_profile()), Shown(SIZE, known))
        for kind, unfit in {"of RGB": profile(DISPLAY_P3), "cut off": cmyk_profile()[:600]}.items():
            yield case(f"jpeg {name} with a profile {kind}", partial(make, icc_profile=unfit), Shown(SIZE))
    for kind in ("JPEG", "PNG"):
        make = partial(saved, quarters(SIZE), kind, icc_profile=cmyk_profile())
        yield case(f"{kind} with a profile of CMYK", make, Shown(SIZE))


def _sizes() -> Iterator[Case]:
    for size in ((1, 1), (7, 5), (150, 150), (149, 151), (319, 2), (1080, 1), (1081, 721)):
        known = IN_COLOUR if min(size) > 100 else None
        yield case(f"jpeg of {size[0]} x {size[1]}", partial(saved, quarters(size), "JPEG"), Shown(size, known))
    for size in ((5000, 300), (300, 5000)):
        yield case(f"jpeg panorama of {size[0]} x {size[1]}", partial(saved, quarters(size), "JPEG"), Shown(size, None))


def _odd_segments() -> Iterator[Case]:
    plain = saved(quarters(SIZE), "JPEG")
    ways: dict[str, tuple[tuple[int, bytes], ...]] = {
        "broken EXIF": ((APP1, b"Exif\0\0II*\0\xff\xff\xff\xff"),),
        "EXIF that leads to itself": (
            (APP1, b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0"),
        ),
        "EXIF with 5,000 entries": (
            (APP1, b"Exif\0\0II*\0\x08\0\0\0\x88\x13" + b"\x0e\x01\x02\0\x04\0\0\0abc\0" * 5000),
        ),
        "two EXIFs": ((APP1, b"Exif\0\0II*\0\x08\0\0\0\0\0"), (APP1, b"Exif\0\0MM\0*\0\0\0\x08\0\0")),
        "empty segments": ((APP1, b""), (APP2, b""), (COMMENT, b"")),
        "unknown segments": tuple((0xE0 + number, b"whatever") for number in (3, 5, 9, 15)),
        "half a profile": ((APP2, b"ICC_PROFILE\0\x01\x02" + profile(DISPLAY_P3)),),
        "bad IPTC": ((0xED, b"Photoshop 3.0\x008BIM\x04\x04\xff\xff\xff\xff"),),
    }
    for name, segments in ways.items():
        yield case(f"jpeg with {name}", partial(jpeg_with, plain, *segments), Shown(SIZE))
    fill = plain.index(b"\xff\xdb")
    yield case("jpeg with fill bytes", lambda: plain[:fill] + b"\xff" * 50 + plain[fill:], Shown(SIZE))
    yield case("jpeg with bytes behind it", lambda: plain + b"\0" * 5000, Shown(SIZE))
