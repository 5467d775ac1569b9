"""Brushes for the demo's pictures: everything is drawn from a seeded generator, so each picture is always the same."""

import math
from collections.abc import Sequence
from random import Random

from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageFilter

Color = tuple[int, int, int]
Point = tuple[float, float]


def colors(names: str) -> list[Color]:
    """Reads colours from a line such as "#102030 #ffeedd"."""
    return [ImageColor.getrgb(name)[:3] for name in names.split()]


def mix(first: Color, second: Color, share: float) -> Color:
    """Goes from the first colour (share 0) to the second (share 1)."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def along(stops: Sequence[Color], share: float) -> Color:
    """The colour at `share`, from 0 to 1, of the way through evenly spaced stops."""
    place = min(max(share, 0.0), 1.0) * (len(stops) - 1)
    index = min(int(place), len(stops) - 2)
    return mix(stops[index], stops[index + 1], place - index)


def gradient(size: tuple[int, int], stops: Sequence[Color]) -> Image.Image:
    """A picture that goes through the stops from top to bottom."""
    column = Image.new("RGB", (1, size[1]))
    for y in range(size[1]):
        column.putpixel((0, y), along(stops, y / max(1, size[1] - 1)))
    return column.resize(size, Image.Resampling.NEAREST)


def glow(picture: Image.Image, center: Point, radius: float, color: Color, strength: float = 1.0) -> None:
    """Lays soft light on the picture, fading out towards `radius`."""
    side = max(2, round(radius * 2))
    curve = [round(255 * strength * max(0.0, 1 - value / 181) ** 2) for value in range(256)]
    mask = Image.radial_gradient("L").point(curve).resize((side, side), Image.Resampling.BILINEAR)
    picture.paste(color, (round(center[0]) - side // 2, round(center[1]) - side // 2), mask)


def disc(picture: Image.Image, center: Point, radius: float, color: Color) -> None:
    """Draws a filled circle."""
    ImageDraw.Draw(picture).circle(center, radius, fill=color)


def noise(rng: Random, size: tuple[int, int]) -> Image.Image:
    """Grey white noise."""
    return Image.frombytes("L", size, rng.randbytes(size[0] * size[1]))


def cloud(rng: Random, size: tuple[int, int], cells: int) -> Image.Image:
    """Grey fractal noise whose largest blots are a `cells`-th of the width."""
    total = Image.new("L", size, 128)
    for octave in range(4):
        across = cells * 2**octave
        small = (across + 2, max(2, round(across * size[1] / size[0]) + 2))
        layer = noise(rng, small).resize(size, Image.Resampling.BICUBIC)
        total = Image.blend(total, layer, 0.5 / 1.5**octave)
    return total.point(lambda value: min(255, max(0, round((value - 128) * 2.2 + 128))))


def ridge(rng: Random, steps: int, roughness: float) -> list[float]:
    """Heights of a mountain ridge by midpoint displacement, about -1 to 1; `steps` is a power of two."""
    heights = [0.0] * (steps + 1)
    heights[0], heights[steps] = rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5)
    span, swing = steps, 0.8
    while span > 1:
        half = span // 2
        for at in range(half, steps, span):
            heights[at] = (heights[at - half] + heights[at + half]) / 2 + rng.uniform(-swing, swing)
        span, swing = half, swing * roughness
    return heights


def swell(rng: Random, steps: int, waves: int) -> list[float]:
    """Heights of a smooth line, about -1 to 1: a few sines, each with twice the waves and a third of the height."""
    phases = [rng.uniform(0, math.tau) for _ in range(3)]
    return [
        sum(math.sin(math.tau * waves * 2**k * step / steps + phase) / 3**k for k, phase in enumerate(phases)) / 1.4
        for step in range(steps + 1)
    ]


def below(size: tuple[int, int], heights: Sequence[float], level: float, swing: float) -> list[Point]:
    """The outline of all that lies under a line around `level`; both in pixels, upwards is less."""
    width, height = size
    last = len(heights) - 1
    line: list[Point] = [(width * at / last, level - swing * value) for at, value in enumerate(heights)]
    return [(0.0, height + 1.0), *line, (float(width), height + 1.0)]


def shape_mask(size: tuple[int, int], outline: Sequence[Point]) -> Image.Image:
    """A mask that is white inside the outline."""
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    return mask


def drop_shadow(picture: Image.Image, mask: Image.Image, offset: int, blur: float, strength: float) -> None:
    """Darkens what lies under a shape, a little below it, as if it were cut from paper."""
    small = mask.resize((mask.width // 4, mask.height // 4), Image.Resampling.BILINEAR)
    soft = small.filter(ImageFilter.GaussianBlur(blur / 4)).resize(mask.size, Image.Resampling.BILINEAR)
    shadow = ImageChops.offset(soft, 0, offset).point(lambda value: round(value * strength))
    picture.paste((10, 10, 25), (0, 0), shadow)


def grain(picture: Image.Image, rng: Random, amount: int = 5) -> Image.Image:
    """Adds the fine noise of film, which also keeps gradients from showing steps."""
    low, span = 128 - amount, 2 * amount
    speckle = noise(rng, (256, 256)).point([low + value * span // 255 for value in range(256)])
    sheet = Image.new("L", picture.size, 128)
    for x in range(0, picture.width, 256):
        for y in range(0, picture.height, 256):
            sheet.paste(speckle, (x, y))
    grey = Image.merge("RGB", (sheet, sheet, sheet))
    return ImageChops.add(picture, grey, scale=1, offset=-128)
