"""Patterns and still lifes for the demo: each takes a generator, a size and a palette, and paints."""

import math
from random import Random

from PIL import Image, ImageDraw, ImageFilter

from deploy.demo.painting import Color, Point, along, below, drop_shadow, glow, gradient, mix, shape_mask, swell

Size = tuple[int, int]
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
WHITE: Color = (255, 255, 255)


def bokeh(rng: Random, size: Size, palette: list[Color]) -> Image.Image:
    """Lights out of focus. Palette: two of ground, then the lights."""
    top, bottom, *lights = palette
    width, height = size
    picture = gradient(size, [top, bottom])
    for _ in range(5):
        glow(picture, (rng.random() * width, rng.random() * height), min(size) * 0.7, rng.choice(lights), 0.35)
    for layer in range(3):
        sheet = picture.copy()
        draw = ImageDraw.Draw(sheet)
        for _ in range(16):
            x, y = rng.random() * width, height * rng.betavariate(3, 2.2)
            radius = min(size) * rng.uniform(0.025, 0.11) * (1.4 - 0.35 * layer)
            color = mix(rng.choice(lights), WHITE, rng.random() * 0.35)
            draw.circle((x, y), radius, mix(color, bottom, 0.15), color, max(2, round(radius * 0.06)))
        blurred = sheet.filter(ImageFilter.BoxBlur(min(size) * (0.014 - 0.0055 * layer)))
        picture = Image.blend(picture, blurred, 0.42)
    return picture


def bauhaus(rng: Random, size: Size, palette: list[Color]) -> Image.Image:
    """Circles, quarters and bars on a grid."""
    paper, *inks = palette
    columns = rng.choice((4, 5))
    cell = size[0] / columns
    picture = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(picture)
    for row in range(math.ceil(size[1] / cell)):
        for column in range(columns):
            first, second = rng.sample(inks, 2)
            _tile(rng, draw, (column * cell, row * cell), cell, paper if rng.random() < 0.3 else first, second)
    return picture


def _tile(rng: Random, draw: ImageDraw.ImageDraw, corner: Point, cell: float, ground: Color, ink: Color) -> None:
    x, y = corner
    draw.rectangle((x, y, x + cell + 1, y + cell + 1), fill=ground)
    turn = rng.randrange(4)
    match rng.randrange(6):
        case 0:
            draw.ellipse((x + cell * 0.12, y + cell * 0.12, x + cell * 0.88, y + cell * 0.88), fill=ink)
            draw.ellipse((x + cell * 0.34, y + cell * 0.34, x + cell * 0.66, y + cell * 0.66), fill=ground)
        case 1 | 2:  # a quarter of a circle around one corner of the cell
            cx, cy = x + cell * (turn in (1, 2)), y + cell * (turn >= 2)
            draw.pieslice((cx - cell, cy - cell, cx + cell, cy + cell), turn * 90, turn * 90 + 90, fill=ink)
        case 3:
            draw.pieslice((x, y, x + cell, y + cell), turn * 90, turn * 90 + 180, fill=ink)
        case 4:
            for bar in range(4):
                at = bar * cell / 4
                box = (x + at, y, x + at + cell / 8, y + cell) if turn % 2 else (x, y + at, x + cell, y + at + cell / 8)
                draw.rectangle(box, fill=ink)
        case _:
            corners = [(x, y), (x + cell, y), (x + cell, y + cell), (x, y + cell)]
            draw.polygon([*corners[turn:], *corners[:turn]][:3], fill=ink)


def sunflower(rng: Random, size: Size, palette: list[Color], drift: float = 0.0) -> Image.Image:
    """Seeds in a spiral, each a golden angle on from the last; a `drift` of 1 turns it once around.

    Palette: the ground, then the seeds from the middle out.
    """
    ground, *seeds = palette
    picture = Image.new("RGB", size, ground)
    glow(picture, (size[0] / 2, size[1] / 2), max(size) * 0.7, mix(ground, WHITE, 0.25), 0.8)
    draw = ImageDraw.Draw(picture)
    start = rng.uniform(0, math.tau) + drift * math.tau
    for number in range(620):
        share = number / 620
        seed = _around_center(size, start + number * GOLDEN_ANGLE, min(size) * 0.47 * math.sqrt(share))
        draw.circle(seed, min(size) * (0.006 + 0.0105 * share), fill=along(seeds, share))
    return picture


def flower(rng: Random, size: Size, palette: list[Color]) -> Image.Image:
    """One large blossom on nothing at all (RGBA). Palette: outer petals, inner, heart."""
    outer, inner, heart = palette
    side = min(size)
    picture = Image.new("RGBA", size, (0, 0, 0, 0))
    start = rng.uniform(0, math.tau)
    for circle, (count, reach) in enumerate(((13, 0.47), (11, 0.37), (8, 0.26), (6, 0.17))):
        for number in range(count):
            tone = mix(mix(outer, inner, circle / 3), WHITE, rng.uniform(0, 0.16))
            petal = _petal(round(side * reach), tone)
            angle = start + math.tau * (number + circle * 0.5) / count
            turned = petal.rotate(-math.degrees(angle), Image.Resampling.BICUBIC, expand=True)
            x, y = _around_center(size, angle, side * reach / 2)
            picture.alpha_composite(turned, (round(x - turned.width / 2), round(y - turned.height / 2)))
    draw = ImageDraw.Draw(picture)
    for number in range(160):
        share = number / 160
        seed = _around_center(size, number * GOLDEN_ANGLE, side * 0.085 * math.sqrt(share))
        draw.circle(seed, side * 0.0065, fill=(*mix(heart, WHITE, share * 0.35), 255))
    return picture


def _around_center(size: Size, angle: float, distance: float) -> Point:
    return size[0] / 2 + distance * math.cos(angle), size[1] / 2 + distance * math.sin(angle)


def _petal(length: int, tone: Color) -> Image.Image:
    broad = round(length * 0.46)
    mask = Image.new("L", (length, broad), 0)
    ImageDraw.Draw(mask).ellipse((0, 0, length - 1, broad - 1), fill=255)
    shade = gradient((broad, length), [mix(tone, WHITE, 0.22), tone, mix(tone, (40, 10, 40), 0.4)])
    petal = shade.transpose(Image.Transpose.ROTATE_270).convert("RGBA")
    rim = Image.new("RGBA", petal.size, (*mix(tone, (40, 10, 40), 0.3), 255))
    inside = mask.resize((length - 6, broad - 6)).filter(ImageFilter.GaussianBlur(length * 0.01))
    rim.paste(petal.crop((3, 3, length - 3, broad - 3)), (3, 3), inside)
    rim.putalpha(mask)
    return rim


def papercut(rng: Random, size: Size, palette: list[Color], drift: float = 0.0) -> Image.Image:
    """Sheets of coloured paper, each with its shadow; a `drift` of 1 moves the waves once through."""
    ground, *sheets = palette
    width, height = size
    picture = gradient(size, [mix(ground, WHITE, 0.2), ground])
    for number, sheet in enumerate(sheets):
        level = height * (0.2 + 0.72 * number / len(sheets))
        line = swell(rng, 160, 1)
        shift = round(drift * 160) * (1 if number % 2 else -1) % 160
        outline = below(size, [*line[shift:-1], *line[:shift], line[shift]], level, height * 0.085)
        mask = shape_mask(size, outline)
        drop_shadow(picture, mask, -round(height * 0.008), width * 0.022, 0.45)
        picture.paste(gradient(size, [mix(sheet, WHITE, 0.1), sheet]), (0, 0), mask)
    return picture


def balloon(rng: Random, size: Size, palette: list[Color]) -> Image.Image:
    """A hot-air balloon on nothing at all (RGBA). Palette: the stripes."""
    width, height = size
    side = min(size) * 0.8
    middle, left, top = width / 2, (width - side * 0.78) / 2, height * 0.06
    picture = Image.new("RGBA", size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    basket_y = top + side * 1.02
    for shift in (-0.07, -0.025, 0.025, 0.07):
        rope = (middle + side * shift * 2.2, top + side * 0.76, middle + side * shift, basket_y)
        draw.line(rope, fill=(96, 70, 50, 255), width=max(2, round(side * 0.005)))
    basket = (middle - side * 0.08, basket_y, middle + side * 0.08, basket_y + side * 0.11)
    draw.rounded_rectangle(basket, side * 0.02, fill=(150, 96, 54, 255))
    stripes = rng.sample(palette, len(palette))
    for number in range(5):
        narrow = 1 - number / 5
        broad, waist, seam, hem = side * 0.39 * narrow, side * 0.13 * narrow, top + side * 0.355, top + side * 0.78
        color = (*stripes[number % len(stripes)], 255)
        draw.pieslice((middle - broad, top, middle + broad, top + side * 0.72), 180, 360, fill=color)
        corners = [(middle - broad, seam), (middle + broad, seam), (middle + waist, hem), (middle - waist, hem)]
        draw.polygon(corners, fill=color)
    light = Image.new("RGBA", size, (0, 0, 0, 0))
    gleam = (left + side * 0.08, top + side * 0.05, left + side * 0.3, top + side * 0.45)
    ImageDraw.Draw(light).ellipse(gleam, fill=(255, 255, 255, 70))
    picture.alpha_composite(light.filter(ImageFilter.GaussianBlur(side * 0.03)))
    return picture
