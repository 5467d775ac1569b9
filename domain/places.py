"""Places are recognised by their name and by where they are: one name within some steps is one place.

The surface of the earth is divided into cells that are a little larger than these steps in both directions. So whatever
is near lies in the same cell or beside it. The id of a place is made of its name and its cell, and so is the point
where it is shown: nothing of a place depends on where exactly a post was taken.
"""

import hashlib
import math
import unicodedata
from typing import NamedTuple

import regex
from bson import ObjectId

from domain.limits import PLACE_METERS

EARTH_METERS = 6_371_008.8  # the mean radius
_DEGREE = math.radians(1) * EARTH_METERS  # metres of a degree of latitude
_CELL_METERS = PLACE_METERS * 1.1  # a little more than near: rounding must not leave a cell out
_ROW = _CELL_METERS / _DEGREE  # degrees
_BLOCK = 8  # cells, in both directions
NORTHMOST, EASTMOST = 90, 180  # degrees
ROWS = math.ceil(180 / _ROW)
_SPACES = regex.compile(r"[\p{White_Space}\p{P}]++")


class Point(NamedTuple):
    """Degrees north and east."""

    latitude: float
    longitude: float


class Cell(NamedTuple):
    """Counted from the south pole, and from the antimeridian to the east."""

    row: int
    column: int


def name_key(name: str) -> str:
    """What names of one place have in common: case, width, spaces and punctuation make no difference."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return _SPACES.sub(" ", folded).strip() or folded


def place_id(key: str, cell: Cell | None) -> ObjectId:
    """The id of the place with this key in a cell; without a cell, of the place that is known by name alone."""
    where = "" if cell is None else f"{cell.row}:{cell.column}"
    return ObjectId(hashlib.sha256(f"@{where}@{key}".encode()).digest()[:12])


def point_of(place_id: ObjectId, cell: Cell) -> Point:
    """Where a place is shown: near the middle of its cell, and seldom where another place of the cell is."""
    north, east = (int.from_bytes(part) / 2**32 for part in (place_id.binary[:4], place_id.binary[4:8]))
    latitude = (cell.row + (north + 2) / 5) * _ROW - 90
    longitude = (cell.column + (east + 2) / 5) / _columns(cell.row) * 360 - 180
    return Point(min(latitude, 90.0), longitude)


def distance(one: Point, other: Point) -> float:
    """Metres along the surface."""
    north, other_north = math.radians(one.latitude), math.radians(other.latitude)
    east = math.radians(other.longitude - one.longitude)
    half = math.sin((other_north - north) / 2) ** 2 + math.cos(north) * math.cos(other_north) * math.sin(east / 2) ** 2
    return 2 * EARTH_METERS * math.asin(min(1.0, math.sqrt(half)))


def cell_of(point: Point) -> Cell:
    row = _row_of(point.latitude)
    return Cell(row, _column_of(point.longitude, _columns(row)))


def cells_near(point: Point) -> set[Cell]:
    """The cell of a point and all others in which something may be within `PLACE_METERS`: some twenty at most."""
    reach = PLACE_METERS / _DEGREE
    rows = range(_row_of(point.latitude - reach), _row_of(point.latitude + reach) + 1)
    ratio = math.sin(PLACE_METERS / EARTH_METERS) / max(math.cos(math.radians(point.latitude)), 1e-12)
    wide = 180.0 if ratio >= 1 else math.degrees(math.asin(ratio))
    cells: set[Cell] = set()
    for row in rows:
        columns = _columns(row)
        if wide * 2 / 360 * columns >= columns - 1:
            cells.update(Cell(row, column) for column in range(columns))
            continue
        first, last = (math.floor(_share(point.longitude + side) * columns) for side in (-wide, wide))
        cells.update(Cell(row, column % columns) for column in range(first, last + 1))
    return cells


def blocks_near(point: Point) -> set[Cell]:
    """Blocks of cells; two points have one in common if one lies in a cell that is near the other."""
    return {Cell(cell.row // _BLOCK, cell.column // _BLOCK) for cell in cells_near(point)}


def _row_of(latitude: float) -> int:
    return min(max(math.floor((latitude + 90) / _ROW), 0), ROWS - 1)


def _columns(row: int) -> int:
    """How many cells a row has: as many as fit around its end that is nearer to a pole."""
    edge = max(abs(row * _ROW - 90), abs((row + 1) * _ROW - 90))
    around = 2 * math.pi * EARTH_METERS * math.cos(math.radians(min(edge, 90)))
    return max(1, math.floor(around / _CELL_METERS))


def _column_of(longitude: float, columns: int) -> int:
    return math.floor(_share(longitude) * columns) % columns


def _share(longitude: float) -> float:
    """How far around the earth a longitude is, from the antimeridian."""
    return (longitude + 180) / 360
