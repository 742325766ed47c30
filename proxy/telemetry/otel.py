"""Tracing by OpenTelemetry, over OTLP/HTTP. Imported only if tracing is on.

The SDK reads the standard `OTEL_` variables for sampling, headers and resource attributes.
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

from proxy.telemetry.tracing import Kind, SpanAttributes, Tracing

log = structlog.get_logger()

_TIMEOUT = 3  # seconds for one batch; an unavailable collector must not delay a server that stops
_W3C = TraceContextTextMapPropagator()


class _SdkLogHandler(logging.Handler):
    """Routes the SDK's log messages through structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log.warning("OpenTelemetry reported a problem", reason=record.getMessage())


class OpenTelemetry(Tracing):
    """Uses its own tracer provider, not the global one, so that two apps in one test can send to two collectors."""

    def __init__(self, endpoint: str, version: str) -> None:
        library = logging.getLogger("opentelemetry")
        library.handlers, library.propagate = [_SdkLogHandler()], False
        resource = Resource.create({"service.name": "darkroom", "service.version": version})
        self._provider = TracerProvider(
            resource=resource.merge(OTELResourceDetector().detect()), shutdown_on_exit=False
        )
        # The queue is bounded: beyond 2048 waiting spans, new ones are dropped.
        exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=_TIMEOUT)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("darkroom", version)

    @contextmanager
    def begin(self, name: str, parent: str | None, kind: Kind) -> Iterator[SpanAttributes]:
        context = _W3C.extract({"traceparent": parent} if parent else {})
        attributes: SpanAttributes = {}
        span_kind = trace.SpanKind[kind.upper()]
        with self._tracer.start_as_current_span(name, context, span_kind) as span, self._active():
            try:
                yield attributes
            finally:
                span.update_name(str(attributes.pop("name", name)))
                if "failed" in attributes:
                    span.set_status(trace.StatusCode.ERROR, str(attributes.pop("failed")))
                span.set_attributes(attributes)

    def step(self, name: str) -> AbstractContextManager[object]:
        return self._tracer.start_as_current_span(name)

    def record_stages(self, timings: Mapping[str, float], variant: str) -> None:
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
