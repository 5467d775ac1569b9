"""Estimates from its headers how long an image takes to render, so that slow images wait in a lane of their own."""

from domain.image_formats import SourceFormat

# Pixels of all frames a second on one core of 2026. Rough values suffice: the lanes differ by an order of magnitude.
_MOVING = 30_000_000
_STILL = 40_000_000
_STILL_JPEG = 100_000_000  # decoded at half size or less


class NeedsSlowLane(Exception):
    """Rendering is expected to take longer than this lane allows."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"rendering will take about {seconds:.1f} s")
        self.seconds = seconds


def refuse_slow(max_seconds: float | None, source: SourceFormat, pixels: int, frames: int) -> None:
    """Raises NeedsSlowLane if rendering is expected to take more than `max_seconds`; `pixels` are those of a frame."""
    still = _STILL_JPEG if source is SourceFormat.JPEG else _STILL
    rate = _MOVING if frames > 1 else still
    seconds = frames * pixels / rate
    if max_seconds is not None and seconds > max_seconds:
        raise NeedsSlowLane(seconds)
