"""What Prometheus reads of an API process besides its operations: its sockets, and what admission control does."""

from collections.abc import Callable, Iterator

from prometheus_client.core import Metric

from datasources.telemetry.metrics import counters, gauges
from resolvers.transport.admission import Admission, Lane
from resolvers.transport.websocket_route import GraphQLSocket


def read_sockets(socket: GraphQLSocket) -> Iterator[Metric]:
    """How many sockets are open, of how many."""
    yield gauges("photogram_sockets", "Open WebSockets.", (), [((), socket.open_sockets)])
    yield gauges("photogram_sockets_max", "WebSockets that a process accepts.", (), [((), socket.max_sockets)])


def read_admission(admission: Admission) -> Iterator[Metric]:
    """What each lane of admission control does."""
    lanes = admission.lanes

    def samples(value: Callable[[Lane], float]) -> list[tuple[tuple[str], float]]:
        return [((name,), value(lane)) for name, lane in lanes.items()]

    label = ("lane",)
    yield gauges("photogram_admission_cost", "Cost that runs.", label, samples(lambda lane: lane.running))
    yield gauges("photogram_admission_cost_max", "Cost that may run.", label, samples(lambda lane: lane.capacity))
    yield gauges("photogram_admission_waiting", "Operations that wait.", label, samples(lambda lane: lane.waiting))
    yield counters(
        "photogram_admission_refused", "Operations refused: BUSY.", label, samples(lambda lane: lane.refused)
    )
    yield counters("photogram_admission_waits", "Operations that waited.", label, samples(lambda lane: lane.waits))
    yield counters("photogram_admission_wait_seconds", "Time they waited.", label, samples(lambda lane: lane.waited))
