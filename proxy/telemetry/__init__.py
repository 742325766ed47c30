"""What an operator sees: metrics, logs, traces. docs/observability.md says what to make of them."""

from proxy.telemetry.logs import configure_logging
from proxy.telemetry.metrics import STAGES, Metrics

__all__ = ["STAGES", "Metrics", "configure_logging"]
