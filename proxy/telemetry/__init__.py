"""Metrics, logs and traces. docs/observability.md explains each."""

from proxy.telemetry.logging import configure_logging
from proxy.telemetry.metrics import Metrics

__all__ = ["Metrics", "configure_logging"]
