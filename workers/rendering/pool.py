"""Renders images in child processes, so that a bad image harms neither the worker nor another image.

Each child has its own pipes. (In `concurrent.futures` and Pebble all children share a pipe and a lock: killing one at
the wrong moment breaks all of them. Both also load the parent's main module into every child.)
"""

import asyncio
import math
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Self, TypeVar

import structlog

from domain.errors import Refusal, UserErrorCode
from workers.rendering.expected_time import NeedsSlowLane
from workers.rendering.protocol import LENGTH, Answer, Failed, Refused, Request, Slow, decode_answer, encode
from workers.rendering.rendered import USUAL, Formats, Rendered
from workers.runtime.freeze_detector import FreezeDetector

_START_TIMEOUT = 30.0
_EXIT_TIMEOUT = 2.0
_READ_AHEAD = 4 * 1024 * 1024
_MAX_ANSWER_BYTES = 256 * 1024 * 1024
_ROOT = Path(__file__).resolve().parents[2]
_CRASHES = {-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT, -signal.SIGFPE, -signal.SIGILL}
_UNREADABLE = "We could not read this image. Try saving it again in another program."
_TOO_SLOW = "This image takes too long to process. Try a smaller one."
_TOO_BIG = "This image needs too much memory. Try a smaller one."

BELOW_THE_API = 5  # niceness: an API on the same machine comes first
BELOW_OTHER_IMAGES = 10
BELOW_ALL = 15
Result = TypeVar("Result")

log = structlog.get_logger(__name__)


class RenderingUnavailable(Exception):
    """No child can be started, or the pool is closed. The image is not at fault: retry later."""


class _ChildLost(Exception):
    """The child ended while it rendered an image."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"a rendering child ended with {code}")
        self.code = code


class RenderPool:
    """Renders at most `processes` images at a time; further images wait.

    An image may take `timeout` seconds, `cpu_seconds` of processor time (default: half of `timeout`) and `memory_mb`
    MiB of address space. A higher `niceness` gives the children lower priority. An image that is expected to take more
    than `max_seconds` is refused with NeedsSlowLane. Children start when they are needed; only the first starts at
    once, to detect errors early, unless `is_seldom_needed`.
    """

    def __init__(
        self,
        processes: int,
        timeout: float,
        memory_mb: int,
        *,
        cpu_seconds: float | None = None,
        niceness: int = BELOW_THE_API,
        max_seconds: float | None = None,
        is_seldom_needed: bool = False,
    ) -> None:
        self._timeout = timeout
        self._niceness = niceness
        self._max_seconds = max_seconds
        self._is_seldom_needed = is_seldom_needed
        self._cpu_seconds = math.ceil(cpu_seconds or timeout / 2)
        self._memory_mb = memory_mb
        self._children: set[Process] = set()
        self._idle: asyncio.LifoQueue[Process | None] = asyncio.LifoQueue()
        self._is_closed = True
        self._freezes = FreezeDetector()
        for _ in range(processes):
            self._idle.put_nowait(None)

    async def __aenter__(self) -> Self:
        self._is_closed = False
        self._freezes.start()
        if not self._is_seldom_needed:
            await self._idle.get()
            self._idle.put_nowait(await self._start())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Kills the children; images in progress end with RenderingUnavailable."""
        self._is_closed = True
        self._freezes.stop()
        for child in list(self._children):
            await self._end(child)

    async def render(self, data: bytes, formats: Formats = USUAL) -> Rendered:
        """Makes all renditions in these formats in one pass of `renderings`."""
        async with self.renderings(data, formats) as results:
            return await anext(results)

    @asynccontextmanager
    async def renderings(self, data: bytes, *passes: Formats) -> AsyncIterator[AsyncIterator[Rendered]]:
        """Decodes an image once and renders one pass after the other, even while the caller uses an earlier result.

        Safe to repeat. Leaving the block early, or cancellation in it, kills the child. The iterator raises:

        - Refusal if the image is at fault. That includes an image that crashes or hangs a child, or takes too much time
          or memory. If a child is killed from outside, another one tries the image once more before it is refused.
        - NeedsSlowLane if the image is expected to take more than `max_seconds`.
        - RenderingUnavailable if no child can be started, or if a child was late because this process was frozen.
        """
        results: asyncio.Queue[Rendered | Exception] = asyncio.Queue()

        async def render_all() -> None:
            try:
                async with aclosing(self._renderings(data, passes)) as renderings:
                    async for rendered in renderings:
                        results.put_nowait(rendered)
            except Exception as error:  # noqa: BLE001  the iterator raises it
                results.put_nowait(error)

        task = asyncio.create_task(render_all())
        try:
            yield _iterate(results)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _renderings(self, data: bytes, passes: Sequence[Formats]) -> AsyncGenerator[Rendered, None]:
        done = 0
        for is_last in (False, True):
            try:
                async with aclosing(self._attempt(data, passes[done:])) as renderings:
                    async for rendered in renderings:
                        done += 1
                        yield rendered
            except _ChildLost as lost:
                self._refuse_or_retry(lost, data, is_last=is_last)
            else:
                return

    def _refuse_or_retry(self, lost: _ChildLost, data: bytes, *, is_last: bool) -> None:
        """Raises Refusal if the image is at fault; on the last attempt it always counts as at fault."""
        if lost.code in _CRASHES:
            log.warning("image_crashed_child", exit_code=lost.code, byte_size=len(data))
            raise Refusal(UserErrorCode.IMAGE_CORRUPT, _UNREADABLE) from lost
        if lost.code == -signal.SIGXCPU:
            raise Refusal(UserErrorCode.TOO_MANY_PIXELS, _TOO_SLOW) from lost
        log.warning("render_child_killed", exit_code=lost.code, byte_size=len(data), twice=is_last)
        if is_last:
            raise Refusal(UserErrorCode.IMAGE_CORRUPT, _UNREADABLE) from lost

    async def _attempt(self, data: bytes, passes: Sequence[Formats]) -> AsyncGenerator[Rendered, None]:
        child = await self._idle.get()
        is_healthy = False
        try:
            if child is None or child.returncode is not None:
                child = await self._start()
            limit = asyncio.get_running_loop().time() + self._timeout, self._freezes.count
            await self._with_child(child, limit, _send(child, data, passes, self._max_seconds))
            for passes_left in reversed(range(len(passes))):
                answer: Answer = decode_answer(await self._with_child(child, limit, _read(child)))
                is_healthy = isinstance(answer, Refused | Slow) or (isinstance(answer, Rendered) and not passes_left)
                yield _rendered(answer, len(data))
        finally:
            try:
                if child is not None and not is_healthy:
                    await self._end(child)
            finally:
                self._idle.put_nowait(child if is_healthy else None)

    async def _with_child(self, child: Process, limit: tuple[float, int], exchange: Awaitable[Result]) -> Result:
        """Exchanges frames with a child until the deadline; `limit` has the number of freezes when it was set, too.

        Raises _ChildLost if the child dies, hangs or sends too large an answer.
        """
        deadline, freezes = limit
        try:
            async with asyncio.timeout_at(deadline):
                return await exchange
        except TimeoutError:
            if freezes != self._freezes.count:
                raise RenderingUnavailable("this process was frozen while an image was rendered") from None
            raise _ChildLost(None) from None
        except (EOFError, ConnectionError) as error:
            # The child is dying. Killing it before asyncio has noticed would lose its exit code.
            with suppress(TimeoutError):
                await asyncio.wait_for(child.wait(), _EXIT_TIMEOUT)
            raise _ChildLost(child.returncode) from error

    async def _start(self) -> Process:
        if self._is_closed:
            raise RenderingUnavailable("the rendering pool is closed")
        limits = map(str, (self._memory_mb, self._cpu_seconds, self._niceness))
        command = (sys.executable, "-P", "-m", "workers.rendering.child", *limits)
        try:
            child = await asyncio.create_subprocess_exec(
                *command,
                stdin=PIPE,
                stdout=PIPE,
                env=_environment(),
                start_new_session=True,  # Ctrl-C at the terminal must not reach the child
                limit=_READ_AHEAD,
            )
        except OSError as error:
            raise RenderingUnavailable(f"no rendering child can be started: {error}") from error
        self._children.add(child)
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                await _read(child)
        except (TimeoutError, EOFError, ConnectionError) as error:
            await self._end(child)
            raise RenderingUnavailable(f"a rendering child did not start, exit code {child.returncode}") from error
        except BaseException:
            await self._end(child)
            raise
        return child

    async def _end(self, child: Process) -> None:
        """Kills a child if it still runs, and waits for its end; safe to repeat."""
        self._children.discard(child)
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
        await child.wait()


async def _iterate(results: asyncio.Queue[Rendered | Exception]) -> AsyncIterator[Rendered]:
    while True:
        result = await results.get()
        if isinstance(result, Exception):
            raise result
        yield result


def _rendered(answer: Answer, byte_size: int) -> Rendered:
    """The answer of a child that succeeded. Raises Refusal if it failed, NeedsSlowLane if it did not begin."""
    if isinstance(answer, Slow):
        raise NeedsSlowLane(answer.seconds)
    if isinstance(answer, Refused):
        raise Refusal(answer.code, answer.message)
    if isinstance(answer, Failed):
        log.error("rendering_failed", reason=answer.reason, detail=answer.detail, byte_size=byte_size)
        if answer.reason == "memory":
            raise Refusal(UserErrorCode.TOO_MANY_PIXELS, _TOO_BIG)
        raise Refusal(UserErrorCode.IMAGE_CORRUPT, _UNREADABLE)
    return answer


async def _send(child: Process, data: bytes, passes: Sequence[Formats], max_seconds: float | None) -> None:
    assert child.stdin is not None  # noqa: S101  it was started with pipes
    request = Request([list(formats) for formats in passes], max_seconds)
    for frame in (encode(request), data):
        child.stdin.write(LENGTH.pack(len(frame)))
        child.stdin.write(frame)
    await child.stdin.drain()


async def _read(child: Process) -> bytes:
    assert child.stdout is not None  # noqa: S101  it was started with pipes
    (length,) = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))
    if length > _MAX_ANSWER_BYTES:
        raise EOFError
    return await child.stdout.readexactly(length)


def _environment() -> dict[str, str]:
    """What Python needs to start, without the settings: an image that takes over a child finds no secrets."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "PYTHONPATH": str(_ROOT)}
