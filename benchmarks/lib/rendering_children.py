"""How fast a worker's children render: one, two at once; and their memory for the largest pictures."""

import asyncio
import math
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import psutil
from PIL import Image

from benchmarks.lib.report import Table, median, rounds, times
from tests.support.api_process import cpu_seconds
from workers.rendering.pool import RenderPool

MEMORY_MB = 1024  # what a worker gives a rendering child
TIMEOUT = 120.0
IMAGES = 12  # each turn
BUDGET = 60.0  # seconds of rounds
LARGEST = (8160, 6120)  # 50 megapixels


def measure_children(data: bytes, repeat: int) -> list[Table]:
    """Renders through the pool, as a worker does: bytes into a child's pipe, files out of it."""
    return [asyncio.run(_rates(data, repeat)), asyncio.run(_peaks())]


async def _rates(data: bytes, repeat: int) -> Table:
    """Images a second of the clock with one child and with two: each round one, two, two, one.

    Where two need no more computing than one, what two lack of twice as many is what others took of the cores.
    """
    seconds: dict[int, list[float]] = {1: [], 2: []}
    computing: dict[int, list[float]] = {1: [], 2: []}
    # The niceness of a worker's children would let everything else on the machine go first.
    pools = {count: RenderPool(count, TIMEOUT, MEMORY_MB, niceness=0) for count in (1, 2)}
    async with pools[1], pools[2]:
        for pool in pools.values():
            await _render_all(pool, data)
        for _ in rounds(repeat, BUDGET):
            took, used = dict.fromkeys(pools, 0.0), dict.fromkeys(pools, 0.0)
            for processes in (1, 2, 2, 1):
                started, before = time.perf_counter(), _computed()
                await _render_all(pools[processes], data)
                took[processes] += time.perf_counter() - started
                used[processes] += _computed() - before
            for processes in pools:
                seconds[processes].append(took[processes] / (2 * IMAGES))
                computing[processes].append(used[processes] / (2 * IMAGES))
    columns = ["children", "CPU s an image", "images/s", "against one"]
    table = Table("Children at work, JPEG + WebP + placeholder", columns)
    for processes, taken in seconds.items():
        cpu = f"{median(computing[processes]):.3f}"
        table.rows.append([str(processes), cpu, f"{1 / median(taken):.2f}", times(seconds[1], taken)])
    return table


def _renderers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "workers.rendering.child" in child.cmdline()]


def _computed() -> float:
    """Seconds that all rendering children have computed so far."""
    return sum(map(cpu_seconds, _renderers()))


async def _render_all(pool: RenderPool, data: bytes) -> None:
    await asyncio.gather(*(pool.render(data) for _ in range(IMAGES)))


async def _peaks() -> Table:
    """The most memory a fresh child has in use for each picture."""
    table = Table("A fresh child and 50 megapixels", ["picture", "CPU s", "peak memory"])
    for name, make in PICTURES.items():
        data = make()
        async with RenderPool(1, TIMEOUT, MEMORY_MB, cpu_seconds=TIMEOUT) as pool:
            (child,), before = _renderers(), _computed()
            await pool.render(data)
            cpu, peak = _computed() - before, peak_mib(str(child.pid))
            table.rows.append([name, f"{cpu:.2f}", f"{peak:.0f} MiB"])
    return table


def peak_mib(process: str) -> float:
    """The most memory a process ever had in use, in MiB; NaN on systems other than Linux."""
    status = Path(f"/proc/{process}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), math.nan)


def _gradients(mode: str) -> Image.Image:
    bands = [Image.linear_gradient("L"), Image.radial_gradient("L"), Image.linear_gradient("L").rotate(90)]
    bands = [band.resize(LARGEST) for band in [*bands, bands[1]][: len(mode)]]
    return Image.merge(mode, bands)


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


PICTURES: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: _saved(_gradients("RGB"), "JPEG"),
    "JPEG, progressive": lambda: _saved(_gradients("RGB"), "JPEG", progressive=True),
    "JPEG, progressive, 4:4:4": lambda: _saved(_gradients("RGB"), "JPEG", progressive=True, subsampling=0),
    "JPEG, CMYK": lambda: _saved(_gradients("CMYK"), "JPEG"),
    "PNG, RGB": lambda: _saved(_gradients("RGB"), "PNG", compress_level=1),
    "PNG, RGBA": lambda: _saved(_gradients("RGBA"), "PNG", compress_level=1),
    "PNG, palette with transparency": lambda: _saved(
        _gradients("RGB").quantize(64), "PNG", compress_level=1, transparency=3
    ),
    "PNG, grey of 16 bits": lambda: _saved(Image.linear_gradient("L").resize(LARGEST).convert("I;16"), "PNG"),
    "GIF": lambda: _saved(_gradients("RGB").quantize(64), "GIF"),
}
