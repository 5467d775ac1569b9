"""Finds where the subject of a picture is, so that a square cut from it shows that and not just the middle."""

from itertools import accumulate
from typing import NamedTuple

from PIL import Image, ImageChops, ImageFilter

_SHORT_SIDE = 48  # of the sample that is looked at: fine grain is gone from it, a face is not
_STEPS = 256  # at most so many columns of a panorama are told apart
_WORTH_LEAVING_THE_MIDDLE = 1.04  # how much more must be in a window for it to be taken instead of the middle one
_CB_OF_SKIN, _CR_OF_SKIN = (77, 127), (133, 173)  # in YCbCr all human skin is here, whether light or dark
_FADING = 0.4  # how much less a window's edge counts than its middle
_EDGES, _UNUSUAL, _SKIN = 1.0, 1.0, 0.5


class Window(NamedTuple):
    """A square as wide as the picture's short side: where it begins on the long one, of 0 to 1 for all the room."""

    place: float

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, upper, right and lower edge in a picture of that size."""
        side = min(width, height)
        left, top = self.place * (width - side), self.place * (height - side)
        return (left, top, left + side, top + side)


MIDDLE = Window(0.5)


def square_window(picture: Image.Image) -> Window:
    """Chooses the window with the most in it that draws the eye: edges, unusual colours, skin.

    What is near the window's middle counts more than what is cut by its edge. A picture that is the same everywhere,
    or nearly, is cut in the middle. Takes RGB or RGBA; costs a millisecond, for it looks at a thumbnail.
    """
    interest = _interest_along(picture)
    short = _sample_size(picture)[0 if picture.width <= picture.height else 1]
    room = len(interest) - short
    if room < 1:
        return MIDDLE
    weighted = _weighted(interest, short)
    middle = (weighted[room // 2] + weighted[(room + 1) // 2]) / 2
    best = max(range(room + 1), key=lambda start: (weighted[start], -abs(2 * start - room)))
    return Window(best / room) if weighted[best] > middle * _WORTH_LEAVING_THE_MIDDLE else MIDDLE


def _sample_size(picture: Image.Image) -> tuple[int, int]:
    short, long = sorted(picture.size)
    scale = min(1.0, _SHORT_SIDE / short, _STEPS / long)
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))


def _interest_along(picture: Image.Image) -> list[float]:
    """How much there is to see in each column of a sample, or in each row if the picture stands."""
    sample = picture.convert("RGBa").resize(_sample_size(picture), Image.Resampling.BOX).convert("RGBA")
    visible = sample.getchannel("A")
    colours = sample.convert("RGB").convert("YCbCr")
    light, blue, red = colours.split()
    seen = ImageChops.multiply(light, visible)
    edges = ImageChops.subtract(seen.filter(ImageFilter.MaxFilter(3)), seen.filter(ImageFilter.MinFilter(3)))
    skin = ImageChops.multiply(_within(blue, *_CB_OF_SKIN), _within(red, *_CR_OF_SKIN))
    total = [0.0] * max(sample.size)
    flat = (sample.width, 1) if sample.width > sample.height else (1, sample.height)
    for weight, layer in ((_EDGES, edges), (_UNUSUAL, _unlike_the_rest(colours)), (_SKIN, skin)):
        counted = ImageChops.multiply(layer, visible).convert("F").resize(flat, Image.Resampling.BOX)
        for place, value in enumerate(memoryview(counted.tobytes()).cast("f")):
            total[place] += weight * value
    return total


def _unlike_the_rest(colours: Image.Image) -> Image.Image:
    """How far each pixel is from the mean colour (Achanta et al., frequency-tuned salient region detection, 2009)."""
    mean = colours.resize((1, 1), Image.Resampling.BOX).resize(colours.size)
    light, blue, red = ImageChops.difference(colours, mean).split()
    return ImageChops.lighter(light, ImageChops.add(blue, red))


def _within(channel: Image.Image, low: int, high: int) -> Image.Image:
    return channel.point([255 if low <= value <= high else 0 for value in range(256)])


def _weighted(interest: list[float], length: int) -> list[float]:
    """The weighted sum of every window: a column counts 1 - _FADING d², d being 0 in its middle and 1 at its edge.

    By prefix sums of the moments, as d² is a polynomial of the column's place: linear in time.
    """
    zeroth = [0.0, *accumulate(interest)]
    first = [0.0, *accumulate(value * at for at, value in enumerate(interest))]
    second = [0.0, *accumulate(value * at * at for at, value in enumerate(interest))]
    sums = []
    for start in range(len(interest) - length + 1):
        middle, end = start + (length - 1) / 2, start + length
        s0, s1, s2 = (moment[end] - moment[start] for moment in (zeroth, first, second))
        sums.append(s0 - _FADING * (s2 - 2 * middle * s1 + middle * middle * s0) / (length / 2) ** 2)
    return sums
