"""A real child gives every file of the corpus its verdict, within bounds of memory and time."""

from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from PIL import Image

from domain.errors import Refusal, UserErrorCode
from domain.image_formats import RenditionFormat
from domain.limits import MAX_IMAGE_BYTES
from tests.support.corpus import corpus
from tests.support.corpus.case import Case, Shown
from tests.support.pictures import are_near, pixel_at
from workers.rendering.pool import RenderPool
from workers.rendering.rendered import Rendered

CASES = corpus()
CPU_SECONDS = 10
BOMB_CPU_SECONDS = 1.0
GOOD = next(case for case in CASES if case.name == "jpeg baseline")


@pytest.fixture(scope="module")
async def pool() -> AsyncIterator[RenderPool]:
    async with RenderPool(1, 60, 1024, cpu_seconds=CPU_SECONDS) as opened:
        yield opened


@pytest.fixture
async def process(pool: RenderPool) -> psutil.Process:
    """The pool's child, which still renders; its peak of memory is reset."""
    await pool.render(GOOD.data())
    (child,) = (child for child in psutil.Process().children() if "workers.rendering.child" in child.cmdline())
    Path(f"/proc/{child.pid}/clear_refs").write_text("5")
    return child


def peak_mib(process: psutil.Process) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def verdict(pool: RenderPool, data: bytes) -> Rendered | UserErrorCode:
    try:
        return await pool.render(data)
    except Refusal as refusal:
        return refusal.code


def test_corpus_is_large_and_its_names_are_different() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 200


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_file_gets_its_verdict(case: Case, pool: RenderPool, process: psutil.Process) -> None:
    data = case.data()
    assert len(data) <= MAX_IMAGE_BYTES
    before = cpu_seconds(process)
    result = await verdict(pool, data)
    if isinstance(result, UserErrorCode):
        assert result in case.verdicts
    else:
        (shown,) = (verdict for verdict in case.verdicts if isinstance(verdict, Shown))
        assert_shows(result, shown)
    assert process.is_running(), "the child must not have been replaced"
    assert peak_mib(process) < case.peak_mib
    if case.is_bomb:
        assert cpu_seconds(process) - before < BOMB_CPU_SECONDS


def assert_shows(rendered: Rendered, shown: Shown) -> None:
    assert (rendered.width, rendered.height, rendered.is_animated) == (*shown.size, shown.is_moving)
    formats = {file.format for file in rendered.renditions}
    still = RenditionFormat.PNG if shown.is_transparent else RenditionFormat.JPEG
    assert formats == {still, RenditionFormat.WEBP, *([RenditionFormat.GIF] if shown.is_moving else [])}
    for file in rendered.renditions:
        assert b"CANARY" not in file.data
        picture = Image.open(BytesIO(file.data))
        assert picture.size == (file.width, file.height)
        assert picture.format == file.format.value
        if shown.quarters and file.width != file.height:
            assert_quarters(picture, shown.quarters)


def assert_quarters(picture: Image.Image, quarters: tuple[tuple[int, ...], ...]) -> None:
    rgb = picture.convert("RGB")
    for number, colour in enumerate(quarters):
        at = (rgb.width // 4 + rgb.width // 2 * (number % 2), rgb.height // 4 + rgb.height // 2 * (number // 2))
        pixel = pixel_at(rgb, at)
        assert are_near(pixel, colour), (picture.format, number, pixel, colour)
