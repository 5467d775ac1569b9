"""What something took: time, and processor time of this process and of MongoDB."""

import time
from collections.abc import Sequence
from functools import cache

import msgspec
import psutil

from benchmarks.lib.report import median, times
from tests.support.api_process import cpu_seconds


class Load(msgspec.Struct, frozen=True):
    """How often something was done, in how many seconds, and the processor seconds of this process and of MongoDB."""

    done: int
    seconds: float
    own_cpu: float
    mongo_cpu: float

    @property
    def cpu(self) -> float:
        """Processor seconds each time, ours and MongoDB's."""
        return (self.own_cpu + self.mongo_cpu) / self.done

    @property
    def rate(self) -> float:
        """Times a second."""
        return self.done / self.seconds


@cache
def mongod() -> psutil.Process:
    """The process that `servers` has started."""
    return _child("mongod")


@cache
def valkey() -> psutil.Process:
    """The process that `servers` has started."""
    return _child("valkey-server")


def _child(name: str) -> psutil.Process:
    return next(child for child in psutil.Process().children() if child.name() == name)


class Stopwatch:
    """Measures what happens between its making and `load`."""

    def __init__(self) -> None:
        self._mongod = mongod()
        self._mongo_cpu = cpu_seconds(self._mongod)
        self._own_cpu = time.process_time()
        self._started = time.perf_counter()

    def load(self, done: int) -> Load:
        """The load since the stopwatch was made, in which something was done so often."""
        seconds = time.perf_counter() - self._started
        return Load(done, seconds, time.process_time() - self._own_cpu, cpu_seconds(self._mongod) - self._mongo_cpu)


def load_row(
    name: str, loads: Sequence[Load], bases: Sequence[Load], *, unit: float = 1e3, digits: int = 2
) -> list[str]:
    """A table's row: rate, processor time each, ours and MongoDB's, and both against what ran in the same rounds."""
    return [
        name,
        f"{median([load.rate for load in loads]):,.0f}",
        f"{median([load.own_cpu / load.done for load in loads]) * unit:.{digits}f}",
        f"{median([load.mongo_cpu / load.done for load in loads]) * unit:.{digits}f}",
        times([load.rate for load in loads], [load.rate for load in bases]),
        times([load.cpu for load in loads], [load.cpu for load in bases]),
    ]


def costs_of(loads: Sequence[Load]) -> dict[str, float]:
    """Processor milliseconds each time, a worker's and MongoDB's: the medians, for the file of unit costs."""
    return {
        "worker_ms": median([load.own_cpu / load.done for load in loads]) * 1000,
        "mongodb_ms": median([load.mongo_cpu / load.done for load in loads]) * 1000,
    }
