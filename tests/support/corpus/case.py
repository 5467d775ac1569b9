"""One file of the corpus and what has to become of it."""

from collections.abc import Callable
from typing import NamedTuple

from domain.errors import UserErrorCode
from tests.support.pictures import QUARTERS

Size = tuple[int, int]
UPRIGHT = ("red", "green", "blue", "yellow")  # the quarters of `tests.support.pictures.quarters`
GREYS = {name: round(0.299 * r + 0.587 * g + 0.114 * b) for name, (r, g, b) in QUARTERS.items()}
IN_COLOUR = tuple(QUARTERS[name] for name in UPRIGHT)
IN_GREY = tuple((GREYS[name],) * 3 for name in UPRIGHT)


class Shown(NamedTuple):
    """It is rendered: its upright size, and the colours of its quarters in every rendition, where they are known."""

    size: Size
    quarters: tuple[tuple[int, ...], ...] | None = IN_COLOUR
    moving: bool = False
    transparent: bool = False


PEAK_MIB = 286  # 300 MB; it is 190 of pixels and, from machine to machine, some 45 to 55 of everything else


class Case(NamedTuple):
    """A file, made when asked for, and its verdicts: damage may leave a picture readable or not, all else has one.

    `peak_mib` is what a child may take for it.
    """

    name: str
    data: Callable[[], bytes]
    verdicts: tuple[Shown | UserErrorCode, ...]
    bomb: bool = False
    peak_mib: int = PEAK_MIB


def case(
    name: str,
    data: Callable[[], bytes],
    *verdicts: Shown | UserErrorCode,
    bomb: bool = False,
    peak_mib: int = PEAK_MIB,
) -> Case:
    return Case(name, data, verdicts, bomb, peak_mib)
