"""Opens a GIF frame by frame and combines the frames as browsers do.

Pillow decodes single frames only. It does not combine them, because it fills cleared or uncovered areas with a colour
of the palette, where browsers show transparency.
"""

import re
import struct
from collections.abc import Iterator
from io import BytesIO
from itertools import islice
from typing import NamedTuple

from PIL import Image

from domain.limits import MAX_IMAGE_FRAMES

_EXTENSION, _IMAGE, _END = 0x21, 0x2C, 0x3B
_BLOCK = re.compile(rb"[\x21\x2c\x3b]")
_CONTROL, _APPLICATION = 0xF9, 0xFF
_LOOPING = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_CLEARED, _RESTORED = 2, (3, 4)  # disposals; old encoders write 4 for 3
_TRANSPARENT = (0, 0, 0, 0)


class _Control(NamedTuple):
    duration: int = 0
    disposal: int = 0
    transparent_index: int | None = None


class _Frame(NamedTuple):
    """A stored frame: its place on the screen, its bytes, and how it is shown and removed."""

    box: tuple[int, int, int, int]
    is_interlaced: bool
    palette: bytes
    start: int
    end: int
    control: _Control

    @property
    def size(self) -> tuple[int, int]:
        return self.box[2] - self.box[0], self.box[3] - self.box[1]


class Gif:
    """The structure of a GIF, without its pixels. Damaged bytes raise IndexError, struct.error or ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.loop: int | None = None
        self._frames = list(islice(self._stored_frames(), MAX_IMAGE_FRAMES + 1))  # enough to detect too many
        width, height = struct.unpack_from("<HH", data, 6)
        first = self._frames[0]
        self.size = max(width, first.box[2]), max(height, first.box[3])

    def areas(self) -> list[int]:
        """The pixels that each frame takes to decode: its own or, if more, those of the screen.

        The list has at most MAX_IMAGE_FRAMES + 1 entries.
        """
        screen = self.size[0] * self.size[1]
        return [max(screen, frame.size[0] * frame.size[1]) for frame in self._frames]

    def first(self) -> Image.Image:
        """The first frame on an empty screen; it is decoded only if it does not fill the screen."""
        first = self._frames[0]
        return self._opened(first) if self._fills_screen(first) else next(self.frames())[0]

    def frames(self) -> Iterator[tuple[Image.Image, int]]:
        """Yields the screen after each frame, RGB or RGBA, with its milliseconds; the next frame changes the screen."""
        screen = Image.new("RGBA", self.size)
        for frame in self._frames:
            image = self._opened(frame)
            is_opaque = frame.control.transparent_index is None
            before = screen.crop(frame.box) if frame.control.disposal in _RESTORED else None
            if is_opaque and self._fills_screen(frame):
                screen = image.convert("RGB")
            else:
                picture = image.convert(screen.mode if is_opaque else "RGBA")
                screen.paste(picture, frame.box, None if is_opaque else picture)
            yield screen, frame.control.duration
            if frame.control.disposal == _CLEARED:
                screen = _in_mode("RGBA", screen)
                screen.paste(_TRANSPARENT, frame.box)
            elif before is not None:
                screen = _in_mode(before.mode, screen)
                screen.paste(before, frame.box)

    def _fills_screen(self, frame: _Frame) -> bool:
        return frame.box == (0, 0, *self.size)

    def _opened(self, frame: _Frame) -> Image.Image:
        """The frame as a GIF of its own."""
        screen = b"GIF89a" + struct.pack("<HHBBB", *frame.size, _flags(frame.palette), 0, 0) + frame.palette
        descriptor = b"\x2c" + struct.pack("<HHHHB", 0, 0, *frame.size, frame.is_interlaced << 6)
        pixels = memoryview(self._data)[frame.start : frame.end]
        image = Image.open(BytesIO(b"".join([screen, descriptor, pixels, b"\x3b"])), formats=("GIF",))
        if frame.control.transparent_index is not None:
            image.info["transparency"] = frame.control.transparent_index
        return image

    def _stored_frames(self) -> Iterator[_Frame]:
        data = self._data
        screen = struct.unpack_from("<HH", data, 6)
        palette, at = _palette(data, 13, data[10])
        control = _Control()
        while at < len(data) and data[at] != _END:
            if data[at] == _IMAGE:
                left, top, width, height, flags = struct.unpack_from("<HHHHB", data, at + 1)
                own_palette, start = _palette(data, at + 10, flags)
                at = _end_of_blocks(data, start + 1)
                box = (left, top, left + (width or screen[0]), top + (height or screen[1]))
                yield _Frame(box, bool(flags & 0x40), own_palette or palette, start, at, control)
                control = _Control()
            elif data[at] == _EXTENSION:
                kind, start, at = data[at + 1], at + 2, _end_of_blocks(data, at + 2)
                control = _control(data[start:at]) if kind == _CONTROL else control
                if kind == _APPLICATION:
                    self._read_loop(data[start:at])
            else:  # some encoders leave bytes between blocks
                block = _BLOCK.search(data, at)
                at = block.start() if block else len(data)

    def _read_loop(self, blocks: bytes) -> None:
        if blocks[1:12] in _LOOPING and len(blocks) > 16 and blocks[12] >= 3 and blocks[13] == 1:
            (self.loop,) = struct.unpack_from("<H", blocks, 14)


def _in_mode(mode: str, image: Image.Image) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def _control(blocks: bytes) -> _Control:
    if len(blocks) < 5:
        return _Control()
    flags, delay, index = struct.unpack_from("<BHB", blocks, 1)
    return _Control(delay * 10, flags >> 2 & 7, index if flags & 1 else None)


def _palette(data: bytes, at: int, flags: int) -> tuple[bytes, int]:
    """The palette, empty if there is none, and the offset after it."""
    end = at + 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else at
    return data[at:end], end


def _flags(palette: bytes) -> int:
    return 0x80 | (len(palette) // 3).bit_length() - 2 if palette else 0


def _end_of_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1
