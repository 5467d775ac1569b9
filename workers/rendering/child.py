"""A process that only renders: it reads images from standard input and writes answers to standard output.

`workers.rendering.pool` starts it as `python -m workers.rendering.child MEMORY_MB CPU_SECONDS NICENESS`. It limits
itself: its memory, the processor time of one image, no files, no core dumps. It ends when its input ends; on Linux also
when its parent dies in any way.
"""

import ctypes
import gc
import os
import resource
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import BinaryIO

from domain.errors import Refusal
from workers.rendering.expected_time import NeedsSlowLane
from workers.rendering.pipeline import renderings
from workers.rendering.protocol import LENGTH, READY, Answer, Failed, Refused, Request, Slow, decode_request, encode

_PR_SET_PDEATHSIG = 1


def main(memory_mb: int, cpu_seconds: int, niceness: int) -> None:
    """Renders one image after the other until the input ends."""
    with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # output that a library prints must not mix with the answers
        _limit_process(memory_mb, niceness)
        _send(answers, READY)
        while (request := _receive(requests)) is not None and (data := _receive(requests)) is not None:
            _limit_cpu(cpu_seconds)
            for answer in _answers(data, decode_request(request)):
                _send(answers, encode(answer))


def _limit_process(memory_mb: int, niceness: int) -> None:
    for interruption in (signal.SIGINT, signal.SIGTERM):  # only the parent ends a child: it closes the pipe, or SIGKILL
        signal.signal(interruption, signal.SIG_IGN)
    os.nice(niceness)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before this call
            sys.exit(1)
        resource.setrlimit(resource.RLIMIT_AS, (memory_mb * 1024 * 1024,) * 2)


def _limit_cpu(seconds: int) -> None:
    """Makes SIGXCPU end this process after `seconds` more of processor time, even in the middle of C code."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime)
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds + 1, resource.RLIM_INFINITY))


def _answers(data: bytes, request: Request) -> Iterator[Answer]:
    """An answer for each pass; none follows one that is not Rendered."""
    try:
        yield from renderings(data, *request.passes, max_seconds=request.max_seconds)
    except NeedsSlowLane as error:
        yield Slow(error.seconds)
    except Refusal as refusal:
        yield Refused(refusal.code, refusal.message)
    except MemoryError:
        gc.collect()
        yield Failed("memory", "the image needs more memory than a child may have")
    except Exception:  # noqa: BLE001  the parent reports any error that an image causes
        yield Failed("error", traceback.format_exc())


def _receive(requests: BinaryIO) -> bytes | None:
    head = requests.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    data = requests.read(length)
    return data if len(data) == length else None


def _send(answers: BinaryIO, payload: bytes) -> None:
    answers.write(LENGTH.pack(len(payload)))
    answers.write(payload)
    answers.flush()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
