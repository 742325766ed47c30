"""Traces by OpenTelemetry, over OTLP/HTTP. Imported only when they are on.

Sampling, headers, resource attributes: by the standard's own `OTEL_` variables, which the SDK reads.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from time import time_ns

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from proxy.telemetry.tracing import Facts, Kind, Tracing

log = structlog.get_logger()

_TIMEOUT = 3  # seconds for one batch; a collector that is away must not hold up a server that stops
_W3C = TraceContextTextMapPropagator()


class _Complaints(logging.Handler):
    """What the SDK has to say goes into our log, in its format."""

    def emit(self, record: logging.LogRecord) -> None:
        log.warning("traces are not sent", reason=record.getMessage())


class OpenTelemetry(Tracing):
    """A provider of its own, not the process's global one: two apps in one test send to two collectors."""

    def __init__(self, endpoint: str, version: str) -> None:
        library = logging.getLogger("opentelemetry")
        library.handlers, library.propagate = [_Complaints()], False
        ours = Resource.create({"service.name": "darkroom", "service.version": version})
        self._provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
        # Bounded: 2048 spans wait at most, and more are dropped.
        exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=_TIMEOUT)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("darkroom", version)

    @contextmanager
    def begin(self, name: str, parent: str | None, kind: Kind) -> Iterator[Facts]:
        above = _W3C.extract({"traceparent": parent} if parent else {})
        facts: Facts = {}
        kind_of_span = trace.SpanKind[kind.upper()]
        with self._tracer.start_as_current_span(name, above, kind_of_span) as span, self._holding():
            try:
                yield facts
            finally:
                span.update_name(str(facts.pop("name", name)))
                if "failed" in facts:
                    span.set_status(trace.StatusCode.ERROR, str(facts.pop("failed")))
                span.set_attributes(facts)

    def step(self, name: str) -> AbstractContextManager[object]:
        return self._tracer.start_as_current_span(name)

    def stages(self, timings: Mapping[str, float], variant: str) -> None:
        start = time_ns() - int(sum(timings.values()) * 1e9)
        for name, seconds in timings.items():
            end = start + int(seconds * 1e9)
            self._tracer.start_span(name, start_time=start, attributes={"darkroom.variant": variant}).end(end)
            start = end

    def traceparent(self) -> str | None:
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return carrier.get("traceparent")

    def close(self) -> None:
        self._provider.shutdown()
