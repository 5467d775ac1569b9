"""Renders images in child processes, so that a bad one costs neither the worker nor another image.

Each child has pipes of its own. (`concurrent.futures` and Pebble share one pipe and one lock among all children: one
killed at the wrong moment takes the others along, and both load the parent's main module into every child.)
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
from types import TracebackType
from typing import Self, TypeVar

import structlog

from domain.errors import Refusal, UserErrorCode
from workers.rendering.expected_time import NeedsSlowLane
from workers.rendering.protocol import LENGTH, Answer, Failed, Refused, Request, Slow, decode_answer, encode_request
from workers.rendering.rendered import USUAL, Formats, Rendered
from workers.runtime.freeze_detector import FreezeDetector

_START_TIMEOUT = 30.0
_LAST_BREATH = 2.0
_READ_AHEAD = 4 * 1024 * 1024
_LONGEST_ANSWER = 256 * 1024 * 1024
_ROOT = Path(__file__).resolve().parents[2]
_OWN_FAULT = {-signal.SIGSEGV, -signal.SIGBUS, -signal.SIGABRT, -signal.SIGFPE, -signal.SIGILL}
_UNREADABLE = "We could not read this image. Try saving it again in another program."
_TOO_SLOW = "This image takes too long to process. Try a smaller one."
_TOO_BIG = "This image needs too much memory. Try a smaller one."

BELOW_THE_API = 5  # on the same machine it goes first
BELOW_OTHER_IMAGES = 10
BELOW_ALL = 15
Result = TypeVar("Result")

log = structlog.get_logger(__name__)


class RenderingUnavailable(Exception):
    """Children cannot be started, or the pool is closed: no image's fault, and worth another try later."""


class _ChildLost(Exception):
    """The child ended in the middle of an image."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"a rendering child ended with {code}")
        self.code = code


class RenderPool:
    """At most `processes` images at a time; further ones wait.

    One image may take `timeout` seconds, `cpu_seconds` of them computing (half, unless given), and `memory_mb` MiB of
    address space. The children give way to other processes, the more the higher their `niceness`. An image expected to
    take more than `max_seconds` is turned away. One child is started at once, to find out early whether that works,
    unless the pool is seldom needed; the others start when needed.
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
        self._closed = True
        self._freezes = FreezeDetector()
        for _ in range(processes):
            self._idle.put_nowait(None)

    async def __aenter__(self) -> Self:
        self._closed = False
        self._freezes.start()
        if not self._is_seldom_needed:
            await self._idle.get()
            self._idle.put_nowait(await self._start())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kills the children; images in work end with RenderingUnavailable."""
        self._closed = True
        self._freezes.stop()
        for child in list(self._children):
            await self._end(child)

    async def render(self, data: bytes, formats: Formats = USUAL) -> Rendered:
        """All renditions in these formats at once; as `renderings`."""
        async with self.renderings(data, formats) as answers:
            return await anext(answers)

    @asynccontextmanager
    async def renderings(self, data: bytes, *passes: Formats) -> AsyncIterator[AsyncIterator[Rendered]]:
        """Renders an image, decoded once, in one pass after the other, without waiting for what is done with them.

        Safe to repeat. Leaving the block early, or being cancelled in it, kills the child. Iterating raises Refusal if
        the image is at fault: also if it crashes or hangs a child, or takes too much time or memory. A child that was
        killed from outside is replaced and the image tried once more before it is refused. Raises NeedsSlowLane, and
        RenderingUnavailable if no child can be had, or if it was late because this process stood still.
        """
        made: asyncio.Queue[Rendered | Exception] = asyncio.Queue()

        async def make() -> None:
            try:
                async with aclosing(self._renderings(data, passes)) as answers:
                    async for answer in answers:
                        made.put_nowait(answer)
            except Exception as error:  # noqa: BLE001  it is raised where the answer is awaited
                made.put_nowait(error)

        making = asyncio.create_task(make())
        try:
            yield _taken(made)
        finally:
            making.cancel()
            await asyncio.gather(making, return_exceptions=True)

    async def _renderings(self, data: bytes, passes: Sequence[Formats]) -> AsyncGenerator[Rendered, None]:
        given = 0
        for is_last in (False, True):
            try:
                async with aclosing(self._attempt(data, passes[given:])) as answers:
                    async for answer in answers:
                        given += 1
                        yield answer
            except _ChildLost as lost:
                self._refuse_or_retry(lost, data, is_last=is_last)
            else:
                return

    def _refuse_or_retry(self, lost: _ChildLost, data: bytes, *, is_last: bool) -> None:
        """Raises Refusal unless the child was lost by no fault of the image, for all one knows."""
        if lost.code in _OWN_FAULT:
            log.warning("image_crashed_child", exit_code=lost.code, byte_size=len(data))
            raise Refusal(UserErrorCode.IMAGE_CORRUPT, _UNREADABLE) from lost
        if lost.code == -signal.SIGXCPU:
            raise Refusal(UserErrorCode.TOO_MANY_PIXELS, _TOO_SLOW) from lost
        log.warning("render_child_killed", exit_code=lost.code, byte_size=len(data), twice=is_last)
        if is_last:
            raise Refusal(UserErrorCode.IMAGE_CORRUPT, _UNREADABLE) from lost

    async def _attempt(self, data: bytes, passes: Sequence[Formats]) -> AsyncGenerator[Rendered, None]:
        child = await self._idle.get()
        healthy = False
        try:
            if child is None or child.returncode is not None:
                child = await self._start()
            until = asyncio.get_running_loop().time() + self._timeout, self._freezes.count
            await self._with_child(child, until, _ask(child, data, passes, self._max_seconds))
            for left in reversed(range(len(passes))):
                answer: Answer = decode_answer(await self._with_child(child, until, _read(child)))
                healthy = isinstance(answer, Refused | Slow) or (isinstance(answer, Rendered) and not left)
                yield _rendered(answer, len(data))
        finally:
            try:
                if child is not None and not healthy:
                    await self._end(child)
            finally:
                self._idle.put_nowait(child if healthy else None)

    async def _with_child(self, child: Process, until: tuple[float, int], exchange: Awaitable[Result]) -> Result:
        """Exchanges frames with a child. `until` is the time limit, and the number of freezes when it was set.

        Raises _ChildLost if it dies, hangs or answers too much.
        """
        moment, freezes = until
        try:
            async with asyncio.timeout_at(moment):
                return await exchange
        except TimeoutError:
            if freezes != self._freezes.count:
                raise RenderingUnavailable("this process stood still while an image was rendered") from None
            raise _ChildLost(None) from None
        except (EOFError, ConnectionError) as error:
            # It is dying: killing it before asyncio has noticed would lose its exit code.
            with suppress(TimeoutError):
                await asyncio.wait_for(child.wait(), _LAST_BREATH)
            raise _ChildLost(child.returncode) from error

    async def _start(self) -> Process:
        if self._closed:
            raise RenderingUnavailable("the rendering pool is closed")
        try:
            child = await self._spawn()
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

    async def _spawn(self) -> Process:
        limits = map(str, (self._memory_mb, self._cpu_seconds, self._niceness))
        command = ("-P", "-m", "workers.rendering.child", *limits)
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            stdin=PIPE,
            stdout=PIPE,
            env=_environment(),
            start_new_session=True,  # Ctrl-C at the terminal is for the parent
            limit=_READ_AHEAD,
        )

    async def _end(self, child: Process) -> None:
        """Kills a child, if it still lives, and waits until it is gone; safe to repeat."""
        self._children.discard(child)
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
        await child.wait()


async def _taken(made: asyncio.Queue[Rendered | Exception]) -> AsyncIterator[Rendered]:
    while True:
        answer = await made.get()
        if isinstance(answer, Exception):
            raise answer
        yield answer


def _rendered(answer: Answer, byte_size: int) -> Rendered:
    """What was asked for. Raises Refusal if the child could not make it, NeedsSlowLane if it did not begin."""
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


async def _ask(child: Process, data: bytes, passes: Sequence[Formats], max_seconds: float | None) -> None:
    assert child.stdin is not None  # noqa: S101  it was started with pipes
    request = Request([list(formats) for formats in passes], max_seconds)
    for frame in (encode_request(request), data):
        child.stdin.write(LENGTH.pack(len(frame)))
        child.stdin.write(frame)
    await child.stdin.drain()


async def _read(child: Process) -> bytes:
    assert child.stdout is not None  # noqa: S101  it was started with pipes
    (length,) = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))
    if length > _LONGEST_ANSWER:
        raise EOFError
    return await child.stdout.readexactly(length)


def _environment() -> dict[str, str]:
    """What Python needs to start, and none of the settings: a child that an image took over finds no secret."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "PYTHONPATH": str(_ROOT)}
