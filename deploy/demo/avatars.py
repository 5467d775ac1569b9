"""Ten friendly faces for the demo's users."""

from random import Random

from PIL import Image, ImageDraw

from deploy.demo.painting import Color, colors, glow, gradient, mix

SIDE = 512
WHITE: Color = (255, 255, 255)
_SKINS = colors("#f6d2b8 #e8b48e #c98d62 #9c6644 #6f452c")
_HAIRS = colors("#2b1d16 #5a3a22 #a8672f #d9b45b #1b1b22 #b9483a #8d8f99")
_GROUNDS = ("#ffd166 #f78c6b", "#9ad5ca #3a7d7c", "#b8c0ff #6a67ce", "#ffb3c6 #e5637f", "#cdeac0 #7bb369")
_SHIRTS = colors("#264653 #e76f51 #2a9d8f #f4a261 #5b5f97 #ef476f #118ab2 #ffffff #3d405b #81b29a")


def portrait(rng: Random, number: int) -> Image.Image:
    """Head and shoulders before a coloured wall; painted at twice the size, so that edges come out smooth."""
    side = SIDE * 2
    picture = gradient((side, side), colors(_GROUNDS[number % len(_GROUNDS)]))
    glow(picture, (side / 2, side * 0.35), side * 0.6, WHITE, 0.4)
    draw = ImageDraw.Draw(picture)
    skin, hair = _SKINS[number * 3 % len(_SKINS)], _HAIRS[number * 2 % len(_HAIRS)]
    if number % 2:  # long hair falls behind the shoulders
        draw.rounded_rectangle(_box(side, 0.29, 0.2, 0.71, 0.74), side * 0.2, fill=mix(hair, (0, 0, 0), 0.15))
    draw.rounded_rectangle(_box(side, 0.17, 0.69, 0.83, 1.3), side * 0.18, fill=_SHIRTS[number % len(_SHIRTS)])
    draw.rounded_rectangle(_box(side, 0.43, 0.55, 0.57, 0.76), side * 0.06, fill=mix(skin, (60, 20, 10), 0.18))
    draw.ellipse(_box(side, 0.33, 0.22, 0.67, 0.66), fill=skin)
    _hair(draw, side, number, hair)
    _face(rng, draw, side, skin)
    if number % 3 == 0:
        _glasses(draw, side)
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _box(side: int, left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
    return left * side, top * side, right * side, bottom * side


def _hair(draw: ImageDraw.ImageDraw, side: int, number: int, hair: Color) -> None:
    match number % 5:
        case 0:
            draw.pieslice(_box(side, 0.315, 0.175, 0.685, 0.58), 180, 360, fill=hair)
        case 1:
            draw.chord(_box(side, 0.3, 0.17, 0.7, 0.62), 165, 330, fill=hair)
        case 2:
            for x, y in ((0.36, 0.3), (0.42, 0.22), (0.5, 0.19), (0.58, 0.22), (0.64, 0.3)):
                draw.ellipse(_box(side, x - 0.085, y - 0.08, x + 0.085, y + 0.09), fill=hair)
        case 3:
            draw.chord(_box(side, 0.31, 0.18, 0.69, 0.6), 200, 375, fill=hair)
            draw.ellipse(_box(side, 0.43, 0.09, 0.57, 0.22), fill=hair)
        case _:
            draw.pieslice(_box(side, 0.3, 0.16, 0.7, 0.6), 180, 360, fill=hair)
            draw.rectangle(_box(side, 0.3, 0.37, 0.36, 0.5), fill=hair)
            draw.rectangle(_box(side, 0.64, 0.37, 0.7, 0.5), fill=hair)


def _face(rng: Random, draw: ImageDraw.ImageDraw, side: int, skin: Color) -> None:
    ink = mix(skin, (35, 15, 20), 0.85)
    for x in (0.425, 0.575):
        draw.ellipse(_box(side, x - 0.018, 0.43, x + 0.018, 0.466), fill=ink)
        draw.ellipse(_box(side, x - 0.055, 0.485, x + 0.02, 0.535), fill=mix(skin, (235, 90, 90), 0.22))
    brow = rng.uniform(0.385, 0.405)
    for x in (0.425, 0.575):
        draw.arc(_box(side, x - 0.04, brow, x + 0.04, brow + 0.05), 210, 330, fill=ink, width=round(side * 0.009))
    smile = rng.uniform(0.035, 0.055)
    draw.chord(_box(side, 0.5 - smile, 0.52, 0.5 + smile, 0.585), 10, 170, fill=mix(WHITE, skin, 0.05))


def _glasses(draw: ImageDraw.ImageDraw, side: int) -> None:
    frame, line = (50, 45, 60), round(side * 0.009)
    for x in (0.425, 0.575):
        draw.ellipse(_box(side, x - 0.058, 0.392, x + 0.058, 0.508), outline=frame, width=line)
    draw.line(_box(side, 0.482, 0.445, 0.518, 0.445), fill=frame, width=line)
