"""ICC profiles from primaries and curve, and the conversion of their colours to sRGB by formula."""

import struct
from itertools import product
from typing import NamedTuple

Row = tuple[float, float, float]


class Space(NamedTuple):
    """Red, green and blue as XYZ under D50, and the exponent that makes the values linear."""

    red: Row
    green: Row
    blue: Row
    gamma: float


DISPLAY_P3 = Space((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407), 563 / 256)
ADOBE_RGB = Space((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457), 563 / 256)
# What full cyan, magenta, yellow and black add to Lab. All four together must be black: otherwise black point
# compensation, which is part of a conversion for pictures, would shift every colour.
_INKS = ((-25, -25, -30), (-30, 30, -15), (-5, -5, 45), (-40, 0, 0))
_WHITE = (0.9642, 1.0, 0.8249)
_FROM_XYZ = (  # D50 to linear sRGB
    (3.1338561, -1.6168667, -0.4906146),
    (-0.9787684, 1.9161415, 0.0334540),
    (0.0719453, -0.2289914, 1.4052427),
)


def profile(space: Space) -> bytes:
    """An ICC profile for RGB pixels."""
    curve = _curve(space.gamma)
    tags = [(b"rXYZ", _xyz(space.red)), (b"gXYZ", _xyz(space.green)), (b"bXYZ", _xyz(space.blue))]
    return _icc(b"RGB ", [*tags, *((name, curve) for name in (b"rTRC", b"gTRC", b"bTRC"))])


def grey_profile(gamma: float) -> bytes:
    """An ICC profile for grey pixels."""
    return _icc(b"GRAY", [(b"kTRC", _curve(gamma))])


def cmyk_profile() -> bytes:
    """An ICC profile for CMYK pixels: a table of the Lab of all 16 combinations of full inks, linear in between."""
    identity = bytes(range(256))
    matrix = b"".join(_fixed(value) for value in (1, 0, 0, 0, 1, 0, 0, 0, 1))
    printed = [_printed_in_lab(inks) for inks in product((0.0, 1.0), repeat=4)]
    colours = bytes(round(value) for light, a, b in printed for value in (light * 2.55, a + 128, b + 128))
    table = b"mft1" + bytes((0, 0, 0, 0, 4, 3, 2, 0)) + matrix + 4 * identity + colours + 3 * identity
    return _icc(b"CMYK", [(b"A2B0", table)], b"prtr", b"Lab ")


def cmyk_in_srgb(colour: tuple[int, ...]) -> tuple[int, ...]:
    """Converts a colour of `cmyk_profile` to sRGB; colours outside sRGB are clipped."""
    light, a, b = _printed_in_lab(tuple(value / 255 for value in colour))
    middle = (light + 16) / 116
    axes = (middle + a / 500, middle, middle - b / 200)
    return _xyz_in_srgb([_from_lab(axis) * white for axis, white in zip(axes, _WHITE, strict=True)])


def _printed_in_lab(inks: tuple[float, ...]) -> Row:
    light, a, b = (sum(ink * row[axis] for ink, row in zip(inks, _INKS, strict=True)) for axis in range(3))
    return 100 + light, a, b


def _from_lab(x: float) -> float:
    return x**3 if x > 6 / 29 else 3 * (6 / 29) ** 2 * (x - 4 / 29)


def in_srgb(space: Space, colour: tuple[int, int, int]) -> tuple[int, ...]:
    """Converts a colour of `space` to sRGB; colours outside sRGB are clipped."""
    linear = [(value / 255) ** space.gamma for value in colour]
    xyz = [sum(part * row[axis] for part, row in zip(linear, space[:3], strict=True)) for axis in range(3)]
    return _xyz_in_srgb(xyz)


def _xyz_in_srgb(xyz: list[float]) -> tuple[int, ...]:
    return tuple(encoded(sum(a * b for a, b in zip(row, xyz, strict=True))) for row in _FROM_XYZ)


def encoded(linear: float) -> int:
    """The 8-bit sRGB value of light from 0 to 1."""
    x = min(max(linear, 0.0), 1.0)
    return round(255 * (12.92 * x if x <= 0.0031308 else 1.055 * x ** (1 / 2.4) - 0.055))


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(row: Row) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, row))


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def _icc(kind: bytes, tags: list[tuple[bytes, bytes]], device: bytes = b"mntr", connection: bytes = b"XYZ ") -> bytes:
    tags = [*tags, (b"wtpt", _xyz(_WHITE))]
    table, body, at = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, content in tags:
        table += struct.pack(">4sII", name, at + len(body), len(content))
        body += content
    white = b"".join(map(_fixed, _WHITE))
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"\0" * 4, 0x02400000, device, kind, connection)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + white
    return head.ljust(128, b"\0") + table + body
