"""How long an image will take to render, estimated from its headers, so that slow ones wait in a lane of their own."""

from domain.image_formats import SourceFormat

# Pixels a second on one core of 2026, all frames together; roughly, for the lanes are an order of magnitude apart.
_MOVING = 30_000_000
_STILL = 40_000_000
_STILL_JPEG = 100_000_000  # decoded at half size or less


class NeedsSlowLane(Exception):
    """Rendering is expected to take longer than this lane allows."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"rendering will take some {seconds:.1f} s")
        self.seconds = seconds


def refuse_slow(max_seconds: float | None, source: SourceFormat, pixels: int, frames: int) -> None:
    """Raises NeedsSlowLane if an image of so many pixels a frame probably takes more than `max_seconds`."""
    still = _STILL_JPEG if source is SourceFormat.JPEG else _STILL
    rate = _MOVING if frames > 1 else still
    seconds = frames * pixels / rate
    if max_seconds is not None and seconds > max_seconds:
        raise NeedsSlowLane(seconds)
