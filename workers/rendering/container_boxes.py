"""Reads the properties of the primary picture of an AVIF or HEIC: one container (ISO/IEC 14496-12, 23008-12)."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

_FULL_BOX = 4  # bytes of version and flags
_INTEGER = {0: "", 2: "H", 4: "I", 8: "Q"}  # format character of `struct` by number of bytes


class Container(NamedTuple):
    """The size is that before rotation; `code_points` are primaries and transfer of ITU-T H.273."""

    size: tuple[int, int] | None
    code_points: tuple[int, int] | None


class _Box(NamedTuple):
    kind: bytes
    start: int
    end: int


def read_container(data: bytes) -> Container:
    """Reads the container. Raises ValueError if parts of the file are missing; damaged bytes raise other errors too."""
    meta = next((box for box in _boxes(data, 0, len(data)) if box.kind == b"meta"), None)
    if meta is None:  # allowed in a sequence
        return Container(None, None)
    inside = {box.kind: box for box in _boxes(data, meta.start + _FULL_BOX, meta.end)}
    if b"iloc" in inside:
        _check_complete(data, inside[b"iloc"].start)
    tables = {box.kind: box for box in _boxes(data, *inside[b"iprp"][1:])}
    properties = list(_boxes(data, *tables[b"ipco"][1:]))
    numbers = _properties_of(data, tables[b"ipma"].start, _primary(data, inside[b"pitm"].start))
    own = [properties[number - 1] for number in numbers if 0 < number <= len(properties)]
    sizes = [struct.unpack_from(">II", data, box.start + _FULL_BOX) for box in own if box.kind == b"ispe"]
    # In a grid only the tiles may have colour properties.
    colours = [box.start for box in own + properties if box.kind == b"colr"]
    code_points = (struct.unpack_from(">HH", data, at + 4) for at in colours if data[at : at + 4] == b"nclx")
    return Container(next(iter(sizes), None), next(code_points, None))


def _boxes(data: bytes, at: int, end: int) -> Iterator[_Box]:
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        after = at + size if size else end
        if after < start or after > end:
            raise ValueError(f"the box {kind!r} is not complete")
        yield _Box(kind, start, after)
        at = after


def _primary(data: bytes, start: int) -> int:
    (item,) = struct.unpack_from(">I" if data[start] else ">H", data, start + _FULL_BOX)
    return int(item)


def _properties_of(data: bytes, start: int, item: int) -> list[int]:
    """The numbers of an item's properties; the first property is 1."""
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


def _check_complete(data: bytes, start: int) -> None:
    """Raises ValueError if an item extends beyond the end of the file: decoders would return a picture with holes."""
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
                raise ValueError("the picture's bytes are not complete")
