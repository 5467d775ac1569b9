"""A file of the corpus and its verdict."""

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
    """The file is rendered: its upright size, and the colours of the quarters in every rendition, if known."""

    size: Size
    quarters: tuple[tuple[int, ...], ...] | None = IN_COLOUR
    is_moving: bool = False
    is_transparent: bool = False


PEAK_MIB = 286  # 300 MB: 190 MiB of pixels and, depending on the machine, 45 to 55 MiB of everything else


class Case(NamedTuple):
    """A file, made when it is needed, and its verdicts.

    Only some damaged files have two verdicts: they may be readable or not. A child may use `peak_mib` of memory for it.
    """

    name: str
    data: Callable[[], bytes]
    verdicts: tuple[Shown | UserErrorCode, ...]
    is_bomb: bool = False
    peak_mib: int = PEAK_MIB


def case(
    name: str,
    data: Callable[[], bytes],
    *verdicts: Shown | UserErrorCode,
    is_bomb: bool = False,
    peak_mib: int = PEAK_MIB,
) -> Case:
    return Case(name, data, verdicts, is_bomb, peak_mib)
