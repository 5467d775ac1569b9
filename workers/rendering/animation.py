"""Renders an animation: it stays animated, within a budget of pixels, and gets still posters."""

from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

from PIL import Image

from domain.image_formats import RenditionFormat
from workers.rendering.colours import ColourSpace, to_srgb
from workers.rendering.downscaling import shrunk
from workers.rendering.rendered import RenderedFile
from workers.rendering.sizes import Size, ladder
from workers.rendering.source import Motion, Source, damage_refused, orientation
from workers.rendering.still import lying, turned

FRAME_PIXELS = 24_000_000  # of all frames of one rendition: 640 x 360 for 104 frames; they lie in memory together
_SHORTEST_DURATION = 20  # milliseconds; browsers take a shorter one for a mistake, and
_USUAL_DURATION = 100  # this in its place
_LONGEST_DURATION = 655_350  # milliseconds, of one frame
_MOST_PLAYS = 65_535
_OPAQUE_FROM = 128  # alpha
_PALETTE_SAMPLE = (64, 64)
_WEBP_FLAGS_AT, _WEBP_ALPHA = 20, 0x10  # in the VP8X chunk, which comes first
_CLEAR = 255  # the palette index that stands for nothing


class Animation(NamedTuple):
    """Frames that each show the whole picture, RGB or RGBA alike, with their times in milliseconds.

    `loop` counts repetitions as GIF does: 0 is for ever, None is to play once.
    """

    frames: list[Image.Image]
    durations: list[int]
    loop: int | None


def moving_sizes(source: Size, frame_count: int) -> list[Size]:
    """The ladder's sizes that keep to the budget; if none does, the largest size that does."""
    affordable = FRAME_PIXELS // frame_count
    sizes = [size for size in ladder(source) if size.width * size.height <= affordable]
    return sizes or [source.times((affordable / (source.width * source.height)) ** 0.5)]


def read_animation(source: Source, motion: Motion, size: Size) -> Animation:
    """Decodes all frames, upright, at `size`. Raises Refusal(IMAGE_CORRUPT) if one cannot be decoded."""
    frames, durations = [], []
    space, turn = ColourSpace.of(source.image), orientation(source.image)
    with damage_refused():
        for image, duration in motion.frames():
            frames.append(turned(to_srgb(shrunk(image, lying(size, turn)), space), turn))
            durations.append(duration if duration >= _SHORTEST_DURATION else _USUAL_DURATION)
    if any(frame.mode == "RGBA" for frame in frames):
        frames = [frame.convert("RGBA") for frame in frames]
    return Animation(frames, _within_reach(durations), motion.loop)


def _within_reach(durations: list[int]) -> list[int]:
    """Shortens what GIF cannot write: frames that look alike become one, which is shown for their time together."""
    if sum(durations) <= _LONGEST_DURATION:
        return durations
    return [min(duration, _LONGEST_DURATION // len(durations)) for duration in durations]


def scaled(animation: Animation, size: Size) -> Animation:
    """The same animation at another size, not larger."""
    if animation.frames[0].size == size:
        return animation
    return animation._replace(frames=[frame.resize(size, Image.Resampling.LANCZOS) for frame in animation.frames])


def encode_moving(animation: Animation, file_format: RenditionFormat) -> RenderedFile:
    """Writes the animation to a file: a GIF or a WEBP."""
    data = _gif(animation) if file_format is RenditionFormat.GIF else _webp(animation)
    return RenderedFile(file_format, *animation.frames[0].size, data)


def _gif(animation: Animation) -> bytes:
    frames = [_palette_frame(frame) for frame in animation.frames]
    transparent = animation.frames[0].mode == "RGBA"
    # Disposal 2 clears a frame before the next: where pixels become transparent again nothing else will do.
    options = {"disposal": 2} if transparent else {}
    if animation.loop is not None:
        options["loop"] = animation.loop
    return _save("GIF", frames, duration=animation.durations, **options)


def _palette_frame(frame: Image.Image) -> Image.Image:
    """Reduces a frame to 255 colours; GIF knows no half transparency, so each pixel is all or nothing.

    The colours are chosen from a sample: Pillow's median cut over every pixel takes ten times as long.
    """
    opaque = frame.convert("RGB")
    sample = opaque.resize(_PALETTE_SAMPLE, Image.Resampling.NEAREST)
    reduced = opaque.quantize(palette=sample.quantize(_CLEAR, Image.Quantize.MEDIANCUT), dither=Image.Dither.NONE)
    if frame.mode == "RGBA":
        reduced.paste(_CLEAR, mask=frame.getchannel("A").point(lambda value: 0 if value >= _OPAQUE_FROM else 255))
        reduced.info["transparency"] = _CLEAR
    return reduced


def _webp(animation: Animation) -> bytes:
    repeats = animation.loop
    loop = 1 if repeats is None else repeats and min(repeats + 1, _MOST_PLAYS)  # WebP counts plays, 0 is for ever
    data = bytearray(_save("WEBP", animation.frames, duration=animation.durations, loop=loop, quality=70, method=0))
    # libwebp cuts each frame to what changes; if every cutting is opaque it calls the whole picture opaque.
    if animation.frames[0].mode == "RGBA" and data[12:16] == b"VP8X":
        data[_WEBP_FLAGS_AT] |= _WEBP_ALPHA
    return bytes(data)


def _save(name: str, frames: Sequence[Image.Image], **options: object) -> bytes:
    buffer = BytesIO()
    frames[0].save(buffer, name, save_all=True, append_images=frames[1:], **options)
    return buffer.getvalue()
