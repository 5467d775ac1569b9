"""WebP, AVIF and HEIC are rendered like any other picture: upright, in sRGB, without metadata."""

import struct
from collections.abc import Callable
from io import BytesIO
from itertools import product
from typing import Any

import pytest
from PIL import Image

from datasources.media import source_formats
from datasources.media.source_formats import formats_taken
from domain.errors import Refusal, UserErrorCode
from domain.image_formats import SIGNATURE_BYTES, SourceFormat
from tests.support.corpus.jpegs import STORED_TURNS
from tests.support.corpus.profiles import ADOBE_RGB, in_srgb, profile
from tests.support.pictures import CANARY, are_near, heic, pixel_at, quarters, saved
from workers.rendering import container_boxes
from workers.rendering.pipeline import render
from workers.rendering.source import open_source
from workers.rendering.still import pyramid

GREEN = (40, 200, 40)
OF_P3 = (0, 204, 0)
SIZE = (320, 240)
has_heic = pytest.mark.skipif(SourceFormat.HEIC not in formats_taken(), reason="pillow-heif is not installed")
WEBP = pytest.param(lambda picture, **options: saved(picture, "WEBP", lossless=True, **options), id="WEBP")
AVIF = pytest.param(
    lambda picture, **options: saved(picture, "AVIF", **{"quality": 100, "subsampling": "4:4:4", **options}), id="AVIF"
)
HEIC = pytest.param(
    lambda picture, **options: heic(picture, quality=100, chroma=444, **options), id="HEIC", marks=has_heic
)
Saved = Callable[..., bytes]


def widest(data: bytes) -> Image.Image:
    return pyramid(open_source(data).image)[0][0]


def middle(data: bytes) -> tuple[int, ...]:
    picture = widest(data)
    return pixel_at(picture, (picture.width // 2, picture.height // 2))


def is_near(pixel: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return are_near(pixel, wanted, tolerance=4)


def with_code_points(data: bytes, primaries: int, transfer: int) -> bytes:
    """The container with other code points for its colours."""
    at = data.index(b"nclx") + 4
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


@pytest.mark.parametrize("save", [WEBP, AVIF, HEIC])
def test_profile_is_converted_and_precedes_code_points(save: Saved) -> None:
    data = save(Image.new("RGB", SIZE, GREEN), icc_profile=profile(ADOBE_RGB))
    assert is_near(middle(data), in_srgb(ADOBE_RGB, GREEN))
    for file in render(data).renditions:
        assert "icc_profile" not in Image.open(BytesIO(file.data)).info


@pytest.mark.parametrize("save", [AVIF, HEIC])
def test_code_points_of_a_container_define_its_colours(save: Saved) -> None:
    plain = save(Image.new("RGB", SIZE, GREEN))
    for numbers, wanted in (((12, 13), OF_P3), ((1, 13), GREEN), ((1, 1), GREEN), ((2, 2), GREEN)):
        assert is_near(middle(with_code_points(plain, *numbers)), wanted), numbers


@pytest.mark.parametrize("save", [AVIF, HEIC])
def test_light_brighter_than_white_is_compressed(save: Saved) -> None:
    """In PQ 203 nits become light grey, and 1,000 nits white."""
    pictures = [Image.new("RGB", SIZE, (value,) * 3) for value in (0, 148, 192)]
    black, light, white = (middle(with_code_points(save(picture), 9, 16))[1] for picture in pictures)
    assert black <= 1
    assert 215 <= light <= 235
    assert white >= 250


@has_heic
def test_heic_of_ten_bits_is_shown_in_eight() -> None:
    from pillow_heif import from_bytes  # noqa: PLC0415

    wide = b"".join(struct.pack("<3H", *(value * 257 for value in GREEN)) for _ in range(64 * 64))
    buffer = BytesIO()
    from_bytes(mode="RGB;16", size=(64, 64), data=wide).save(buffer, quality=100, chroma=444)
    assert is_near(middle(buffer.getvalue()), GREEN)


@pytest.mark.parametrize("save", [WEBP, AVIF, HEIC])
@pytest.mark.parametrize("orientation", STORED_TURNS)
def test_turned_picture_comes_out_upright(save: Saved, orientation: int) -> None:
    upright = quarters(SIZE)
    turn = STORED_TURNS[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = upright if turn is None else upright.transpose(turn)
    rendered = widest(save(picture, exif=exif.tobytes()))
    assert rendered.size == SIZE
    for at in product((60, 260), (40, 200)):
        assert are_near(pixel_at(rendered, at), pixel_at(upright, at), 12), (orientation, at)


@pytest.mark.parametrize("save", [AVIF, HEIC])
def test_only_the_container_defines_the_orientation(save: Saved) -> None:
    """The specifications demand it: editors often change only one of the two."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>1</tiff:Orientation></x:xmpmeta>'
    data = save(quarters(SIZE), xmp=xmp)
    assert widest(data.replace(b"tation>1<", b"tation>6<")).size == SIZE
    assert data.count(b"tation>1<") == 1


@pytest.mark.parametrize("save", [WEBP, AVIF, HEIC])
def test_transparency_is_kept(save: Saved) -> None:
    clear = quarters(SIZE)
    clear.putalpha(Image.new("L", SIZE, 128))
    assert is_near(middle(save(clear))[3:], (128,))


@pytest.mark.parametrize("save", [WEBP, AVIF, HEIC])
def test_only_pixels_are_kept(save: Saved) -> None:
    exif = Image.Exif()
    exif[0x010E] = CANARY
    data = save(
        quarters(SIZE), exif=exif.tobytes(), xmp=CANARY.encode(), icc_profile=profile(ADOBE_RGB) + CANARY.encode()
    )
    assert CANARY.encode() in data
    for file in render(data).renditions:
        assert CANARY.encode() not in file.data
        assert not {"exif", "xmp", "icc_profile"} & set(Image.open(BytesIO(file.data)).info)


@has_heic
def test_thumbnail_of_a_heic_never_replaces_the_picture() -> None:
    """A thumbnail may show something else."""
    from pillow_heif import from_pillow  # noqa: PLC0415

    heif = from_pillow(Image.new("RGB", (1600, 1200), GREEN))
    buffer = BytesIO()
    heif.save(buffer, quality=90, thumbnails=[1400])
    image = open_source(buffer.getvalue()).image
    assert image.info["thumbnails"] == []
    image.draft(None, (300, 200))
    assert image.size == (1600, 1200)


@has_heic
def test_primary_picture_of_several_is_shown() -> None:
    from pillow_heif import HeifFile  # noqa: PLC0415

    heif: Any = HeifFile()  # type: ignore[no-untyped-call]
    for colour in ((230, 30, 30), GREEN, (40, 60, 220)):
        heif.add_from_pillow(Image.new("RGB", SIZE, colour))
    buffer = BytesIO()
    heif.save(buffer, quality=100, chroma=444, primary_index=1)
    rendered = render(buffer.getvalue())
    assert not rendered.is_animated
    assert is_near(middle(buffer.getvalue()), GREEN)


@pytest.mark.parametrize("save", [AVIF, HEIC])
def test_incomplete_file_is_refused(save: Saved) -> None:
    data = save(quarters(SIZE))
    container_boxes.read_container(data)
    with pytest.raises(ValueError, match="not complete"):
        container_boxes.read_container(data[:-1])


def test_impossible_container_is_refused() -> None:
    data = saved(quarters(SIZE), "AVIF")
    for kind in (b"iprp", b"ipco", b"ipma", b"pitm", b"iloc"):
        at = data.index(kind)
        for broken in (data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :], data[: at - 4] + b"\xff" * 4 + data[at:]):
            with pytest.raises(Refusal) as refused:
                render(broken)
            assert refused.value.code is UserErrorCode.IMAGE_CORRUPT


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1B", SourceFormat.AVIF),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", SourceFormat.AVIF),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", SourceFormat.HEIC),
        (b"\0\0\0\x24ftypmif1\0\0\0\0mif1heicmiafMiHBheix", SourceFormat.HEIC),
        (b"\0\0\0\x18ftypmsf1\0\0\0\0msf1hevc", SourceFormat.HEIC),
        (b"\0\0\0\x14ftypmif1\0\0\0\0mif1heic", None),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp41", None),
        (b"\xff\xff\xff\xffftyp", None),
        (b"ftyp", None),
        (b"RIFF\0\0\0\0WEBP", SourceFormat.WEBP),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"GIF88a", None),
        (b"", None),
    ],
)
def test_first_bytes_decide_the_format(head: bytes, expected: SourceFormat | None) -> None:
    assert SourceFormat.of(head) is expected
    assert SourceFormat.of((head + bytes(100))[:SIGNATURE_BYTES]) is expected


def test_message_of_a_refusal_names_the_formats_taken() -> None:
    with pytest.raises(Refusal) as refused:
        render(b"%PDF-1.7")
    assert "JPEG, PNG, GIF, WebP" in refused.value.message


def test_installation_without_a_decoder_does_not_take_its_format(monkeypatch: pytest.MonkeyPatch) -> None:
    without = tuple(source for source in SourceFormat if source is not SourceFormat.HEIC)
    monkeypatch.setattr(source_formats, "formats_taken", lambda: without)
    head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    for refuse in (lambda: render(head), lambda: source_formats.check_taken(SourceFormat.HEIC, field=["format"])):
        with pytest.raises(Refusal) as refused:
            refuse()
        assert refused.value.code is UserErrorCode.UNSUPPORTED_FORMAT
        assert "HEIC" not in refused.value.message
