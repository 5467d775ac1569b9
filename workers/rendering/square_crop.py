"""Finds the subject of a picture, so that a square cut from it shows the subject and not only the middle."""

from itertools import accumulate
from typing import NamedTuple

from PIL import Image, ImageChops, ImageFilter

_SHORT_SIDE = 48  # of the analysed sample: too small for fine grain, large enough for a face
_MAX_LONG_SIDE = 256  # of the sample of a panorama
_MIN_GAIN = 1.04  # another window must have at least so much more interest than the middle one
_CB_OF_SKIN, _CR_OF_SKIN = (77, 127), (133, 173)  # the range of all human skin, light or dark, in YCbCr
_EDGE_LOSS = 0.4  # the edge of a window counts so much less than its middle
_EDGES, _UNUSUAL, _SKIN = 1.0, 1.0, 0.5  # weights


class Window(NamedTuple):
    """A square as wide as the picture's short side; `place` is its position on the long side, from 0 to 1."""

    place: float

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """The left, upper, right and lower edge in a picture of that size."""
        side = min(width, height)
        left, top = self.place * (width - side), self.place * (height - side)
        return (left, top, left + side, top + side)


MIDDLE = Window(0.5)


def square_window(picture: Image.Image) -> Window:
    """Chooses the window of an RGB or RGBA picture with the most edges, unusual colours and skin.

    Content near the middle of a window counts more. A picture that is nearly the same everywhere is cut in the middle.
    Only a thumbnail is analysed, which takes a millisecond.
    """
    interest = _interest_along(picture)
    short = _sample_size(picture)[0 if picture.width <= picture.height else 1]
    room = len(interest) - short
    if room < 1:
        return MIDDLE
    weighted = _weighted(interest, short)
    middle = (weighted[room // 2] + weighted[(room + 1) // 2]) / 2
    best = max(range(room + 1), key=lambda start: (weighted[start], -abs(2 * start - room)))
    return Window(best / room) if weighted[best] > middle * _MIN_GAIN else MIDDLE


def _sample_size(picture: Image.Image) -> tuple[int, int]:
    short, long = sorted(picture.size)
    scale = min(1.0, _SHORT_SIDE / short, _MAX_LONG_SIDE / long)
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))


def _interest_along(picture: Image.Image) -> list[float]:
    """The interest of each column of a sample, or of each row of a portrait."""
    sample = picture.convert("RGBa").resize(_sample_size(picture), Image.Resampling.BOX).convert("RGBA")
    visible = sample.getchannel("A")
    colours = sample.convert("RGB").convert("YCbCr")
    light, blue, red = colours.split()
    light = ImageChops.multiply(light, visible)
    edges = ImageChops.subtract(light.filter(ImageFilter.MaxFilter(3)), light.filter(ImageFilter.MinFilter(3)))
    skin = ImageChops.multiply(_within(blue, *_CB_OF_SKIN), _within(red, *_CR_OF_SKIN))
    total = [0.0] * max(sample.size)
    line = (sample.width, 1) if sample.width > sample.height else (1, sample.height)
    for weight, layer in ((_EDGES, edges), (_UNUSUAL, _difference_from_mean(colours)), (_SKIN, skin)):
        sums = ImageChops.multiply(layer, visible).convert("F").resize(line, Image.Resampling.BOX)
        for place, value in enumerate(memoryview(sums.tobytes()).cast("f")):
            total[place] += weight * value
    return total


def _difference_from_mean(colours: Image.Image) -> Image.Image:
    """The distance of pixels from the mean colour (Achanta et al., frequency-tuned salient region detection, 2009)."""
    mean = colours.resize((1, 1), Image.Resampling.BOX).resize(colours.size)
    light, blue, red = ImageChops.difference(colours, mean).split()
    return ImageChops.lighter(light, ImageChops.add(blue, red))


def _within(channel: Image.Image, low: int, high: int) -> Image.Image:
    return channel.point([255 if low <= value <= high else 0 for value in range(256)])


def _weighted(interest: list[float], length: int) -> list[float]:
    """The weighted sum of every window: a column counts 1 - _EDGE_LOSS d², where d is 0 in its middle, 1 at its edge.

    d² is a polynomial of the column's place, so prefix sums of the moments make this linear in time.
    """
    zeroth = [0.0, *accumulate(interest)]
    first = [0.0, *accumulate(value * at for at, value in enumerate(interest))]
    second = [0.0, *accumulate(value * at * at for at, value in enumerate(interest))]
    sums = []
    for start in range(len(interest) - length + 1):
        middle, end = start + (length - 1) / 2, start + length
        s0, s1, s2 = (moment[end] - moment[start] for moment in (zeroth, first, second))
        sums.append(s0 - _EDGE_LOSS * (s2 - 2 * middle * s1 + middle * middle * s0) / (length / 2) ** 2)
    return sums
