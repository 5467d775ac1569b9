"""A collector of traces: an HTTP server that takes them by OTLP."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Part(NamedTuple):
    """One span that was sent."""

    service: str
    name: str
    trace: bytes
    id: bytes
    parent: bytes
    links: list[bytes]
    attributes: dict[str, Any]
    failure: str | None


class Collector:
    """What was sent so far, and where to send it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1/traces"
        self.parts: list[Part] = []

    def take(self, body: bytes) -> None:
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = next(each.value.string_value for each in group.resource.attributes if each.key == "service.name")
            self.parts += [_part(service, span) for scope in group.scope_spans for span in scope.spans]


def _part(service: str, span: Any) -> Part:
    attributes = {
        each.key.removeprefix("photogram."): getattr(each.value, each.value.WhichOneof("value"))
        for each in span.attributes
    }
    failure = span.status.message if span.status.code == 2 else None
    links = [link.trace_id for link in span.links]
    return Part(service, span.name, span.trace_id, span.span_id, span.parent_span_id, links, attributes, failure)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Collects during the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
