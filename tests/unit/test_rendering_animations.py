"""Animated GIFs keep moving, at their own pace, within a budget."""

from io import BytesIO

from PIL import Image, ImageDraw

from domain.limits import RenditionFormat
from tests.corpus.writing import gif, gif_frame
from tests.unit.pictures import gif_of_many_frames, moving, quarters, saved
from workers.rendering.animation import FRAME_PIXELS, moving_sizes
from workers.rendering.ladder import Size
from workers.rendering.pipeline import render
from workers.rendering.rendered import RenderedFile

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
            pixel = frame.getpixel(at)
            assert isinstance(pixel, tuple)
            assert min(pixel) > 220, (file.format, number)


def test_animation_that_plays_once_still_does() -> None:
    once = moving(count=3)
    start = once.index(b"\x21\xff\x0bNETSCAPE2.0")
    rendered = render(once[:start] + once[start + 19 :])
    for file in rendered.renditions:
        if file.format is GIF:
            assert b"NETSCAPE" not in file.data
        if file.format is WEBP:
            assert frames(file)[0].info["loop"] == 1


def test_transparent_animation_stays_transparent_where_nothing_is() -> None:
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
                pixel = frame.getpixel(((cell * 100 + 50) * file.width // 400, file.height // 2))
                assert isinstance(pixel, tuple)
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


def test_screen_that_no_frame_covers_is_clear() -> None:
    small = gif_frame((50, 40, 100, 80), bytes(8000))
    for count in (1, 3):
        rendered = render(gif((200, 160), [small] * count, bytes([230, 30, 30, 0, 0, 0])))
        assert PNG in {file.format for file in rendered.renditions}
        for file in rendered.renditions:
            if file.width == 200:
                for frame in frames(file):
                    corner, middle = frame.getpixel((5, 5)), frame.getpixel((100, 80))
                    assert isinstance(corner, tuple)
                    assert isinstance(middle, tuple)
                    assert corner[3] == 0
                    assert middle[0] > 200
                    assert middle[3] == 255
