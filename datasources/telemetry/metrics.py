"""What a process counts of its work, and how Prometheus reads it.

To count is to add to a plain number, by the event loop's thread alone: no lock, and some hundred nanoseconds. The
families of prometheus-client are made when somebody scrapes. Labels come from closed sets; the one that clients choose,
the name of an operation, is bounded by `resolvers/transport/operation_metrics.py`.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
LONG_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)
COSTS = (1, 5, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000)

Labels = tuple[str, ...]
Samples = Iterable[tuple[Labels, float]]


class Tally(Collector):
    """A counter for each combination of labels. `name` has no `_total`; Prometheus adds it."""

    def __init__(self, name: str, about: str, *labels: str) -> None:
        self._name, self._about, self._labels = name, about, labels
        self._values: defaultdict[Labels, float] = defaultdict(float)
        REGISTRY.register(self)

    def add(self, *labels: str, by: float = 1) -> None:
        """Adds to the counter of these labels."""
        self._values[labels] += by

    def remove(self, first: str) -> None:
        """Drops the counters whose first label is this one."""
        for labels in [each for each in self._values if each[0] == first]:
            del self._values[labels]

    def collect(self) -> Iterator[Metric]:
        yield counters(self._name, self._about, self._labels, list(self._values.items()))


class Distribution(Collector):
    """A histogram for each combination of labels; `bounds` are the upper ends of its buckets."""

    def __init__(self, name: str, about: str, *labels: str, bounds: Sequence[float]) -> None:
        self._name, self._about, self._labels = name, about, labels
        self._bounds = bounds
        self._rows: dict[Labels, list[float]] = {}  # the number in each bucket, and at the end the sum
        REGISTRY.register(self)

    def add(self, value: float, *labels: str) -> None:
        """Adds a value to the histogram of these labels."""
        row = self._rows.get(labels)
        if row is None:
            row = self._rows[labels] = [0.0] * (len(self._bounds) + 2)
        row[bisect_left(self._bounds, value)] += 1
        row[-1] += value

    def remove(self, first: str) -> None:
        """Drops the histograms whose first label is this one."""
        for labels in [each for each in self._rows if each[0] == first]:
            del self._rows[labels]

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._about, labels=self._labels)
        for labels, row in list(self._rows.items()):
            *numbers, total = row
            reached, buckets = 0.0, list[tuple[str, float]]()
            for bound, number in zip((*self._bounds, float("inf")), numbers, strict=True):
                reached += number
                buckets.append(("+Inf" if bound == float("inf") else str(bound), reached))
            family.add_metric(labels, buckets, total)
        yield family


class Reading(Collector):
    """Families that a function makes at each scrape, of what a part of the process knows by itself.

    The function runs in another thread than the event loop's: it reads numbers and copies of containers.
    """

    def __init__(self, read: Callable[[], Iterable[Metric]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        return self._read()


@contextmanager
def readings(*reads: Callable[[], Iterable[Metric]]) -> Iterator[None]:
    """Shows what these functions read during the block."""
    collectors = [Reading(read) for read in reads]
    for collector in collectors:
        REGISTRY.register(collector)
    try:
        yield
    finally:
        for collector in collectors:
            REGISTRY.unregister(collector)


def gauges(name: str, about: str, labels: Sequence[str], samples: Samples) -> GaugeMetricFamily:
    """One family of values that go up and down."""
    family = GaugeMetricFamily(name, about, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def counters(name: str, about: str, labels: Sequence[str], samples: Samples) -> CounterMetricFamily:
    """One family of values that only grow."""
    family = CounterMetricFamily(name, about, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def one_label(values: Mapping[str, float]) -> Samples:
    """The samples of a family with one label."""
    return [((label,), value) for label, value in list(values.items())]
