"""Animations keep their frames, durations and loops within a budget; GIF frames are combined as in browsers."""

from io import BytesIO

import pytest
from PIL import Image, ImageDraw

from domain.image_formats import RenditionFormat
from tests.support.corpus.writing import gif, gif_frame
from tests.support.pictures import gif_of_many_frames, moving, pixel_at, quarters, saved
from workers.rendering.animation import FRAME_PIXELS, moving_sizes
from workers.rendering.pipeline import render
from workers.rendering.rendered import RenderedFile
from workers.rendering.sizes import Size

GIF, JPEG, PNG, WEBP = RenditionFormat.GIF, RenditionFormat.JPEG, RenditionFormat.PNG, RenditionFormat.WEBP


def frames(file: RenderedFile) -> list[Image.Image]:
    picture = Image.open(BytesIO(file.data))
    shown = []
    for number in range(getattr(picture, "n_frames", 1)):
        picture.seek(number)
        frame = picture.convert("RGBA")
        frame.info = {"duration": picture.info.get("duration"), "loop": picture.info.get("loop")}
        shown.append(frame)
    return shown


def test_animation_is_rendered_moving_and_still() -> None:
    rendered = render(moving((800, 600)))
    assert rendered.is_animated
    assert [(file.format, file.width, file.height) for file in rendered.renditions] == [
        (JPEG, 150, 150),
        (GIF, 320, 240),
        (WEBP, 320, 240),
        (JPEG, 640, 480),
        (GIF, 640, 480),
        (WEBP, 640, 480),
        (GIF, 800, 600),
        (WEBP, 800, 600),
    ]


def test_frames_times_and_loop_are_kept() -> None:
    for file in render(moving()).renditions:
        shown = frames(file)
        if file.format is JPEG:
            assert len(shown) == 1
            continue
        assert [frame.info["duration"] for frame in shown] == [40, 60, 80, 100, 120, 140]
        assert shown[0].info["loop"] == 0
        for number, frame in enumerate(shown):
            at = (int((400 * number / 6 + 20) * file.width / 400), int(70 * file.height / 300))
            assert min(pixel_at(frame, at)) > 220, (file.format, number)


def test_rendition_of_an_animation_that_plays_once_plays_once() -> None:
    once = moving(count=3)
    start = once.index(b"\x21\xff\x0bNETSCAPE2.0")
    rendered = render(once[:start] + once[start + 19 :])
    for file in rendered.renditions:
        if file.format is GIF:
            assert b"NETSCAPE" not in file.data
        if file.format is WEBP:
            assert frames(file)[0].info["loop"] == 1


def test_transparent_areas_of_an_animation_stay_transparent() -> None:
    source = []
    for number in range(4):
        frame = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
        ImageDraw.Draw(frame).rectangle((number * 100, 100, number * 100 + 99, 200), fill=(220, 60, 30, 255))
        source.append(frame)
    data = saved(source[0], "GIF", save_all=True, append_images=source[1:], duration=50, disposal=2, loop=0)
    rendered = render(data)
    assert {file.format for file in rendered.renditions} == {PNG, GIF, WEBP}
    for file in rendered.renditions:
        if file.format is PNG:
            continue
        for number, frame in enumerate(frames(file)):
            for cell in range(4):
                pixel = pixel_at(frame, ((cell * 100 + 50) * file.width // 400, file.height // 2))
                assert pixel[3] == (255 if cell == number else 0), (file.format, number, cell)


def test_gif_of_one_frame_is_a_still_picture() -> None:
    rendered = render(saved(quarters(), "GIF"))
    assert not rendered.is_animated
    assert {file.format for file in rendered.renditions} == {JPEG, WEBP}


def test_long_and_large_animation_keeps_to_the_budget() -> None:
    for source, count in (
        (Size(1000, 1000), 250),
        (Size(1080, 608), 100),
        (Size(300, 300), 10),
        (Size(2000, 2000), 250),
    ):
        sizes = moving_sizes(source, count)
        assert sizes
        assert all(size.width * size.height * count <= FRAME_PIXELS * 1.01 for size in sizes)
    assert moving_sizes(Size(1000, 1000), 230) == [Size(320, 320)]


def test_smallest_animation_is_rendered() -> None:
    rendered = render(gif_of_many_frames(2))
    assert rendered.is_animated
    assert [(file.format, file.width) for file in rendered.renditions] == [(JPEG, 1), (JPEG, 1), (GIF, 1), (WEBP, 1)]


def test_uncovered_screen_is_transparent() -> None:
    small = gif_frame((50, 40, 100, 80), bytes(8000))
    for count in (1, 3):
        rendered = render(gif((200, 160), [small] * count, bytes([230, 30, 30, 0, 0, 0])))
        assert PNG in {file.format for file in rendered.renditions}
        for file in rendered.renditions:
            if file.width == 200:
                for frame in frames(file):
                    corner, middle = pixel_at(frame, (5, 5)), pixel_at(frame, (100, 80))
                    assert corner[3] == 0
                    assert middle[0] > 200
                    assert middle[3] == 255


RED, GREEN, BLUE = (230, 30, 30), (30, 180, 40), (40, 60, 220)
COLOURS = bytes([*RED, *GREEN, *BLUE, 0, 0, 0])
SCREEN = (200, 160)
CORNER = (10, 10, 40, 40)


def filled(box: tuple[int, int, int, int], index: int, **options: int | None) -> bytes:
    return gif_frame(box, bytes([index]) * (box[2] * box[3]), **options)  # type: ignore[arg-type]


def whole(index: int, **options: int | None) -> bytes:
    return filled((0, 0, *SCREEN), index, **options)


def colours_of(*stored: bytes, palette: bytes = COLOURS) -> list[list[tuple[int, ...] | None]]:
    """The colours in the corner and in the middle of each rendered frame; None where it is transparent."""
    files = render(gif(SCREEN, stored, palette)).renditions
    (webp,) = (file for file in files if file.format is WEBP and file.width == 200)
    return [[nearest_colour(frame, at) for at in ((30, 30), (100, 80))] for frame in frames(webp)]


def nearest_colour(frame: Image.Image, at: tuple[int, int]) -> tuple[int, ...] | None:
    pixel = pixel_at(frame, at)
    if pixel[3] == 0:
        return None
    return min((RED, GREEN, BLUE), key=lambda colour: sum(abs(a - b) for a, b in zip(colour, pixel, strict=False)))


def test_cleared_frame_becomes_transparent() -> None:
    for clear in (None, 3):
        colours = colours_of(whole(0), filled(CORNER, 1, disposal=2, clear=clear), filled((150, 100, 9, 9), 2))
        assert colours == [[RED, RED], [GREEN, RED], [None, RED]]
    assert colours_of(whole(0, disposal=2), filled(CORNER, 1), whole(2)) == [[RED, RED], [GREEN, None], [BLUE, BLUE]]


def test_disposal_restores_the_screen_before_the_frame() -> None:
    for disposal in (3, 4):
        colours = colours_of(whole(0), filled(CORNER, 1, disposal=disposal), filled((150, 100, 9, 9), 2))
        assert colours == [[RED, RED], [GREEN, RED], [RED, RED]]
    assert colours_of(filled(CORNER, 1, disposal=3), filled((90, 70, 30, 30), 2)) == [[GREEN, None], [None, BLUE]]


def test_each_frame_has_its_own_disposal() -> None:
    """A frame without a disposal stays."""
    patches = filled(CORNER, 1, disposal=2), filled(CORNER, 2, disposal=0), filled((150, 100, 9, 9), 1)
    assert colours_of(whole(0), *patches) == [[RED, RED], [GREEN, RED], [BLUE, RED], [BLUE, RED]]


def test_area_outside_a_first_frame_of_256_colours_is_transparent() -> None:
    palette = COLOURS + bytes(3 * 252)
    assert colours_of(filled(CORNER, 1), filled(CORNER, 2), palette=palette) == [[GREEN, None], [BLUE, None]]
    still = render(gif(SCREEN, [filled(CORNER, 1)], palette)).renditions
    assert {file.format for file in still} == {PNG, WEBP}


@pytest.mark.parametrize(("delay", "shown"), [(0, 100), (1, 100), (2, 20), (3, 30), (100, 1000)])
def test_too_short_delay_becomes_the_usual_one(delay: int, shown: int) -> None:
    rendered = render(gif(SCREEN, [whole(index, delay=delay) for index in range(3)], COLOURS))
    for file in rendered.renditions:
        if file.format in (GIF, WEBP):
            assert [frame.info["duration"] for frame in frames(file)] == [shown] * 3, file.format


def test_frame_may_reach_beyond_the_screen() -> None:
    assert colours_of(whole(0), filled((150, 100, 100, 100), 1)) == [[RED, RED], [RED, RED]]
    assert render(gif((10, 10), [whole(0)], COLOURS)).width == SCREEN[0]


def test_frame_without_a_size_has_that_of_the_screen() -> None:
    frame = bytearray(whole(1))
    at = frame.index(b"\x2c")
    frame[at + 5 : at + 9] = bytes(4)
    assert colours_of(whole(0), bytes(frame)) == [[RED, RED], [GREEN, GREEN]]


def moving_as(kind: str, **options: object) -> bytes:
    shown = [Image.new("RGB", (320, 240), colour) for colour in (RED, GREEN, BLUE)]
    return saved(shown[0], kind, save_all=True, append_images=shown[1:], duration=[40, 10, 200], **options)


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
def test_animated_picture_of_another_format_moves_like_a_gif(kind: str) -> None:
    rendered = render(moving_as(kind))
    assert rendered.is_animated
    assert [(file.format, file.width) for file in rendered.renditions] == [
        (JPEG, 150),
        (JPEG, 320),
        (GIF, 320),
        (WEBP, 320),
    ]
    for file in rendered.renditions:
        if file.format in (GIF, WEBP):
            shown = frames(file)
            assert [frame.info["duration"] for frame in shown] == [40, 100, 200]
            assert [nearest_colour(frame, (160, 120)) for frame in shown] == [RED, GREEN, BLUE]


@pytest.mark.parametrize(("plays", "repeats"), [(0, 0), (1, None), (3, 2)])
def test_animated_webp_keeps_its_number_of_plays(plays: int, repeats: int | None) -> None:
    for file in render(moving_as("WEBP", loop=plays)).renditions:
        if file.format is GIF:
            assert frames(file)[0].info["loop"] == repeats
        if file.format is WEBP:
            assert frames(file)[0].info["loop"] == plays


def test_turned_animation_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    rendered = render(moving_as("WEBP", exif=exif))
    assert (rendered.width, rendered.height) == (240, 320)
    assert all(file.height >= file.width for file in rendered.renditions)


def test_area_outside_opaque_webp_frames_is_transparent() -> None:
    """The header of such an animation declares no transparency."""

    def frame(colour: str) -> bytes:
        still = saved(Image.new("RGB", (100, 100), colour), "WEBP", lossless=True)[12:]
        placed = bytes(6) + (99).to_bytes(3, "little") * 2 + (100).to_bytes(3, "little") + b"\0" + still
        return b"ANMF" + len(placed).to_bytes(4, "little") + placed

    canvas = b"VP8X" + (10).to_bytes(4, "little") + b"\x02" + bytes(3) + (199).to_bytes(3, "little") * 2
    chunks = canvas + b"ANIM" + (6).to_bytes(4, "little") + bytes(6) + frame("red") + frame("blue")
    data = b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WEBP" + chunks
    files = render(data).renditions
    assert {file.format for file in files} == {PNG, GIF, WEBP}
    for file in files:
        if file.width > 150:
            covered, uncovered = (pixel_at(frames(file)[0], (int(file.width * part),) * 2) for part in (0.2, 0.8))
            assert (covered[3], uncovered[3]) == (255, 0), file.format
