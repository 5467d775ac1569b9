"""Reads what AVIF and HEIC, two codecs in one container (ISO/IEC 14496-12 and 23008-12), say of the primary picture."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

_FULL_BOX = 4  # bytes of version and flags
_INTEGER = {0: "", 2: "H", 4: "I", 8: "Q"}  # by its bytes


class Container(NamedTuple):
    """Sizes are in pixels, before the picture is turned; `code_points` are primaries and transfer of ITU-T H.273."""

    size: tuple[int, int] | None
    code_points: tuple[int, int] | None


class _Box(NamedTuple):
    kind: bytes
    start: int
    end: int


def read_container(data: bytes) -> Container:
    """What the container says. Raises ValueError if parts of the file are missing, and what odd bytes raise."""
    meta = next((box for box in _boxes(data, 0, len(data)) if box.kind == b"meta"), None)
    if meta is None:  # a sequence may do without
        return Container(None, None)
    inside = {box.kind: box for box in _boxes(data, meta.start + _FULL_BOX, meta.end)}
    if b"iloc" in inside:
        _check_whole(data, inside[b"iloc"].start)
    tables = {box.kind: box for box in _boxes(data, *inside[b"iprp"][1:])}
    every = list(_boxes(data, *tables[b"ipco"][1:]))
    numbers = _properties_of(data, tables[b"ipma"].start, _primary(data, inside[b"pitm"].start))
    own = [every[number - 1] for number in numbers if 0 < number <= len(every)]
    sizes = [struct.unpack_from(">II", data, box.start + _FULL_BOX) for box in own if box.kind == b"ispe"]
    # A grid may leave it to its tiles to say what their colours are.
    colours = [box.start for box in own + every if box.kind == b"colr" and data[box.start : box.start + 4] == b"nclx"]
    named = [struct.unpack_from(">HH", data, start + 4) for start in colours[:1]]
    return Container(next(iter(sizes), None), next(iter(named), None))


def _boxes(data: bytes, at: int, end: int) -> Iterator[_Box]:
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        after = at + size if size else end
        if after < start or after > end:
            raise ValueError(f"the box {kind!r} is not whole")
        yield _Box(kind, start, after)
        at = after


def _primary(data: bytes, start: int) -> int:
    (item,) = struct.unpack_from(">I" if data[start] else ">H", data, start + _FULL_BOX)
    return int(item)


def _properties_of(data: bytes, start: int, item: int) -> list[int]:
    """The numbers of an item's properties, counted from 1."""
    owner, number = "I" if data[start] else "H", "H" if data[start + 3] & 1 else "B"
    (count,) = struct.unpack_from(">I", data, start + _FULL_BOX)
    at = start + _FULL_BOX + 4
    for _ in range(count):
        item_id, associations = struct.unpack_from(f">{owner}B", data, at)
        at += struct.calcsize(f">{owner}B")
        numbers = struct.unpack_from(f">{associations}{number}", data, at)
        at += struct.calcsize(f">{associations}{number}")
        if item_id == item:
            return [index & (0x7FFF if number == "H" else 0x7F) for index in numbers]
    return []


def _check_whole(data: bytes, start: int) -> None:
    """Raises ValueError if an item's bytes lie beyond the end: decoders show a picture with holes then."""
    version, sizes = data[start], data[start + _FULL_BOX : start + _FULL_BOX + 2]
    offset, length, base = (_INTEGER[size] for size in (sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4))
    index = _INTEGER[sizes[1] & 15] if version else ""
    item = ">I" if version == 2 else ">H"
    head = f"{item}{'H' if version else ''}H{base}H"
    (count,) = struct.unpack_from(item, data, start + _FULL_BOX + 2)
    at = start + _FULL_BOX + 2 + struct.calcsize(item)
    for _ in range(count):
        fields = struct.unpack_from(head, data, at)
        at += struct.calcsize(head)
        is_in_file = not (version and fields[1] & 15)
        for _ in range(fields[-1]):
            extent = struct.unpack_from(f">{index}{offset}{length}", data, at)
            at += struct.calcsize(f">{index}{offset}{length}")
            end = (fields[-2] if base else 0) + (extent[-2] if offset and length else 0) + (extent[-1] if length else 0)
            if is_in_file and end > len(data):
                raise ValueError("the picture's bytes are not all there")
