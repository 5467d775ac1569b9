"""A process that does nothing but render: images come in on standard input, answers leave on standard output.

Started by `workers.rendering.pool` as `python -m workers.rendering.child MEMORY_MB CPU_SECONDS NICENESS`. It keeps its
limits itself: memory, processor time for one image, no files, no core dumps. It ends when its input does, and on Linux
with its parent, however that died.
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
from workers.rendering.protocol import (
    LENGTH,
    READY,
    Answer,
    Failed,
    Refused,
    Request,
    Slow,
    decode_request,
    encode_answer,
)

_PR_SET_PDEATHSIG = 1


def main(memory_mb: int, cpu_seconds: int, niceness: int) -> None:
    """Serves until the input ends."""
    with os.fdopen(os.dup(0), "rb") as requests, os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # whatever a library prints must not reach the answers
        _stay_in_bounds(memory_mb, niceness)
        _send(answers, READY)
        while (request := _receive(requests)) is not None and (data := _receive(requests)) is not None:
            _limit_cpu(cpu_seconds)
            for answer in _answers(data, decode_request(request)):
                _send(answers, encode_answer(answer))


def _stay_in_bounds(memory_mb: int, niceness: int) -> None:
    for interruption in (signal.SIGINT, signal.SIGTERM):  # the parent decides, by closing the pipe or by SIGKILL
        signal.signal(interruption, signal.SIG_IGN)
    os.nice(niceness)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before it was watched
            sys.exit(1)
        resource.setrlimit(resource.RLIMIT_AS, (memory_mb * 1024 * 1024,) * 2)


def _limit_cpu(seconds: int) -> None:
    """Lets SIGXCPU end this process once it has computed for `seconds` more: no C code can put that off."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = int(usage.ru_utime + usage.ru_stime)
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds + 1, resource.RLIM_INFINITY))


def _answers(data: bytes, request: Request) -> Iterator[Answer]:
    """An answer for each pass; the first one that is no picture is the last."""
    try:
        yield from renderings(data, *request.passes, max_seconds=request.max_seconds)
    except NeedsSlowLane as error:
        yield Slow(error.seconds)
    except Refusal as refusal:
        yield Refused(refusal.code, refusal.message)
    except MemoryError:
        gc.collect()
        yield Failed("memory", "the image needs more memory than a child may have")
    except Exception:  # noqa: BLE001  whatever an image sets off, the parent is to hear of it
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
