"""Still pictures are rendered upright, in sRGB, in the right sizes and without metadata."""

from io import BytesIO
from itertools import pairwise

import pytest
from PIL import Image, ImageCms, ImageDraw, PngImagePlugin

from domain.image_formats import RenditionFormat
from tests.support.corpus.jpegs import STORED_TURNS
from tests.support.pictures import CANARY, QUARTERS, are_near, pixel_at, quarters, saved
from workers.rendering.pipeline import render
from workers.rendering.rendered import Rendered, RenderedFile

JPEG, PNG, WEBP = RenditionFormat.JPEG, RenditionFormat.PNG, RenditionFormat.WEBP
Size = tuple[int, int]


def opened(file: RenderedFile) -> Image.Image:
    picture = Image.open(BytesIO(file.data))
    picture.load()
    return picture


def sizes(rendered: Rendered, file_format: RenditionFormat) -> list[Size]:
    return [(file.width, file.height) for file in rendered.renditions if file.format is file_format]


def corners(picture: Image.Image) -> list[str]:
    """The names of the colours above left, above right, below left, below right."""
    rgb = picture.convert("RGB")
    pixels = [pixel_at(rgb, (int(rgb.width * x), int(rgb.height * y))) for y in (0.25, 0.75) for x in (0.25, 0.75)]
    return [next(name for name, color in QUARTERS.items() if are_near(pixel, color, 20)) for pixel in pixels]


def test_wide_source_is_rendered_in_every_width_and_both_formats() -> None:
    rendered = render(saved(quarters((2000, 1500)), "JPEG"))
    expected = [(150, 150), (320, 240), (640, 480), (1080, 810)]
    assert sizes(rendered, JPEG) == expected
    assert sizes(rendered, WEBP) == expected
    assert (rendered.width, rendered.height, rendered.is_animated) == (2000, 1500, False)
    for file in rendered.renditions:
        assert opened(file).size == (file.width, file.height)
        assert opened(file).format == file.format.value


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ((1080, 1080), [(150, 150), (320, 320), (640, 640), (1080, 1080)]),
        ((700, 350), [(150, 150), (320, 160), (640, 320), (700, 350)]),
        ((200, 100), [(100, 100), (200, 100)]),
        ((40, 20), [(20, 20), (40, 20)]),
        ((1, 1), [(1, 1), (1, 1)]),
        ((4000, 10), [(10, 10), (320, 1), (640, 2), (1080, 3)]),
        ((30, 17_000), [(29, 16_383), (30, 30)]),
    ],
)
def test_nothing_is_enlarged(source: Size, expected: list[Size]) -> None:
    rendered = render(saved(quarters(source), "PNG"))
    assert sizes(rendered, JPEG) == expected
    assert sizes(rendered, WEBP) == expected


@pytest.mark.parametrize("orientation", STORED_TURNS)
def test_every_exif_orientation_comes_out_upright(orientation: int) -> None:
    turn = STORED_TURNS[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = quarters((900, 700))
    rendered = render(saved(picture.transpose(turn) if turn is not None else picture, "JPEG", exif=exif))
    assert (rendered.width, rendered.height) == (900, 700)
    for file in rendered.renditions:
        assert corners(opened(file)) == ["red", "green", "blue", "yellow"]


def test_square_of_a_panorama_is_cut_from_the_source() -> None:
    panorama = Image.new("RGB", (6000, 400), "white")
    ImageDraw.Draw(panorama).rectangle((2800, 0, 3200, 400), fill="black")
    square = opened(render(saved(panorama, "JPEG")).renditions[0])
    assert square.size == (150, 150)
    brightest = max(square.convert("L").tobytes())
    assert brightest < 32


@pytest.mark.parametrize(
    ("mode", "grey"),
    [("1", 0), ("1", 255), *((mode, grey) for mode in ("L", "P", "CMYK", "I;16") for grey in (0, 60, 200, 255))],
)
def test_every_mode_keeps_its_tone(mode: str, grey: int) -> None:
    plain = Image.new("L", (400, 300), grey)
    source = {
        "I;16": lambda: Image.new("I;16", plain.size, grey * 257),
        "P": lambda: plain.convert("RGB").quantize(4),
    }.get(mode, lambda: plain.convert("RGB").convert(mode))()
    rendered = render(saved(source, "JPEG" if mode == "CMYK" else "PNG"))
    for file in rendered.renditions:
        assert file.format in (JPEG, WEBP)
        picture = opened(file)
        assert picture.mode == "RGB"
        assert are_near(pixel_at(picture, (picture.width // 2, picture.height // 2)), (grey, grey, grey), 3)


def test_embedded_profile_is_converted_to_srgb() -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    swapped = _swap_red_and_blue(srgb.tobytes())
    rendered = render(saved(Image.new("RGB", (400, 300), (200, 40, 90)), "PNG", icc_profile=swapped))
    assert are_near(pixel_at(opened(rendered.renditions[-1]).convert("RGB"), (5, 5)), (90, 40, 200), 5)
    for unfit in (lab.tobytes(), b"not a profile", swapped[:200]):
        kept = render(saved(Image.new("RGB", (400, 300), (200, 40, 90)), "JPEG", icc_profile=unfit, quality=95))
        assert are_near(pixel_at(opened(kept.renditions[-1]).convert("RGB"), (5, 5)), (200, 40, 90), 5)


def _swap_red_and_blue(profile: bytes) -> bytes:
    """The sRGB profile with its red and blue primaries exchanged."""
    return profile.replace(b"rXYZ", b"tmp!").replace(b"bXYZ", b"rXYZ").replace(b"tmp!", b"bXYZ")


def test_transparent_picture_stays_transparent() -> None:
    source = Image.new("RGBA", (900, 700), (0, 0, 0, 0))
    ImageDraw.Draw(source).ellipse((200, 100, 700, 600), fill=(250, 120, 30, 255))
    rendered = render(saved(source, "PNG"))
    assert {file.format for file in rendered.renditions} == {PNG, WEBP}
    for file in rendered.renditions:
        picture = opened(file).convert("RGBA")
        assert are_near(pixel_at(picture, (picture.width // 2, picture.height // 2)), (250, 120, 30, 255), 8)
        assert pixel_at(picture, (0, 0))[3] == 0


@pytest.mark.parametrize("mode", ["P", "RGB", "L"])
def test_transparent_colour_is_transparent(mode: str) -> None:
    source = Image.new("RGB", (500, 400), "white")
    ImageDraw.Draw(source).rectangle((100, 100, 400, 300), fill="black")
    options = {"P": 0, "RGB": (255, 255, 255), "L": 255}
    picture = source.convert(mode) if mode != "P" else source.quantize(2)
    clear = picture.getpixel((0, 0)) if mode == "P" else options[mode]
    rendered = render(saved(picture, "PNG", transparency=clear))
    assert {file.format for file in rendered.renditions} == {PNG, WEBP}


def test_every_encoding_of_a_picture_is_read() -> None:
    picture, other = quarters(), Image.new("RGB", (800, 600), "black")
    encodings = {
        "progressive": saved(picture, "JPEG", progressive=True),
        "full colour": saved(picture, "JPEG", subsampling=0),
        "pictures behind the first, as some phones have": saved(picture, "MPO", save_all=True, append_images=[other]),
        "animated PNG": saved(picture, "PNG", save_all=True, append_images=[other]),
        "grey and alpha": saved(picture.convert("LA"), "PNG"),
    }
    for name, data in encodings.items():
        rendered = render(data)
        assert not rendered.is_animated
        assert sizes(rendered, JPEG) == [(150, 150), (320, 240), (640, 480), (800, 600)], name
        if name != "grey and alpha":
            assert corners(opened(rendered.renditions[-1])) == ["red", "green", "blue", "yellow"], name


def test_alpha_channel_without_transparency_gives_jpeg() -> None:
    rendered = render(saved(quarters().convert("RGBA"), "PNG"))
    assert {file.format for file in rendered.renditions} == {JPEG, WEBP}


def test_renditions_have_only_pixels() -> None:
    exif = Image.Exif()
    exif[0x010E] = CANARY
    exif.get_ifd(0x8825).update({1: "N", 2: (46.0, 33.0, 26.4), 29: CANARY})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + CANARY.encode()
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", CANARY)
    text.add_itxt("XML:com.adobe.xmp", f"<x>{CANARY}</x>")
    transparent = quarters().convert("RGBA")
    transparent.putpixel((0, 0), (0, 0, 0, 0))
    transparent.paste((0, 0, 0, 0), (0, 0, 100, 100))
    sources = [
        saved(quarters(), "JPEG", exif=exif, comment=CANARY, icc_profile=profile, xmp=CANARY.encode()),
        saved(quarters(), "PNG", exif=exif, pnginfo=text, icc_profile=profile),
        saved(transparent, "PNG", exif=exif, pnginfo=text, icc_profile=profile),
        saved(quarters(), "GIF", comment=CANARY),
    ]
    for source in sources:
        for file in render(source + CANARY.encode()).renditions:
            assert b"CANARY" not in file.data
            assert not set(opened(file).info) & {"exif", "icc_profile", "comment", "xmp", "dpi", "photoshop", "Comment"}
            assert not opened(file).getexif()


def test_placeholder_describes_the_picture() -> None:
    rendered = render(saved(Image.new("RGB", (400, 300), (200, 40, 90)), "PNG"))
    assert rendered.dominant_color == "#c8285a"
    assert len(rendered.blur_hash) == 28


def test_same_bytes_give_the_same_files() -> None:
    data = saved(quarters(), "JPEG")
    assert render(data) == render(data)


def test_step_by_step_scaling_is_as_good_as_direct_scaling() -> None:
    source = Image.radial_gradient("L").resize((4000, 3000))
    photograph = Image.merge("RGB", (source, source.rotate(180), Image.linear_gradient("L").resize((4000, 3000))))
    data = saved(photograph, "JPEG", quality=92)
    levels = [file for file in render(data).renditions if file.format is JPEG][1:]
    assert [a.width < b.width for a, b in pairwise(levels)] == [True, True]
    for file in levels:
        direct = photograph.resize((file.width, file.height), Image.Resampling.LANCZOS)
        pixels = zip(direct.convert("L").tobytes(), opened(file).convert("L").tobytes(), strict=True)
        assert sum((a - b) ** 2 for a, b in pixels) / (file.width * file.height) < 1.5
