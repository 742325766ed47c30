"""Tracing from the edge to the worker. Off, with nothing imported, unless a collector is configured.

`Tracing.begin` starts a root span. `step` adds a child span to the current trace, which a context variable carries into
tasks too; without a current trace it does nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Literal

import structlog

log = structlog.get_logger()

SpanAttributes = dict[str, str | int | float]
"""Attributes of a root span, which the caller fills before it ends. Two keys are special: `name` renames the span,
`failed` marks it as failed for that reason."""

Kind = Literal["server", "consumer"]


class Tracing:
    """Tracing that is off, and the interface of `otel.OpenTelemetry`."""

    def begin(self, name: str, parent: str | None, kind: Kind) -> AbstractContextManager[SpanAttributes]:  # noqa: ARG002 - the port has it
        """Starts a root span, or a child of `parent`, a W3C `traceparent`."""
        return nullcontext({})

    def step(self, name: str) -> AbstractContextManager[object]:  # noqa: ARG002 - the port has it
        """Makes the block a child span of the current span."""
        return nullcontext()

    def record_stages(self, timings: Mapping[str, float], variant: str) -> None:
        """Records consecutive steps that have just ended. `timings`: seconds by name, in order."""

    def traceparent(self) -> str | None:
        """Returns the W3C `traceparent` of the current span; None without one."""
        return None

    def close(self) -> None:
        """Sends pending spans. Blocks for a few seconds at most."""

    @contextmanager
    def _active(self) -> Iterator[None]:
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


OFF = Tracing()

_current: ContextVar[Tracing] = ContextVar("tracing", default=OFF)


def open_tracing(endpoint: str | None, version: str) -> Tracing:
    """Returns the tracing to use. Without the extra `otel`, logs a warning and turns tracing off.

    `endpoint`: base URL of an OTLP/HTTP collector; None turns tracing off.
    """
    if endpoint is None:
        return OFF
    try:
        from proxy.telemetry.otel import OpenTelemetry  # noqa: PLC0415 - an optional extra
    except ImportError:
        log.warning(
            "tracing disabled",
            reason="OTEL_EXPORTER_OTLP_ENDPOINT is set, but darkroom-origin[otel] is not installed",
        )
        return OFF
    return OpenTelemetry(endpoint, version)


def step(name: str) -> AbstractContextManager[object]:
    """Adds a child span to the current trace for the block."""
    return _current.get().step(name)


def record_stages(timings: Mapping[str, float], variant: str) -> None:
    """Records consecutive steps of the current trace that have just ended. `timings`: seconds by name, in order."""
    _current.get().record_stages(timings, variant)


def traceparent() -> str | None:
    """Returns the W3C `traceparent` of the current span, to continue the trace in another process."""
    return _current.get().traceparent()
