"""The sizes an image is rendered in."""

from typing import NamedTuple

from domain.limits import RENDITION_WIDTHS

MAX_SIDE = 16_383  # WebP's limit; a taller rendition is scaled down to it
SQUARE, *_WIDTHS = RENDITION_WIDTHS


class Size(NamedTuple):
    """A width and a height in pixels."""

    width: int
    height: int

    @property
    def turned(self) -> "Size":
        """The size with its sides exchanged."""
        return Size(self.height, self.width)

    def times(self, factor: float) -> "Size":
        """Scales both sides, each to at least one pixel."""
        return Size(max(1, round(self.width * factor)), max(1, round(self.height * factor)))


def ladder(source: Size) -> list[Size]:
    """At least one size with the source's proportions, widest first, none larger than the source.

    A source narrower than the widest rendition also gets its own width.
    """
    widest = min(source.width, max(_WIDTHS))
    widths = {widest, *(width for width in _WIDTHS if width < widest)}
    fitted = {min(width / source.width, MAX_SIDE / source.height) for width in widths}
    return sorted({source.times(min(scale, 1.0)) for scale in fitted}, reverse=True)


def square_side(source: Size) -> int:
    """The side of the square rendition, at most the source's short side."""
    return min(SQUARE, source.width, source.height)
