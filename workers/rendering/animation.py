"""Decodes, scales and writes animations within a budget of pixels."""

from collections.abc import Sequence
from io import BytesIO
from typing import NamedTuple

from PIL import Image

from domain.image_formats import RenditionFormat
from workers.rendering.colours import ColourSpace, to_srgb
from workers.rendering.downscaling import shrunk
from workers.rendering.rendered import RenderedFile
from workers.rendering.sizes import Size, ladder
from workers.rendering.source import Motion, Source, orientation, refuse_damage
from workers.rendering.still import stored_size, turned

FRAME_PIXELS = 24_000_000  # of all frames of one rendition, which are in memory together: 104 frames of 640 x 360
_MIN_DURATION = 20  # milliseconds; browsers replace a shorter duration by the usual one
_USUAL_DURATION = 100
_MAX_DURATION = 655_350  # of one GIF frame
_MAX_PLAYS = 65_535
_OPAQUE_ALPHA = 128
_PALETTE_SAMPLE = (64, 64)
_WEBP_FLAGS_OFFSET, _WEBP_ALPHA = 20, 0x10  # in the VP8X chunk, which comes first
_TRANSPARENT_INDEX = 255


class Animation(NamedTuple):
    """Complete frames, all RGB or all RGBA, with their durations in milliseconds; `loop` as in `Motion`."""

    frames: list[Image.Image]
    durations: list[int]
    loop: int | None


def moving_sizes(source: Size, frame_count: int) -> list[Size]:
    """The sizes of the ladder that fit into the budget; if none does, the largest size that does."""
    affordable = FRAME_PIXELS // frame_count
    sizes = [size for size in ladder(source) if size.width * size.height <= affordable]
    return sizes or [source.times((affordable / (source.width * source.height)) ** 0.5)]


def read_animation(source: Source, motion: Motion, size: Size) -> Animation:
    """Decodes all frames, upright, at `size`. Raises Refusal(IMAGE_CORRUPT) if a frame cannot be decoded."""
    frames, durations = [], []
    space, turn = ColourSpace.of(source.image), orientation(source.image)
    with refuse_damage():
        for image, duration in motion.frames():
            frames.append(turned(to_srgb(shrunk(image, stored_size(size, turn)), space), turn))
            durations.append(duration if duration >= _MIN_DURATION else _USUAL_DURATION)
    if any(frame.mode == "RGBA" for frame in frames):
        frames = [frame.convert("RGBA") for frame in frames]
    return Animation(frames, _writable(durations), motion.loop)


def _writable(durations: list[int]) -> list[int]:
    """Shortens the durations if GIF cannot hold their sum: Pillow merges equal frames and adds their durations."""
    if sum(durations) <= _MAX_DURATION:
        return durations
    return [min(duration, _MAX_DURATION // len(durations)) for duration in durations]


def scaled(animation: Animation, size: Size) -> Animation:
    """The animation at another size that is not larger."""
    if animation.frames[0].size == size:
        return animation
    return animation._replace(frames=[frame.resize(size, Image.Resampling.LANCZOS) for frame in animation.frames])


def encode_moving(animation: Animation, file_format: RenditionFormat) -> RenderedFile:
    data = _gif(animation) if file_format is RenditionFormat.GIF else _webp(animation)
    return RenderedFile(file_format, *animation.frames[0].size, data)


def _gif(animation: Animation) -> bytes:
    frames = [_palette_frame(frame) for frame in animation.frames]
    transparent = animation.frames[0].mode == "RGBA"
    # Disposal 2 clears a frame before the next one: only so can pixels become transparent again.
    options = {"disposal": 2} if transparent else {}
    if animation.loop is not None:
        options["loop"] = animation.loop
    return _save("GIF", frames, duration=animation.durations, **options)


def _palette_frame(frame: Image.Image) -> Image.Image:
    """Reduces a frame to 255 colours. GIF has no partial transparency: each pixel becomes opaque or transparent.

    The colours are chosen from a sample, because Pillow's median cut over all pixels takes ten times as long.
    """
    opaque = frame.convert("RGB")
    sample = opaque.resize(_PALETTE_SAMPLE, Image.Resampling.NEAREST)
    palette = sample.quantize(_TRANSPARENT_INDEX, Image.Quantize.MEDIANCUT)
    reduced = opaque.quantize(palette=palette, dither=Image.Dither.NONE)
    if frame.mode == "RGBA":
        transparent = frame.getchannel("A").point(lambda value: 0 if value >= _OPAQUE_ALPHA else 255)
        reduced.paste(_TRANSPARENT_INDEX, mask=transparent)
        reduced.info["transparency"] = _TRANSPARENT_INDEX
    return reduced


def _webp(animation: Animation) -> bytes:
    repeats = animation.loop
    loop = 1 if repeats is None else repeats and min(repeats + 1, _MAX_PLAYS)  # WebP counts plays; 0 is for ever
    data = bytearray(_save("WEBP", animation.frames, duration=animation.durations, loop=loop, quality=70, method=0))
    # libwebp stores only the changed part of each frame. If all these parts are opaque, it marks the file as opaque.
    if animation.frames[0].mode == "RGBA" and data[12:16] == b"VP8X":
        data[_WEBP_FLAGS_OFFSET] |= _WEBP_ALPHA
    return bytes(data)


def _save(name: str, frames: Sequence[Image.Image], **options: object) -> bytes:
    buffer = BytesIO()
    frames[0].save(buffer, name, save_all=True, append_images=frames[1:], **options)
    return buffer.getvalue()
