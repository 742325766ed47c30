"""Structured logs and Prometheus metrics. Names and labels are part of the contract."""

import logging
import sys

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

STAGES = ("fetch", "decode", "resize", "encode", "store")


class Metrics:
    """The metrics of one process. The registry is ours, so that two apps in one test do not share counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.derivations = Counter(
            "darkroom_derivations",
            "Variants derived, by outcome (ok, or the error's code)",
            ["size", "format", "outcome"],
            registry=self.registry,
        )
        self.variant_requests = Counter(
            "darkroom_variant_requests",
            "Requests for variants, by where the answer came from (hot, stored, derived, collapsed, refused)",
            ["tier"],
            registry=self.registry,
        )
        self.stage_seconds = Histogram(
            "darkroom_stage_seconds",
            "Seconds spent by stage of a derivation",
            ["stage"],
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
            registry=self.registry,
        )
        self.write_backs = Counter(
            "darkroom_write_backs",
            "Derived variants written to the store, by outcome (stored, lost_race, gone, failed, skipped)",
            ["outcome"],
            registry=self.registry,
        )
        self.store_errors = Counter(
            "darkroom_store_errors",
            "Calls to the bucket that failed, by operation (head, get, download, put, delete, list) and code (S3's, "
            "late, timeout, unreachable, cut, other)",
            ["operation", "code"],
            registry=self.registry,
        )
        self.store_circuit_open = Gauge(
            "darkroom_store_circuit_open",
            "1 while the bucket is taken to be away and is asked only now and then, by calls (reads, writes)",
            ["calls"],
            registry=self.registry,
        )
        self.lock_fallbacks = Counter(
            "darkroom_lock_fallbacks", "Times that Redis could not be asked for a lease", registry=self.registry
        )
        self.waiting = Gauge("darkroom_render_waiting", "Work waiting for a render process", registry=self.registry)
        self.render_charged_bytes = Gauge(
            "darkroom_render_charged_bytes",
            "Memory that the pictures in hand may take beside what render processes hold at rest",
            registry=self.registry,
        )
        self.render_wait_seconds = Histogram(
            "darkroom_render_wait_seconds",
            "Seconds waited for a render process and memory, by priority (live, background)",
            ["priority"],
            buckets=(0.001, 0.01, 0.1, 0.3, 1, 3, 10, 30, 100),
            registry=self.registry,
        )
        self.render_refusals = Counter(
            "darkroom_render_refusals",
            "Work not let in, by reason (full: too many wait, late: waited in vain, too_heavy: beyond the budget)",
            ["reason"],
            registry=self.registry,
        )
        self.uploads = Counter(
            "darkroom_uploads", "Uploads, by outcome (ok, or the error's code)", ["outcome"], registry=self.registry
        )
        self.jobs = Gauge("darkroom_jobs", "Warm-up jobs by status", ["status"], registry=self.registry)

    def observe_stages(self, timings: dict[str, float]) -> None:
        for stage, seconds in timings.items():
            self.stage_seconds.labels(stage).observe(seconds)

    def exposition(self) -> bytes:
        return generate_latest(self.registry)


def configure_logging(log_format: str, level: str) -> None:
    """Logs to standard error: for people (`console`), or a JSON object a line (`json`)."""
    # Tracebacks without the frames' variables, which hold headers and keys.
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer() if log_format == "json" else console
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        processors.append(structlog.processors.format_exc_info)
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # broken bodies are answered, not logged
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
