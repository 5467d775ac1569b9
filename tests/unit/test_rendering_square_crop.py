"""The square shows the subject of a picture, wherever it is, and the middle of a picture that has none."""

import random
from io import BytesIO

import pytest
from PIL import Image, ImageDraw, ImageFilter

from domain.image_formats import RenditionFormat
from tests.support.pictures import saved
from workers.rendering.pipeline import render
from workers.rendering.square_crop import MIDDLE, Window, square_window

SIZE = (960, 480)
ROOM = SIZE[0] - SIZE[1]
SKINS = {"light": (236, 188, 160), "brown": (172, 112, 76), "dark": (88, 54, 38)}


def meadow(size: tuple[int, int] = SIZE) -> Image.Image:
    """Soft greens, out of focus."""
    dots = Image.frombytes("L", (24, 12), random.Random(3).randbytes(288)).resize(size, Image.Resampling.BICUBIC)
    return Image.merge("RGB", [dots.point(lambda value, base=base: base + value // 12) for base in (60, 110, 50)])


def with_disc(ground: Image.Image, middle: int, color: tuple[int, int, int]) -> Image.Image:
    """A disc of 120 pixels on the long axis."""
    x, y = (middle, ground.height // 2) if ground.width > ground.height else (ground.width // 2, middle)
    ImageDraw.Draw(ground).ellipse((x - 60, y - 60, x + 60, y + 60), fill=color)
    return ground


def seen(window: Window) -> tuple[float, float]:
    left, _, right, _ = window.box(*SIZE)
    return left, right


@pytest.mark.parametrize("middle", [80, 200, 350, 480, 640, 800, 880])
def test_square_shows_the_subject_away_from_its_edge_if_possible(middle: int) -> None:
    left, right = seen(square_window(with_disc(meadow(), middle, (210, 40, 40))))
    assert left <= middle - 60 + 4
    assert right >= middle + 60 - 4
    nearest = min(max(middle - 240, 0), ROOM)
    assert abs(left - nearest) < 60


@pytest.mark.parametrize("skin", SKINS)
def test_skin_attracts_the_square_whatever_its_colour(skin: str) -> None:
    left, right = seen(square_window(with_disc(meadow(), 800, SKINS[skin])))
    assert left < 740
    assert right > 860


def test_sharp_side_is_chosen_before_the_blurred_one() -> None:
    noise = Image.frombytes("L", (240, 120), random.Random(5).randbytes(240 * 120))
    sharp = noise.resize(SIZE, Image.Resampling.NEAREST).filter(ImageFilter.GaussianBlur(2)).convert("RGB")
    picture = sharp.filter(ImageFilter.GaussianBlur(40))
    picture.paste(sharp.crop((600, 0, *SIZE)), (600, 0))
    assert square_window(picture).place > 0.9


@pytest.mark.parametrize("turn", [None, *Image.Transpose])
def test_turned_picture_is_cut_at_the_same_place(turn: Image.Transpose | None) -> None:
    picture = with_disc(meadow(), 800, (210, 40, 40))
    turned = picture if turn is None else picture.transpose(turn)
    left, top, right, bottom = (round(edge) for edge in square_window(turned).box(*turned.size))
    red = turned.crop((left, top, right, bottom)).getcolors(SIZE[0] * SIZE[1])
    assert red
    assert max(count for count, color in red if color == (210, 40, 40)) > 11_000  # the whole disc: 11,300 pixels


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("RGB", SIZE, "white"),
        Image.new("RGBA", SIZE, (0, 0, 0, 0)),
        Image.frombytes("RGB", SIZE, random.Random(7).randbytes(SIZE[0] * SIZE[1] * 3)),
        with_disc(meadow(), 480, (210, 40, 40)),
        with_disc(with_disc(meadow(), 300, (210, 40, 40)), 660, (210, 40, 40)),
        Image.new("RGB", (500, 500), "red"),
        Image.new("RGB", (1, 1), "red"),
        Image.new("RGB", (1, 500), "red"),
        Image.new("RGB", (16_000, 2), "red"),
    ],
    ids=["white", "nothing", "noise", "middle", "both sides", "square", "dot", "line", "thin"],
)
def test_picture_without_a_subject_on_one_side_is_cut_in_the_middle(picture: Image.Image) -> None:
    window = square_window(picture)
    assert window == MIDDLE or abs(window.place - 0.5) < 0.06


def test_transparent_areas_do_not_attract_the_square() -> None:
    picture = with_disc(meadow(), 150, (255, 0, 0)).convert("RGBA")
    picture.paste((255, 0, 0, 0), (0, 0, 480, 480))
    assert square_window(with_disc(picture, 800, (40, 40, 210))).place > 0.8


@pytest.mark.parametrize(("size", "middle"), [((960, 480), 800), ((480, 960), 130), ((6000, 400), 5200)])
def test_square_rendition_shows_the_subject(size: tuple[int, int], middle: int) -> None:
    rendered = render(saved(with_disc(meadow(size), middle, (210, 40, 40)), "PNG"))
    squares = [file for file in rendered.renditions if file.width == file.height == 150]
    assert {file.format for file in squares} == {RenditionFormat.JPEG, RenditionFormat.WEBP}
    for file in squares:
        red = Image.open(BytesIO(file.data)).convert("YCbCr").getchannel("Cr")
        reddish = sum(red.point(lambda value: value > 180).histogram()[1:])
        expected = 3.14159 * (60 * 150 / min(size)) ** 2
        assert abs(reddish - expected) < expected * 0.15
