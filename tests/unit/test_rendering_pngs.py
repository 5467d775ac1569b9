"""The chunks of a PNG that define colours, in the specification's order of precedence, and which may be damaged."""

import struct
import zlib

import pytest
from PIL import Image

from domain.errors import Refusal, UserErrorCode
from tests.support.corpus.profiles import ADOBE_RGB, encoded, in_srgb, profile
from tests.support.corpus.writing import GREY, PALETTE, RGB, RGB_ALPHA, chunk, png
from tests.support.pictures import are_near, pixel_at, quarters, saved
from workers.rendering.pipeline import render
from workers.rendering.source import open_source
from workers.rendering.still import pyramid

SIZE = (40, 40)
GREEN = (40, 200, 40)
P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
SRGB = (0.3127, 0.3290, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060)


def gamma(value: int = 45455) -> bytes:
    return chunk(b"gAMA", value.to_bytes(4))


def chromaticities(points: tuple[float, ...] = P3) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(point * 100_000) for point in points)))


def code_points(primaries: int, transfer: int, matrix: int = 0, full: int = 1) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, matrix, full]))


def with_profile(icc: bytes) -> bytes:
    return chunk(b"iCCP", b"name\0\0" + zlib.compress(icc))


def shown(*chunks: bytes, colour: tuple[int, ...] = GREEN, kind: int = RGB) -> tuple[int, ...]:
    """The rendered colour of a picture of one colour with these chunks."""
    return middle(png(SIZE, 8, kind, lambda *_: colour, *chunks))


def middle(data: bytes) -> tuple[int, ...]:
    return pixel_at(pyramid(open_source(data).image)[0][0], (20, 20))


def assert_near(pixel: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    assert are_near(pixel, wanted, 2), (pixel, wanted)


ADOBE = with_profile(profile(ADOBE_RGB))
OF_ADOBE = in_srgb(ADOBE_RGB, GREEN)
OF_P3 = (0, 205, 0)


def test_display_p3_by_chromaticities_and_gamma_is_converted() -> None:
    assert shown(chromaticities(), gamma()) == OF_P3


@pytest.mark.parametrize(
    ("chunks", "wanted"),
    [
        ([code_points(12, 13)], OF_P3),
        ([code_points(12, 13), ADOBE], OF_P3),
        ([code_points(1, 13), ADOBE, chromaticities(), gamma()], GREEN),
        ([code_points(2, 2), ADOBE], OF_ADOBE),
        ([code_points(250, 13), ADOBE], OF_ADOBE),
        ([code_points(12, 13, matrix=1), ADOBE], OF_ADOBE),
        ([chunk(b"cICP", b"\x0c"), ADOBE], OF_ADOBE),
        ([ADOBE, chunk(b"sRGB", b"\0"), chromaticities(), gamma()], OF_ADOBE),
        ([with_profile(b"not a profile"), chromaticities(), gamma()], OF_P3),
        ([with_profile(b"not a profile"), chunk(b"sRGB", b"\0"), chromaticities(), gamma()], GREEN),
        ([chunk(b"sRGB", b"\0"), chromaticities(), gamma()], GREEN),
        ([chromaticities(SRGB), gamma()], GREEN),
        ([chromaticities()], GREEN),
        ([chromaticities((0.0,) * 8), gamma()], GREEN),
        ([chromaticities((0.3,) * 8), gamma()], GREEN),
        ([chromaticities(SRGB), gamma(100_000)], tuple(encoded(value / 255) for value in GREEN)),
    ],
)
def test_colours_are_those_of_the_first_chunk_that_makes_sense(chunks: list[bytes], wanted: tuple[int, ...]) -> None:
    assert_near(shown(*chunks), wanted)


def test_colour_space_of_a_grey_picture_changes_only_its_curve() -> None:
    wanted = (encoded(100 / 255),) * 3
    assert_near(shown(code_points(12, 8), colour=(100,), kind=GREY), wanted)
    assert_near(shown(chromaticities(), gamma(100_000), colour=(100,), kind=GREY), wanted)


def test_narrow_range_is_widened() -> None:
    for value, wanted in ((16, 0), (235, 255), (0, 0), (255, 255)):
        assert_near(shown(code_points(1, 13, full=0), colour=(value,) * 3), (wanted,) * 3)


@pytest.mark.parametrize(("transfer", "white", "peak"), [(16, 148, 192), (18, 191, 255)])
def test_light_brighter_than_white_is_compressed(transfer: int, white: int, peak: int) -> None:
    """In PQ and HLG black stays black, SDR white becomes light grey, 1,000 nits become white, and the order stays."""
    light = [shown(code_points(1, transfer), colour=(value,) * 3)[0] for value in (0, 60, 100, white, peak)]
    assert light == sorted(light)
    assert light[0] == 0
    assert 215 <= light[3] <= 235
    assert light[4] >= 253


@pytest.mark.parametrize("kind", [b"iTXt", b"tEXt", b"zTXt", b"iCCP", b"cHRM", b"gAMA", b"pHYs", b"tRNS", b"eXIf"])
@pytest.mark.parametrize(
    "body", [b"", b"\0", b"Comment\0\1\0\0\0anything", b"\xff" * 40], ids=["empty", "zero", "text", "ones"]
)
def test_damaged_optional_chunk_is_ignored(kind: bytes, body: bytes) -> None:
    whole = chunk(kind, body)
    for broken in (whole, whole[:-4] + b"sums", whole[:-1] + bytes([whole[-1] ^ 1])):
        assert_near(shown(broken), GREEN)


@pytest.mark.parametrize("colour_type", [PALETTE, GREY, RGB_ALPHA])
def test_transparency_of_a_wrong_length_is_ignored(colour_type: int) -> None:
    palette = chunk(b"PLTE", bytes(GREEN))
    sample = {PALETTE: (0,), GREY: (100,), RGB_ALPHA: (*GREEN, 255)}[colour_type]
    wanted = (100,) * 3 if colour_type == GREY else GREEN
    assert_near(shown(palette, chunk(b"tRNS", bytes(300)), colour=sample, kind=colour_type), wanted)


def test_picture_without_its_end_is_taken() -> None:
    data = saved(quarters((300, 200)), "PNG")
    whole = render(data).renditions
    for missing in (4, 8, 11, 12):
        assert render(data[:-missing]).renditions == whole
    with pytest.raises(Refusal) as refused:
        render(data[:-13])
    assert refused.value.code is UserErrorCode.IMAGE_CORRUPT


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE", b"IDAT"])
def test_damaged_required_chunk_is_refused(kind: bytes) -> None:
    data = bytearray(png(SIZE, 8, PALETTE, lambda *_: (0,), chunk(b"PLTE", bytes(GREEN))))
    length = int.from_bytes(data[data.index(kind) - 4 : data.index(kind)])
    data[data.index(kind) + 4 + length] ^= 1  # in its checksum
    with pytest.raises(Refusal) as refused:
        render(bytes(data))
    assert refused.value.code is UserErrorCode.IMAGE_CORRUPT


def animated(
    *before: bytes, frame: tuple[int, int, int, int] = (0, 0, *SIZE), canvas: tuple[int, int] = SIZE, damage: int = 0
) -> bytes:
    """A hidden red picture, and a green frame with its left edge, top edge, width and height."""
    left, top, width, height = frame
    still = png(SIZE, 8, RGB, lambda *_: (220, 20, 20), chunk(b"acTL", struct.pack(">II", 1, 0)), *before)
    still = still[:8] + chunk(b"IHDR", struct.pack(">II", *canvas) + still[24:29]) + still[33:]
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, width, height, left, top, 1, 10, 0, 0))
    pixels = zlib.compress((b"\0" + bytes(GREEN) * width) * height)
    halves = pixels[:9], pixels[9:]
    data = [bytearray(chunk(b"fdAT", struct.pack(">I", 1 + at) + half)) for at, half in enumerate(halves)]
    data[1][-1] ^= damage
    return still[:-12] + control + b"".join(map(bytes, data)) + still[-12:]


def test_first_frame_is_shown_in_place_of_a_hidden_picture() -> None:
    assert_near(middle(animated()), GREEN)
    assert_near(middle(animated(code_points(12, 13))), OF_P3)


def test_first_frame_is_at_its_place_on_a_transparent_canvas() -> None:
    picture = pyramid(open_source(animated(frame=(10, 10, 20, 20))).image)[0][0]
    assert picture.size == SIZE
    assert (picture.getpixel((20, 20)), picture.getpixel((5, 5))) == ((*GREEN, 255), (0, 0, 0, 0))


def test_picture_is_shown_where_it_is_the_first_frame_or_there_is_no_other() -> None:
    control = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, *SIZE, 0, 0, 1, 10, 0, 0))
    for data in (
        animated(control),
        animated(damage=1).replace(b"fcTL", b"fcTl"),
        animated(frame=(30, 0, *SIZE)),
        animated().replace(b"acTL", b"acTl"),
    ):
        assert_near(middle(data), (220, 20, 20))


def test_too_large_canvas_of_an_animation_is_refused() -> None:
    for canvas in ((60_000, 60_000), (2**31 - 1, 2**31 - 1)):
        with pytest.raises(Refusal) as refused:
            render(animated(canvas=canvas))
        assert refused.value.code is UserErrorCode.TOO_MANY_PIXELS


def test_exif_orientation_is_applied_wherever_the_chunk_is() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(quarters((300, 200)), "PNG")
    turning = chunk(b"eXIf", exif.tobytes()[6:])
    for placed in (data[:33] + turning + data[33:], data[:-12] + turning + data[-12:]):
        assert (render(placed).width, render(placed).height) == (200, 300)
