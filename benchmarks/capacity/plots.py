"""Plots of the simulated bursts as SVG, the same bytes from the same figures."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks.capacity.bursts import COUNTED_GOAL, UPLOADS, LargeFanOut, LikeBurst, UploadBurst
from benchmarks.lib.report import percentile

IMAGES = Path(__file__).parents[2] / "docs" / "images"
POINTS = 60  # of a curve


class Curve(NamedTuple):
    """One line of a plot."""

    name: str
    points: list[tuple[float, float]]


class Plot(NamedTuple):
    """What one file shows."""

    file: str
    title: str
    x: str
    y: str
    curves: list[Curve]
    is_logarithmic: bool = False

    @property
    def digest(self) -> str:
        """Stands in the file, so that a test can tell whether it shows these figures without drawing it."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


def burst_plots(
    uploads: Sequence[UploadBurst], likes: Sequence[LikeBurst], fan_outs: Sequence[LargeFanOut]
) -> list[Plot]:
    """A plot for each burst."""
    lanes = {True: "a lane of its own", False: "one queue"}
    spread = [of for of in likes if of.posts != "one post"]
    goal = [(float(of.workers), COUNTED_GOAL) for of in spread]
    return [
        Plot(
            "burst-uploads.svg",
            "100,000 uploads within 5 s",
            "seconds from the file to READY",
            "uploads READY, %",
            [Curve(f"{of.cores} cores", _shares(of.ready)) for of in uploads],
        ),
        Plot(
            "burst-likes.svg",
            "10^6 likes within 10 s, on a post each",
            "counters workers",
            "seconds until 99 % are counted",
            [Curve("p99", [(of.workers, _round(percentile(of.lags, 99))) for of in spread]), Curve("goal", goal)],
            is_logarithmic=True,
        ),
        Plot(
            "burst-followers.svg",
            "Posts to 200 followers beside one to 10^6",
            "feed workers",
            "p99 against that without it",
            [
                Curve(name, [(of.workers, _round(of.beside / of.alone)) for of in fan_outs if of.has_lane == has_lane])
                for has_lane, name in lanes.items()
            ],
            is_logarithmic=True,
        ),
    ]


def _shares(ready: Sequence[float]) -> list[tuple[float, float]]:
    """What percentage is READY after so many seconds."""
    ordered = sorted(ready)
    steps = [UPLOADS * number // POINTS for number in range(1, POINTS + 1)]
    return [(_round(ordered[step - 1]), _round(100 * step / UPLOADS)) for step in steps]


def _round(value: float) -> float:
    return float(f"{value:.4g}")


def draw(plots: Sequence[Plot], folder: Path = IMAGES) -> None:
    """Writes the files. Raises ImportError without Matplotlib (requirements-bench.lock)."""
    import matplotlib as mpl  # noqa: PLC0415  only who draws needs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    mpl.rcParams["svg.hashsalt"] = "photogram"
    mpl.rcParams["svg.fonttype"] = "none"
    for plot in plots:
        figure: Any = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.subplots()
        for curve in plot.curves:
            axes.plot(*zip(*curve.points, strict=True), label=curve.name, marker="o" if plot.is_logarithmic else None)
        if plot.is_logarithmic:
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.xaxis.set_major_formatter("{x:.0f}")
            axes.yaxis.set_major_formatter("{x:g}")
        axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y)
        axes.grid(alpha=0.3)
        axes.legend()
        about = {"Date": None, "Creator": None, "Description": plot.digest}
        figure.savefig(folder / plot.file, format="svg", metadata=about)
