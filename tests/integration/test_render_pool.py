"""Rendering in child processes: the pool survives whatever an image does to a child."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from domain.errors import Refusal, UserErrorCode
from tests.support.pictures import gif_of_many_frames, moving, png_that_claims, quarters, saved
from workers.rendering.expected_time import NeedsSlowLane
from workers.rendering.pipeline import render
from workers.rendering.pool import RenderingUnavailable, RenderPool

PICTURE = saved(quarters(), "JPEG")
EXPECTED = render(PICTURE)
SLOW = gif_of_many_frames(150, (1000, 1000))  # some seconds of work in a few bytes


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if is_renderer(child)]


def is_renderer(child: psutil.Process) -> bool:
    """Whether this is a rendering child that still exists."""
    try:
        return "workers.rendering.child" in child.cmdline()
    except psutil.NoSuchProcess:
        return False


async def busy_child() -> psutil.Process:
    """Waits until a child is rendering, and returns it."""
    while True:
        for child in children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.cpu_times().user > 0.6:
                    return child
        await asyncio.sleep(0.02)


@pytest.fixture
async def pool() -> AsyncIterator[RenderPool]:
    async with RenderPool(processes=2, timeout=30, memory_mb=512) as opened:
        yield opened
    assert children() == []


async def test_child_renders_what_the_pipeline_does(pool: RenderPool) -> None:
    assert await pool.render(PICTURE) == EXPECTED


async def test_refusal_has_its_code_and_message(pool: RenderPool) -> None:
    with pytest.raises(Refusal, match="too many pixels") as caught:
        await pool.render(png_that_claims(20_000, 20_000))
    assert caught.value.code is UserErrorCode.TOO_MANY_PIXELS


async def test_more_images_than_children_are_all_rendered(pool: RenderPool) -> None:
    assert await asyncio.gather(*(pool.render(PICTURE) for _ in range(10))) == [EXPECTED] * 10
    assert len(children()) == 2


async def test_bad_images_do_not_harm_good_ones(pool: RenderPool) -> None:
    images = [PICTURE, b"not one", PICTURE, PICTURE[:3000], gif_of_many_frames(300), PICTURE]
    results = await asyncio.gather(*(pool.render(image) for image in images), return_exceptions=True)
    assert [isinstance(result, Refusal) for result in results] == [False, True, False, True, True, False]


async def test_killed_child_is_replaced_and_its_image_rendered(pool: RenderPool) -> None:
    task = asyncio.create_task(pool.render(SLOW))
    (await busy_child()).kill()
    assert (await task).is_animated


async def test_idle_child_that_was_killed_is_replaced(pool: RenderPool) -> None:
    for child in children():
        child.kill()
        child.wait(5)
    assert (await pool.render(PICTURE)).width == 800


async def test_image_is_refused_when_a_second_child_is_killed(pool: RenderPool) -> None:
    task = asyncio.create_task(pool.render(SLOW))
    first = await busy_child()
    first.kill()
    while (second := await busy_child()).pid == first.pid:
        await asyncio.sleep(0.02)
    second.kill()
    with pytest.raises(Refusal):
        await task
    assert (await pool.render(PICTURE)).width == 800


async def test_image_that_crashes_a_child_is_refused_at_once(pool: RenderPool) -> None:
    task = asyncio.create_task(pool.render(SLOW))
    child = await busy_child()
    child.send_signal(signal.SIGSEGV)
    with pytest.raises(Refusal) as caught:
        await task
    assert caught.value.code is UserErrorCode.IMAGE_CORRUPT
    assert (await pool.render(PICTURE)).width == 800


async def test_image_that_computes_for_too_long_is_refused() -> None:
    async with RenderPool(processes=1, timeout=60, memory_mb=512, cpu_seconds=1) as pool:
        with pytest.raises(Refusal) as caught:
            await pool.render(gif_of_many_frames(250, (1250, 1250)))
        assert caught.value.code is UserErrorCode.TOO_MANY_PIXELS
        assert (await pool.render(PICTURE)).width == 800


async def test_child_that_hangs_is_replaced_and_its_image_rendered() -> None:
    async with RenderPool(processes=1, timeout=3, memory_mb=512) as pool:
        (child,) = children()
        child.suspend()
        assert (await asyncio.wait_for(pool.render(PICTURE), 15)).width == 800
        assert child.pid not in [other.pid for other in children()]


async def test_image_that_needs_too_much_memory_is_refused() -> None:
    large = saved(quarters((6000, 6000)), "PNG")  # 144 MB decoded
    async with RenderPool(processes=1, timeout=30, memory_mb=160) as pool:
        with pytest.raises(Refusal, match="memory") as caught:
            await pool.render(large)
        assert caught.value.code is UserErrorCode.TOO_MANY_PIXELS
        assert (await pool.render(PICTURE)).width == 800
    async with RenderPool(processes=1, timeout=30, memory_mb=1024) as pool:
        assert (await pool.render(large)).width == 6000


async def test_child_ignores_interruptions(pool: RenderPool) -> None:
    task = asyncio.create_task(pool.render(SLOW))
    child = await busy_child()
    for interruption in (signal.SIGINT, signal.SIGTERM):
        child.send_signal(interruption)
    assert (await task).is_animated
    assert child.is_running()


async def test_cancelling_ends_the_child_and_frees_its_place() -> None:
    async with RenderPool(processes=1, timeout=30, memory_mb=512) as pool:
        task = asyncio.create_task(pool.render(SLOW))
        child = await busy_child()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not child.is_running()
        assert (await pool.render(PICTURE)).width == 800


async def test_closing_the_pool_ends_rendering() -> None:
    async with RenderPool(processes=1, timeout=30, memory_mb=512) as pool:
        tasks = [asyncio.create_task(pool.render(SLOW)) for _ in range(3)]
        await busy_child()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, RenderingUnavailable)
    with pytest.raises(RenderingUnavailable):
        await pool.render(PICTURE)
    assert children() == []


@pytest.mark.parametrize("executable", ["/nowhere/python", "/bin/false"])
async def test_child_that_cannot_start_refuses_no_image(monkeypatch: pytest.MonkeyPatch, executable: str) -> None:
    async with RenderPool(processes=1, timeout=30, memory_mb=512) as pool:
        (child,) = children()
        child.kill()
        child.wait(5)
        monkeypatch.setattr(sys, "executable", executable)
        with pytest.raises(RenderingUnavailable):
            await pool.render(PICTURE)
        monkeypatch.undo()
        assert (await pool.render(PICTURE)).width == 800
    assert children() == []


async def test_child_sees_none_of_the_settings(pool: RenderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOGRAM_S3_SECRET_KEY", "secret")
    await asyncio.gather(pool.render(PICTURE), pool.render(PICTURE))
    assert len(children()) == 2
    for child in children():
        assert set(child.environ()) <= {"PATH", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH", "LC_CTYPE"}


@pytest.mark.skipif(
    sys.platform != "linux",
    reason="only Linux ends a child with its parent (PR_SET_PDEATHSIG); elsewhere it first finishes its image",
)
def test_children_die_with_a_parent_that_was_killed() -> None:
    script = (
        "import asyncio, sys\n"
        "from workers.rendering.pool import RenderPool\n"
        "async def main():\n"
        "    async with RenderPool(processes=1, timeout=60, memory_mb=512) as pool:\n"
        "        print(*(child.pid for child in pool._children), flush=True)\n"
        "        await pool.render(sys.stdin.buffer.read())\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root, env=dict(os.environ)
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.stdin.write(SLOW)
        parent.stdin.close()
        while child.cpu_times().user < 0.6:
            assert parent.poll() is None
        parent.kill()
        gone, _ = psutil.wait_procs([child], timeout=2)
        assert gone == [child]


async def test_a_slow_image_is_refused_at_once_and_the_child_goes_on() -> None:
    async with RenderPool(1, 30, 1024, max_seconds=0.01) as pool:
        (child,) = pool._children
        with pytest.raises(NeedsSlowLane):
            await pool.render(moving((400, 300), 6))
        assert (await pool.render(saved(quarters((400, 300)), "JPEG"))).width == 400
        assert pool._children == {child}


async def test_a_pool_that_is_seldom_needed_has_no_child_until_then() -> None:
    async with RenderPool(1, 30, 1024, is_seldom_needed=True) as pool:
        assert not pool._children
        assert (await pool.render(moving((400, 300), 6))).is_animated
