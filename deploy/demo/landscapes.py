"""Landscapes for the demo: each scene takes a generator, a size and a palette, and paints."""

import math
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from deploy.demo.painting import Color, along, below, cloud, disc, glow, gradient, mix, noise, ridge, shape_mask, swell

Size = tuple[int, int]
WHITE: Color = (255, 255, 255)


def mountains(rng: Random, size: Size, palette: list[Color]) -> Image.Image:
    """Ridges behind ridges in the haze, a low sun above them. Palette: three of sky, sun, far ridge, near ridge."""
    *sky, sun, far, near = palette
    width, height = size
    picture = gradient(size, sky)
    place = (width * rng.uniform(0.25, 0.75), height * rng.uniform(0.3, 0.42))
    glow(picture, place, height * 0.6, sun, 0.8)
    disc(picture, place, min(size) * 0.05, mix(sun, WHITE, 0.6))
    for depth in (number / 6 for number in range(7)):
        heights = ridge(rng, 256, 0.52)
        outline = below(size, heights, height * (0.42 + 0.5 * depth), height * (0.07 + 0.06 * depth))
        color = mix(far, near, depth**0.8)
        mist = gradient(size, [color, color, mix(color, sky[-1], 0.55 * (1 - depth))])
        picture.paste(mist, (0, 0), shape_mask(size, outline))
    return picture


def dunes(rng: Random, size: Size, palette: list[Color]) -> Image.Image:
    """Sand in the evening: every dune has a bright and a shaded side. Palette: two of sky, light, shade."""
    *sky, light, shade = palette
    width, height = size
    picture = gradient(size, [*sky, mix(sky[-1], light, 0.3)])
    disc(picture, (width * rng.uniform(0.2, 0.8), height * 0.2), min(size) * 0.045, mix(sky[-1], WHITE, 0.8))
    for depth in (number / 4 for number in range(5)):
        level, peak = height * (0.5 + 0.42 * depth), rng.uniform(0.15, 0.85)
        rise = [math.exp(-abs(at / 200 - peak) * rng.uniform(2.4, 2.6)) for at in range(201)]
        sand = shape_mask(size, below(size, rise, level, height * (0.13 + 0.06 * depth)))
        tone = mix(light, sky[-1], 0.5 * (1 - depth))
        picture.paste(gradient(size, [tone, tone, mix(tone, shade, 0.25)]), (0, 0), sand)
        bend = rng.uniform(0.05, 0.12)
        edge = [(width * (peak + bend * math.sin(t / 8) * t / 40), level + height * (t / 40 - 0.22)) for t in range(41)]
        shaded = ImageChops.darker(shape_mask(size, [*edge, (width, height), (width, 0)]), sand)
        fade = Image.linear_gradient("L").transpose(Image.Transpose.ROTATE_90).resize((round(width * 0.7), height))
        veil = Image.new("L", size, 0)
        veil.paste(ImageChops.invert(fade), (round(width * (peak - 0.05)), 0))
        picture.paste(mix(shade, sky[-1], 0.35 * (1 - depth)), (0, 0), ImageChops.multiply(shaded, veil))
    return picture


def sea(rng: Random, size: Size, palette: list[Color]) -> Image.Image:
    """The sun over water and its path of glitter. Palette: three of sky, sun, near horizon, deep water."""
    *sky, sun, shallow, deep = palette
    width, height = size
    horizon = round(height * rng.uniform(0.48, 0.58))
    picture = Image.new("RGB", size)
    picture.paste(gradient((width, horizon), sky), (0, 0))
    clouds = cloud(rng, (width // 4, horizon // 4), 3).point(lambda value: max(0, value - 150))
    streaks = clouds.resize((width, horizon // 4)).resize((width, horizon), Image.Resampling.BICUBIC)
    picture.paste(mix(sky[-1], WHITE, 0.5), (0, 0), streaks)
    center = (width * rng.uniform(0.35, 0.65), horizon - height * rng.uniform(0.03, 0.1))
    glow(picture, center, height * 0.55, sun, 0.85)
    disc(picture, center, min(size) * 0.055, mix(sun, WHITE, 0.7))
    picture.paste(gradient((width, height - horizon), [shallow, deep]), (0, horizon))
    draw = ImageDraw.Draw(picture)
    for _ in range(900):
        depth = rng.random() ** 1.4
        y = horizon + 2 + depth * (height - horizon)
        spread = width * (0.03 + 0.2 * depth)
        x = rng.gauss(center[0], spread)
        nearness = math.exp(-(((x - center[0]) / (spread * 1.2)) ** 2))
        length = width * (0.004 + 0.05 * depth) * rng.uniform(0.4, 1)
        color = mix(mix(shallow, deep, depth), mix(sun, WHITE, 0.4), (0.15 + 0.75 * nearness) * rng.uniform(0.4, 1))
        draw.ellipse((x - length, y, x + length, y + 1 + height * 0.004 * depth), fill=color)
    return picture


def night(rng: Random, size: Size, palette: list[Color], drift: float = 0.0) -> Image.Image:
    """Stars, the Milky Way and a hill; `drift`, from 0 to 1, takes the twinkling once through.

    Palette: two of sky, the band's colour, the hill.
    """
    *sky, band, ground = palette
    width, height = size
    picture = gradient(size, sky)
    haze = cloud(rng, (width // 4, height // 4), 5)
    strip = Image.new("L", haze.size, 0)
    ImageDraw.Draw(strip).line((0, haze.height, haze.width, 0), fill=210, width=haze.width // 5)
    strip = ImageChops.multiply(strip.filter(ImageFilter.GaussianBlur(haze.width // 14)), haze)
    picture.paste(band, (0, 0), strip.resize(size, Image.Resampling.BICUBIC))
    draw = ImageDraw.Draw(picture)
    for _ in range(1400):
        x, y, bright = rng.random() * width, rng.random() * height, rng.random() ** 5
        radius = min(size) * (0.0007 + 0.0017 * bright)
        color = mix(mix(sky[0], WHITE, 0.4 + 0.6 * bright), (255, 226, 190), rng.random() * 0.4)
        draw.circle((x, y), radius, fill=color)
    for _ in range(14):
        twinkle = 0.55 + 0.45 * math.cos(math.tau * (drift + rng.random()))
        glow(picture, (rng.random() * width, rng.random() * height * 0.7), min(size) * 0.022, WHITE, twinkle)
    draw.polygon(below(size, swell(rng, 120, 1), height * 0.88, height * 0.04), fill=ground)
    for _ in range(40):
        _fir(draw, rng.random() * width, height * rng.uniform(0.9, 0.96), height * rng.uniform(0.05, 0.13), ground)
    return picture


def aurora(rng: Random, size: Size, palette: list[Color]) -> Image.Image:
    """Curtains of light over snow. Palette: two of sky, two of light, snow."""
    low, high, *lights, snow = palette
    width, height = size
    picture = gradient(size, [low, high])
    _stars(rng, picture, 350)
    for number in range(4):
        across = noise(rng, (28, 1)).resize((width, 1), Image.Resampling.BICUBIC).resize((width, height))
        base = swell(rng, 120, 1)
        foot = height * (0.45 + 0.06 * number)
        lower = shape_mask(size, below(size, base, foot, height * 0.1))
        fade = ImageChops.invert(lower.filter(ImageFilter.GaussianBlur(height * 0.008)))
        rise = Image.linear_gradient("L").resize((width, round(foot * 1.15))).point(lambda v: round(v**2 / 255 * 0.75))
        tall = Image.new("L", size, 0)
        tall.paste(rise, (0, 0))
        curtain = ImageChops.multiply(ImageChops.multiply(across, fade), tall)
        light = Image.composite(Image.new("RGB", size, lights[number % 2]), Image.new("RGB", size), curtain)
        picture = ImageChops.screen(picture, light)
    hills = below(size, ridge(rng, 128, 0.5), height * 0.78, height * 0.06)
    picture.paste(mix(high, snow, 0.25), (0, 0), shape_mask(size, hills))
    plain = below(size, swell(rng, 120, 1), height * 0.86, height * 0.015)
    picture.paste(gradient(size, [snow, snow, mix(snow, high, 0.5)]), (0, 0), shape_mask(size, plain))
    return picture


def forest(rng: Random, size: Size, palette: list[Color]) -> Image.Image:
    """Firs in the mist, row behind row. Palette: two of sky, mist, trees."""
    *sky, mist, trees = palette
    width, height = size
    picture = gradient(size, [*sky, mist])
    glow(picture, (width * rng.uniform(0.3, 0.7), height * 0.25), height * 0.5, WHITE, 0.55)
    for depth in (number / 5 for number in range(6)):
        color = mix(mist, trees, 0.12 + 0.88 * depth**1.3)
        level = height * (0.5 + 0.5 * depth)
        slope = swell(rng, 100, 1)
        draw = ImageDraw.Draw(picture)
        draw.polygon(below(size, slope, level, height * 0.04), fill=color)
        for _ in range(round(46 - 26 * depth)):
            at = rng.random()
            foot = level - height * 0.04 * slope[round(at * 100)] + height * 0.03
            _fir(draw, at * width, foot, height * (0.09 + 0.24 * depth) * rng.uniform(0.7, 1.2), color)
        if depth < 1:
            fog = Image.linear_gradient("L").resize((width, round(height * 0.25))).point(lambda v: round(v * 0.45))
            top = round(level - height * 0.05)
            picture.paste(mist, (0, top), fog)
            picture.paste(mix(mist, color, 0.55), (0, top + fog.height, width, height))
    return picture


def skyline(rng: Random, size: Size, palette: list[Color]) -> Image.Image:
    """A city in the evening, its windows lit, mirrored in the river. Palette: three of sky, far, near, light."""
    *sky, far, near, light = palette
    width, height = size
    shore = round(height * 0.78)
    city = gradient((width, shore), sky)
    disc(city, (width * rng.uniform(0.15, 0.85), shore * 0.2), min(size) * 0.04, mix(sky[-1], WHITE, 0.75))
    for depth in (0, 0.5, 1):
        _row_of_houses(rng, city, mix(far, near, depth), light, depth)
    picture = Image.new("RGB", size)
    picture.paste(city, (0, 0))
    mirrored = city.transpose(Image.Transpose.FLIP_TOP_BOTTOM).crop((0, 0, width, height - shore))
    blurred = mirrored.filter(ImageFilter.BoxBlur(height * 0.004))
    water = Image.blend(blurred, Image.new("RGB", mirrored.size, near), 0.35)
    for y in range(0, water.height, 3):  # small waves move each row a little
        row = water.crop((0, y, width, y + 3))
        water.paste(ImageChops.offset(row, round(rng.gauss(0, width * 0.004)), 0), (0, y))
    picture.paste(water, (0, shore))
    return picture


def _row_of_houses(rng: Random, city: Image.Image, wall: Color, light: Color, depth: float) -> None:
    width, shore = city.size
    draw = ImageDraw.Draw(city)
    cell = max(4, round(width * (0.006 + 0.004 * depth)))
    x = -rng.random() * width * 0.05
    while x < width:
        broad = width * rng.uniform(0.05, 0.11)
        top = shore * (1 - rng.betavariate(2, 3) * (0.75 - 0.3 * depth) - 0.08)
        draw.rectangle((x, top, x + broad, shore), fill=wall)
        if rng.random() < 0.25:
            draw.line((x + broad / 2, top - shore * 0.06, x + broad / 2, top), fill=wall, width=max(1, cell // 4))
        lit = rng.uniform(0.15, 0.6)
        for row in range(round(top) + cell, shore - cell, cell * 2):
            for column in range(round(x) + cell, round(x + broad) - cell, round(cell * 1.7)):
                if rng.random() < lit:
                    color = mix(wall, mix(light, WHITE, rng.random() * 0.3), rng.uniform(0.45, 0.5 + 0.5 * depth))
                    draw.rectangle((column, row, column + cell * 0.8, row + cell), fill=color)
        x += broad * rng.uniform(0.85, 1.25)


def _stars(rng: Random, picture: Image.Image, count: int) -> None:
    draw = ImageDraw.Draw(picture)
    for _ in range(count):
        x, y, radius = rng.random() * picture.width, rng.random() * picture.height, rng.random() * picture.width / 900
        draw.circle((x, y), radius, fill=along([(150, 170, 200), WHITE], rng.random()))


def _fir(draw: ImageDraw.ImageDraw, x: float, foot: float, tall: float, color: Color) -> None:
    tiers = 6
    for tier in range(tiers):
        top = foot - tall * (1 - tier / (tiers + 1.5))
        half = tall * 0.045 * (tier + 1.4)
        draw.polygon([(x, top), (x - half, top + tall * 0.26), (x + half, top + tall * 0.26)], fill=color)
    draw.rectangle((x - tall * 0.02, foot - tall * 0.1, x + tall * 0.02, foot), fill=color)
