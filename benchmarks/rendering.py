"""What a phone's photograph costs to render, against naive Pillow and libvips: `python -m benchmarks.rendering`."""

import math
import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from io import BytesIO
from typing import Annotated

import typer
from PIL import Image, ImageChops, ImageOps, ImageStat

from benchmarks.lib.photograph import phone_jpeg
from benchmarks.lib.rendering_children import measure_children, peak_mib
from benchmarks.lib.report import Table, median, rounds, show, times
from benchmarks.lib.unit_costs import Save, save_unit_costs
from domain.image_formats import RenditionFormat
from workers.rendering.allocator import tune_allocator
from workers.rendering.pipeline import render
from workers.rendering.rendered import RenderedFile
from workers.rendering.sizes import Size, ladder, square_side
from workers.rendering.source import open_source
from workers.rendering.still import encode, pyramid, upright_size

JPEG, WEBP = RenditionFormat.JPEG, RenditionFormat.WEBP
BUDGET = 60.0  # seconds of rounds
TURN = 1.0  # seconds of computing at least, so that what disturbs the quick ways is no larger a part of them


def ours(data: bytes) -> list[RenderedFile]:
    """Everything a media worker makes."""
    return render(data).renditions


def ours_jpeg(data: bytes) -> list[RenderedFile]:
    """The worker's pixels, saved as JPEG alone."""
    levels, square = pyramid(open_source(data).image)
    return [encode(picture, JPEG) for picture in (*levels, square)]


def naive(data: bytes) -> list[RenderedFile]:
    """For each rendition: open, copy, resize from full size, save."""
    return [encode(_resized(Image.open(BytesIO(data)), size), kind) for size in _sizes(data) for kind in (JPEG, WEBP)]


def naive_jpeg(data: bytes) -> list[RenderedFile]:
    """The same, for JPEG alone."""
    return [encode(_resized(Image.open(BytesIO(data)), size), JPEG) for size in _sizes(data)]


def opened_once_jpeg(data: bytes) -> list[RenderedFile]:
    """The same, decoded only once."""
    image = Image.open(BytesIO(data))
    return [encode(_resized(image, size), JPEG) for size in _sizes(data)]


Way = Callable[[bytes], list[RenderedFile]]
WAYS: dict[str, tuple[Way, Way]] = {  # a way, and the naive way that it is compared with
    "JPEG, ours": (ours_jpeg, naive_jpeg),
    "JPEG, naive": (naive_jpeg, naive_jpeg),
    "JPEG, naive, but opened once": (opened_once_jpeg, naive_jpeg),
    "JPEG + WebP + placeholder, ours": (ours, naive),
    "JPEG + WebP, naive": (naive, naive),
}
with suppress(ImportError):  # it is optional: pip install photogram[bench]
    from benchmarks.lib.vips import vips_jpeg

    WAYS["JPEG, libvips"] = (vips_jpeg, naive_jpeg)


def main(
    repeat: Annotated[int, typer.Option(min=1, help="Rounds, each of all ways in turn, as time allows.")] = 15,
    seed: Annotated[int, typer.Option(help="Which picture.")] = 1,
    level: Annotated[bool, typer.Option("--level", help="A phone held level, not upright.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    save: Save = False,
) -> None:
    """Renders a 12-megapixel JPEG our way and the naive way in turn; prints costs, memory and likeness."""
    data = phone_jpeg(seed, level=level)
    costs, memory = _measure(data, repeat)
    table = Table(
        f"A JPEG of 12 megapixels, {'level' if level else 'upright'}, into 1080, 640, 320 wide and 150 square",
        ["renditions", "CPU s an image", "images/s of a core", "against naive", "peak memory"],
    )
    for name, (way, base) in WAYS.items():
        cpu, ratio = median(costs[way]), times(costs[base], costs[way])
        table.rows.append([name, f"{cpu:.3f}", f"{1 / cpu:.2f}", ratio, f"{memory[way]:.0f} MiB"])
    show([table, _likeness(data), *measure_children(data, repeat)], ["pillow"], markdown=markdown)
    if save:
        costed = {"jpeg_ms": ours_jpeg, "all_ms": ours}
        save_unit_costs({"render an image": {name: 1000 * median(costs[way]) for name, way in costed.items()}})


def _measure(data: bytes, repeat: int) -> tuple[dict[Way, list[float]], dict[Way, float]]:
    """Runs the ways in turn, forth and back, each in a process of its own, so that each has its own peak of memory.

    All of them keep memory from image to image, as a rendering child does.
    """
    costs: dict[Way, list[float]] = {way: [] for way, _ in WAYS.values()}
    spawn = multiprocessing.get_context("spawn")
    keeping = partial(ProcessPoolExecutor, 1, mp_context=spawn, initializer=tune_allocator, initargs=(0,))
    with ExitStack() as stack:
        measure_children = {way: stack.enter_context(keeping()) for way in costs}
        for child in measure_children.values():
            child.submit(int).result()
        ways = list(measure_children)
        for way in ways:  # the first run costs more
            measure_children[way].submit(way, data).result()
        for _ in rounds(repeat, BUDGET):
            for way in ways:
                costs[way].append(measure_children[way].submit(_cpu_seconds, way, data).result())
            ways.reverse()
        memory = {way: child.submit(peak_mib, "self").result() for way, child in measure_children.items()}
    return costs, memory


def _cpu_seconds(way: Way, data: bytes) -> float:
    """Processor seconds of one image: the mean over a turn."""
    before, images = time.process_time(), 0
    while not images or time.process_time() - before < TURN:
        way(data)
        images += 1
    return (time.process_time() - before) / images


def _sizes(data: bytes) -> list[Size]:
    """What our pipeline makes of it: the ladder and, last, the square."""
    upright = upright_size(Image.open(BytesIO(data)))
    side = square_side(upright)
    return [*ladder(upright), Size(side, side)]


def _resized(image: Image.Image, size: Size) -> Image.Image:
    """From full size, with nothing saved on the way."""
    picture = ImageOps.exif_transpose(image.copy())
    picture.info.clear()
    if size.width == size.height:
        return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
    return picture.resize(size, Image.Resampling.LANCZOS)


def _likeness(data: bytes) -> Table:
    """How near our pixels, and our files, come to resizing from full size, which is the reference."""
    image = Image.open(BytesIO(data))
    levels, square = pyramid(open_source(data).image)
    table = Table(
        "Likeness to LANCZOS from full size (PSNR in dB; more is nearer)",
        ["width", "our pixels", "our JPEG", "naive JPEG", "our bytes / naive"],
    )
    for picture in (*levels, square):
        wanted = _resized(image, Size(*picture.size))
        mine, theirs = encode(picture, JPEG).data, encode(wanted, JPEG).data
        table.rows.append(
            [
                f"{picture.width} x {picture.height}",
                f"{_psnr(picture, wanted):.1f}",
                f"{_psnr(Image.open(BytesIO(mine)), wanted):.1f}",
                f"{_psnr(Image.open(BytesIO(theirs)), wanted):.1f}",
                f"{len(mine) / len(theirs):.3f}",
            ]
        )
    return table


def _psnr(picture: Image.Image, wanted: Image.Image) -> float:
    squares = ImageStat.Stat(ImageChops.difference(picture, wanted))
    error = sum(squares.sum2) / sum(squares.count)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


if __name__ == "__main__":
    typer.run(main)
