"""What an operator sees: metrics, logs, traces. docs/observability.md says what to make of them."""

from proxy.telemetry.logging import configure_logging
from proxy.telemetry.metrics import Metrics

__all__ = ["Metrics", "configure_logging"]
