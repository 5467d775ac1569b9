"""Colour spaces that files describe by numbers (cICP, nclx, cHRM with gAMA), their curves and their ICC profiles."""

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

Point = tuple[float, float]  # x and y of CIE 1931
Row = tuple[float, float, float]
Matrix = tuple[Row, Row, Row]

_D65, _DCI, _C = (0.3127, 0.3290), (0.314, 0.351), (0.310, 0.316)
_TOLERANCE = 0.002  # of x and y: encoders round them
_REFERENCE_WHITE = 203.0  # nits of white in SDR (ITU-R BT.2408)
_PEAK = 1000 / _REFERENCE_WHITE  # becomes white: films and phones are graded for 1,000 nits
_KNEE = 0.5  # light below half of white is not compressed
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))


class Primaries(NamedTuple):
    """The white point and the three primary colours of a colour space."""

    white: Point
    red: Point
    green: Point
    blue: Point

    def is_like(self, other: "Primaries") -> bool:
        """Whether the difference is invisible."""
        pairs = zip(chain(*self), chain(*other), strict=True)
        return all(abs(ours - theirs) <= _TOLERANCE for ours, theirs in pairs)


class Space(NamedTuple):
    """A colour space: its primaries, and the light (0 to 1) of each 8-bit value."""

    primaries: Primaries
    curve: tuple[float, ...]

    @property
    def is_srgb(self) -> bool:
        """Whether conversion to sRGB changes nothing."""
        return self.has_primaries_of_srgb and self.curve == _SRGB_CURVE

    @property
    def has_primaries_of_srgb(self) -> bool:
        """Whether conversion to sRGB keeps the channels independent."""
        return self.primaries.is_like(SRGB)


SRGB = Primaries(_D65, (0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_PRIMARIES = {  # by ITU-T H.273
    1: SRGB,
    4: Primaries(_C, (0.670, 0.330), (0.210, 0.710), (0.140, 0.080)),
    5: Primaries(_D65, (0.640, 0.330), (0.290, 0.600), (0.150, 0.060)),
    **dict.fromkeys((6, 7), Primaries(_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070))),
    9: Primaries(_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: Primaries(_DCI, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: Primaries(_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}


def srgb_value(light: float) -> int:
    """The 8-bit sRGB value of light from 0 to 1."""
    return round(255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055))


def _of_srgb(x: float) -> float:
    return x / 12.92 if x <= 0.04045 else float(((x + 0.055) / 1.055) ** 2.4)


def _of_pq(x: float) -> float:
    """SMPTE ST 2084."""
    root = x ** (32 / 2523)
    nits = 10_000 * (max(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)) ** (16384 / 2610)
    return _compressed(nits / _REFERENCE_WHITE)


def _of_hlg(x: float) -> float:
    """ARIB STD-B67 for a display of 1,000 nits."""
    scene = x * x / 3 if x <= 0.5 else (2.718281828 ** ((x - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return _compressed(_PEAK * scene**1.2)


def _compressed(light: float) -> float:
    """Compresses light brighter than white softly into the range up to white (Reinhard's operator above a knee)."""
    if light <= _KNEE:
        return light
    above, peak = (light - _KNEE) / (1 - _KNEE), (_PEAK - _KNEE) / (1 - _KNEE)
    return min(1.0, _KNEE + (1 - _KNEE) * above * (1 + above / peak**2) / (1 + above))


_Transfer = Callable[[float], float]
_TRANSFERS: dict[int, _Transfer] = {  # by ITU-T H.273; television curves are shown as sRGB, as in browsers
    **dict.fromkeys((1, 6, 7, 13, 14, 15), _of_srgb),
    4: lambda x: float(x**2.2),
    5: lambda x: float(x**2.8),
    8: lambda x: x,
    16: _of_pq,
    18: _of_hlg,
}


def _curve(transfer: _Transfer, low: int = 0, high: int = 255) -> tuple[float, ...]:
    return tuple(transfer(min(max((value - low) / (high - low), 0.0), 1.0)) for value in range(256))


_SRGB_CURVE = _curve(_of_srgb)


def of_code_points(primaries: int, transfer: int, *, is_full_range: bool = True) -> Space | None:
    """The space of these code points of ITU-T H.273; None if they are unspecified or unknown.

    Light brighter than white (PQ, HLG) is compressed into the range up to white.
    """
    if primaries not in _PRIMARIES or transfer not in _TRANSFERS:
        return None
    low, high = (0, 255) if is_full_range else (16, 235)
    return Space(_PRIMARIES[primaries], _curve(_TRANSFERS[transfer], low, high))


def of_gamma(gamma: float, primaries: Primaries = SRGB) -> Space | None:
    """The space of a PNG with this gAMA, and its cHRM if it has one; None if the values are impossible."""
    if not 0.01 <= gamma <= 100 or (primaries != SRGB and _to_d50(primaries) is None):
        return None
    return Space(primaries, _curve(lambda x: float(x ** (1 / gamma))))


@lru_cache(maxsize=8)
def icc_of(space: Space) -> bytes:
    """An ICC profile of the space for RGB pixels. Raises ValueError if the primaries span no colours."""
    matrix = _to_d50(space.primaries)
    if matrix is None:
        raise ValueError("these primaries span no colours")
    values = [round(light * 65535) for light in space.curve]
    curve = b"curv\0\0\0\0" + struct.pack(f">I{len(values)}H", len(values), *values)
    colorants = zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, zip(*matrix, strict=True)), strict=True)
    tags = [(b"wtpt", _xyz(_D50)), *colorants, *((name, curve) for name in (b"rTRC", b"gTRC", b"bTRC"))]
    table, body, at = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags:
        table += struct.pack(">4sII", name, at + len(body), len(content))
        body += content
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"\0" * 4, 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + _xyz(_D50)[8:]
    return head.ljust(128, b"\0") + table + body


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _to_d50(primaries: Primaries) -> Matrix | None:
    """The matrix from linear RGB to XYZ under D50; None if the primaries span no colours."""
    if any(y <= 0 or not 0 <= x <= 1 for x, y in primaries):
        return None
    white, *lights = ((x / y, 1.0, (1 - x - y) / y) for x, y in primaries)
    from_xyz, from_cones = _inverse(tuple(zip(*lights, strict=True))), _inverse(_BRADFORD)  # type: ignore[arg-type]
    if from_xyz is None or from_cones is None:
        return None
    shares = _times(from_xyz, white)
    if any(share <= 0 for share in shares):
        return None
    pairs = zip(_times(_BRADFORD, _D50), _times(_BRADFORD, white), strict=True)
    factors = [adapted / original for adapted, original in pairs]
    columns = []
    for light, share in zip(lights, shares, strict=True):
        cones = _times(_BRADFORD, [value * share for value in light])
        columns.append(_times(from_cones, [value * factor for value, factor in zip(cones, factors, strict=True)]))
    return tuple(zip(*columns, strict=True))  # type: ignore[return-value]


def _times(matrix: Matrix, column: Sequence[float]) -> Row:
    first, second, third = (sum(a * b for a, b in zip(row, column, strict=True)) for row in matrix)
    return first, second, third


def _inverse(matrix: Matrix) -> Matrix | None:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if abs(determinant) < 1e-9:
        return None
    rows = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    return tuple(tuple(value / determinant for value in row) for row in rows)  # type: ignore[return-value]
