"""Traces by OpenTelemetry, from a request through its jobs to what they do. Off unless `open_tracing` turns them on.

A trace begins with a request, and is sampled then. What is enqueued meanwhile carries its `traceparent`, in the job's
message and in the fact's outbox, so that the worker's part joins it. Off, each function here is one comparison.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from config import Settings

if TYPE_CHECKING:
    from opentelemetry.trace import Link, Span, Tracer

QUEUED_MAX = 2_048  # spans that wait to be sent; more are dropped
EXPORT_SECONDS = 5.0
LINKS_MAX = 100  # jobs of a call that are linked to it, after the first
TRACEPARENT = "traceparent"  # the field of a message or a fact


class Tracing:
    """The tracer of this process."""

    tracer: "Tracer | None" = None


class TracedPart:
    """A part of a trace, or of none."""

    __slots__ = ("_span",)

    def __init__(self, span: "Span | None" = None) -> None:
        self._span = span

    def set(self, **attributes: str | int | bool | None) -> None:
        """Adds what is known by now; None is left out."""
        if self._span is not None:
            given = {f"photogram.{name}": value for name, value in attributes.items() if value is not None}
            self._span.set_attributes(given)

    def fail(self, reason: str) -> None:
        """Says that this part failed."""
        if self._span is not None:
            from opentelemetry.trace import StatusCode  # noqa: PLC0415

            self._span.set_status(StatusCode.ERROR, reason)


UNTRACED = TracedPart()
_OFF = contextlib.nullcontext(UNTRACED)


def operation_part(
    name: str | None, kind: str, traceparent: str | None = None
) -> contextlib.AbstractContextManager[TracedPart]:
    """The part of an operation that a client asked for: the beginning of a trace.

    The client's own `traceparent` is linked and not joined: who is traced is not for clients to say.
    """
    if Tracing.tracer is None:
        return _OFF
    return _operation_part(Tracing.tracer, f"{kind} {name}" if name else kind, traceparent)


def call_part(
    task: str, fact: str, traceparents: Sequence[str | None]
) -> contextlib.AbstractContextManager[TracedPart]:
    """The part of a call of a handler, in the trace of the first of its jobs that has one, linked to the others'."""
    if Tracing.tracer is None or not any(traceparents):
        return _OFF
    return _call_part(Tracing.tracer, f"{task} {fact}", [each for each in traceparents if each])


def current_traceparent() -> str | None:
    """The place in the trace of what runs now, as W3C writes it; None if it is not traced."""
    if Tracing.tracer is None:
        return None
    from opentelemetry.trace import get_current_span  # noqa: PLC0415

    here = get_current_span().get_span_context()
    if not here.is_valid or not here.trace_flags.sampled:
        return None
    return f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags:02x}"


@contextlib.asynccontextmanager
async def open_tracing(settings: Settings, service: str) -> AsyncIterator[None]:
    """Traces during the block, if the settings say where to. At its end it sends what waits, for some seconds."""
    if settings.trace_endpoint is None:
        yield
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415

    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.trace_sample)),
        resource=Resource.create({"service.name": f"photogram-{service}"}),
        shutdown_on_exit=False,
    )
    exporter = OTLPSpanExporter(settings.trace_endpoint, timeout=EXPORT_SECONDS)
    provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=QUEUED_MAX, export_timeout_millis=EXPORT_SECONDS * 1000)
    )
    Tracing.tracer = provider.get_tracer("photogram")
    try:
        yield
    finally:
        Tracing.tracer = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EXPORT_SECONDS):
                await asyncio.to_thread(provider.shutdown)


@contextlib.contextmanager
def _operation_part(tracer: "Tracer", name: str, traceparent: str | None) -> Iterator[TracedPart]:
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace import SpanKind  # noqa: PLC0415

    links = _links([traceparent] if traceparent else [])
    yield from _part(tracer.start_span(name, Context(), kind=SpanKind.SERVER, links=links))


@contextlib.contextmanager
def _call_part(tracer: "Tracer", name: str, traceparents: Sequence[str]) -> Iterator[TracedPart]:
    from opentelemetry.trace import SpanKind  # noqa: PLC0415

    first, *others = traceparents
    kind, links = SpanKind.CONSUMER, _links(list(dict.fromkeys(others))[:LINKS_MAX])
    yield from _part(tracer.start_span(name, _context_of(first), kind=kind, links=links))


def _part(span: "Span") -> Iterator[TracedPart]:
    """Of an exception it says the type alone: messages may quote what a client sent."""
    from opentelemetry.trace import use_span  # noqa: PLC0415

    part = TracedPart(span)
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield part
        except Exception as error:
            part.fail(type(error).__name__)
            raise


def _links(traceparents: Iterable[str]) -> "list[Link]":
    from opentelemetry.trace import Link, get_current_span  # noqa: PLC0415

    places = [get_current_span(_context_of(each)).get_span_context() for each in traceparents]
    return [Link(place) for place in places if place.is_valid]


def _context_of(traceparent: str) -> Any:
    """The context that a `traceparent` names; an empty one if it is malformed."""
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    return TraceContextTextMapPropagator().extract({TRACEPARENT: traceparent}, Context())
