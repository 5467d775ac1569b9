"""Valid GIFs, still and moving, written frame by frame."""

from collections.abc import Callable, Iterator
from functools import partial

from PIL import Image

from tests.support.corpus.case import IN_COLOUR, Case, Shown, case
from tests.support.corpus.writing import gif, gif_frame
from tests.support.pictures import moving, quarters, saved

SIZE = (200, 160)
WHOLE = (0, 0, *SIZE)
CORNER = (10, 10, 40, 40)
TABLE = b"".join(bytes(colour) for colour in IN_COLOUR)
SWAPPED = TABLE[3:6] + TABLE[:3] + TABLE[6:]  # red and green exchanged
BLACK = b"\0\0\0\xff\xff\xff"
INDEXES = b"".join(bytes((x >= SIZE[0] // 2) + 2 * (y >= SIZE[1] // 2) for x in range(SIZE[0])) for y in range(SIZE[1]))
EXCHANGED = INDEXES.translate(bytes([1, 0, 2, 3, *range(4, 256)]))
PATCH = bytes(40 * 40)
STILL, MOVING = Shown(SIZE), Shown(SIZE, is_moving=True)


def gifs() -> list[Case]:
    return [*_still(), *_disposals(), *_odd()]


def _first(**options: object) -> bytes:
    return gif_frame(WHOLE, INDEXES, **options)  # type: ignore[arg-type]


def _patch(**options: object) -> bytes:
    return gif_frame(CORNER, PATCH, **options)  # type: ignore[arg-type]


def _still() -> Iterator[Case]:
    ways: dict[str, Callable[[], bytes]] = {
        "still": partial(gif, SIZE, [_first()], TABLE),
        "of 1987": lambda: b"GIF87a" + gif(SIZE, [_first()], TABLE, loop=None)[6:],
        "interlaced": partial(gif, SIZE, [_first(interlaced=True)], TABLE),
        "with a palette of its frame": partial(gif, SIZE, [_first(palette=TABLE)], BLACK),
        "with a palette of its frame only": partial(gif, SIZE, [_first(palette=TABLE)]),
        "with its palette exchanged": partial(gif, SIZE, [gif_frame(WHOLE, EXCHANGED, palette=SWAPPED)], TABLE),
        "without an end": lambda: gif(SIZE, [_first()], TABLE)[:-1],
        "with bytes behind it": lambda: gif(SIZE, [_first()], TABLE) + bytes(5000),
        "by Pillow": partial(saved, quarters(SIZE), "GIF"),
    }
    for name, make in ways.items():
        yield case(f"gif {name}", make, STILL)
    cleared = gif_frame(WHOLE, INDEXES, clear=0)
    yield case("gif with a clear colour", partial(gif, SIZE, [cleared], TABLE), Shown(SIZE, None, is_transparent=True))
    small = gif_frame((50, 40, 100, 80), bytes(8000))
    clear = Shown(SIZE, None, is_transparent=True)
    yield case("gif smaller than its screen", partial(gif, SIZE, [small], TABLE), clear)
    yield case(
        "gif smaller than its screen, moving", partial(gif, SIZE, [small] * 3, TABLE), clear._replace(is_moving=True)
    )
    grey = partial(saved, quarters(SIZE).convert("L"), "GIF")
    yield case("gif grey", grey, Shown(SIZE, None))
    yield case("gif of one pixel", partial(saved, quarters((1, 1)), "GIF"), Shown((1, 1), None))


def _disposals() -> Iterator[Case]:
    for disposal in range(4):
        frames = [_first(disposal=min(disposal, 1)), _patch(disposal=disposal), _patch(), _first()]
        yield case(f"gif moving, disposal {disposal}", partial(gif, SIZE, frames, TABLE), MOVING)
    for disposal in (2, 3):
        frames = [_first(disposal=1), *(_patch(disposal=disposal, clear=3) for _ in range(5))]
        yield case(f"gif moving, clear patches, disposal {disposal}", partial(gif, SIZE, frames, TABLE), MOVING)
    empty = gif_frame(WHOLE, bytes(len(INDEXES)), clear=0, disposal=2)
    shown = Shown(SIZE, None, is_moving=True, is_transparent=True)
    frames = [empty, _patch(disposal=2, clear=1), empty]
    yield case("gif moving over nothing", partial(gif, SIZE, frames, TABLE), shown)


def _odd() -> Iterator[Case]:
    for name, frames in {
        "without durations": [_first(delay=0)] * 4,
        "with long durations": [_first(delay=65535)] * 3,
        "palettes of each frame": [_first(palette=TABLE), gif_frame(WHOLE, EXCHANGED, palette=SWAPPED)],
        "interlaced": [_first(interlaced=True)] * 3,
        "of the same frame": [_first()] * 10,
        "of 250 frames": [_first(), *[_patch()] * 249],
    }.items():
        yield case(f"gif moving, {name}", partial(gif, SIZE, frames, TABLE), MOVING)
    for loop in (None, 1, 65535):
        yield case(f"gif moving, loop {loop}", partial(gif, SIZE, [_first()] * 3, TABLE, loop=loop), MOVING)
    yield case("gif moving by Pillow", partial(moving, SIZE), Shown(SIZE, None, is_moving=True))
    tall = Shown((10, 900), None, is_moving=True)
    yield case("gif moving, thin", partial(moving, (10, 900)), tall)
    comment = b"\x21\xfe" + b"\x05whatt" * 100 + b"\0"
    yield case("gif with comments", partial(gif, SIZE, [comment, _first(), comment], TABLE), STILL)
    frames = [_first(), _first()]
    yield case("gif moving by Pillow, clear", _clear, Shown((320, 240), None, is_moving=True, is_transparent=True))
    yield case("gif moving, two frames", partial(gif, SIZE, frames, TABLE), MOVING)


def _clear() -> bytes:
    ground = Image.new("RGBA", (320, 240), (0, 0, 0, 0))
    frames = []
    for left in (0, 80, 160):
        frame = ground.copy()
        frame.paste((200, 30, 30, 255), (left, 50, left + 80, 150))
        frames.append(frame)
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=80, disposal=2, loop=0)
