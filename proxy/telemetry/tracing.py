"""Traces: what took how long, from the edge to the worker. Off, and nothing imported, unless a collector is named.

A root span (`Tracing.begin`) is begun by those who are given the `Tracing`; the steps below need none: `step` finds
the work in hand by itself, also in the tasks that it starts, and does nothing where none is traced.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Literal

import structlog

log = structlog.get_logger()

Facts = dict[str, str | int | float]
"""Of a root span: what is put in before it ends becomes its attributes. `name`: what it is called then. `failed`: why
it did."""

Kind = Literal["server", "consumer"]


class Tracing:
    """Off; and what `otel.OpenTelemetry` does when it is on."""

    def begin(self, name: str, parent: str | None, kind: Kind) -> AbstractContextManager[Facts]:  # noqa: ARG002 - off, it needs none
        """A root span, or one below `parent`: a `traceparent` (W3C), from whoever caused it."""
        return nullcontext({})

    def step(self, name: str) -> AbstractContextManager[object]:  # noqa: ARG002 - off, it needs none
        return nullcontext()

    def stages(self, timings: Mapping[str, float], variant: str) -> None:
        """Steps that have just ended, one after another, each after so many seconds."""

    def traceparent(self) -> str | None:
        return None

    def close(self) -> None:
        """Sends what is still to be sent, for a few seconds at most. Blocks."""

    @contextmanager
    def _holding(self) -> Iterator[None]:
        token = _in_hand.set(self)
        try:
            yield
        finally:
            _in_hand.reset(token)


OFF = Tracing()

_in_hand: ContextVar[Tracing] = ContextVar("tracing", default=OFF)


def open_tracing(endpoint: str | None, version: str) -> Tracing:
    """`endpoint`: the base URL of an OTLP/HTTP collector, or None for no traces."""
    if endpoint is None:
        return OFF
    try:
        from proxy.telemetry.otel import OpenTelemetry  # noqa: PLC0415 - an extra, and not to be paid for when off
    except ImportError:
        log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but no traces are sent: install darkroom-origin[otel]")
        return OFF
    return OpenTelemetry(endpoint, version)


def step(name: str) -> AbstractContextManager[object]:
    """A part of the work in hand."""
    return _in_hand.get().step(name)


def stages(timings: Mapping[str, float], variant: str) -> None:
    """Parts of the work in hand that have just ended, in this order; seconds each."""
    _in_hand.get().stages(timings, variant)


def traceparent() -> str | None:
    """Of the step in hand, for whoever goes on with it elsewhere."""
    return _in_hand.get().traceparent()
