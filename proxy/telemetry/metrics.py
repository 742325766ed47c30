"""Prometheus metrics. Names and labels are public; docs/observability.md lists all of them."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio.to_thread
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from proxy.telemetry.multiprocess import SharedCounts, preallocate_files


class Metrics:
    """The metrics of one process, in a registry of its own, so that two apps in one test do not share counts.

    `folder`: where the server processes of one command share their counts, so that each can answer for all.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        self._exposed = self.registry
        if folder is None:
            ProcessCollector(registry=self.registry)
        else:
            preallocate_files(folder)
            self._exposed = CollectorRegistry()
            self._exposed.register(SharedCounts(folder))
        self._watched: dict[Gauge, Callable[[], float]] = {}
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
            "Seconds by stage of a derivation (fetch, decode, resize, encode, store)",
            ["stage"],
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
            registry=self.registry,
        )
        self.write_backs = Counter(
            "darkroom_write_backs",
            "Derived variants written to the store, by outcome (stored, lost_race, gone, outdated, failed, skipped)",
            ["outcome"],
            registry=self.registry,
        )
        self.store_errors = Counter(
            "darkroom_store_errors",
            "Calls to the bucket that failed, by operation (head, get, put, list and others) and code (S3's, "
            "timeout, unreachable, certificate, credentials, cut, damaged, other)",
            ["operation", "code"],
            registry=self.registry,
        )
        self.store_circuit_open = self._gauge(
            "darkroom_store_circuit_open",
            "Processes whose circuit breaker for the bucket is open, by calls (reads, lookups, "
            "downloads, writes, deletes)",
            "calls",
        )
        self.lease_fallbacks = Counter(
            "darkroom_lease_fallbacks", "Failures of Redis while acquiring or renewing leases", registry=self.registry
        )
        self.waiting = self._gauge("darkroom_render_waiting", "Derivations waiting for a render process")
        self.render_reserved_bytes = self._gauge(
            "darkroom_render_reserved_bytes",
            "Memory reserved for running derivations, in addition to idle render processes",
        )
        self.render_processes = self._gauge(
            "darkroom_render_processes", "Render processes, by state (busy, idle)", "state"
        )
        self.render_ended = Counter(
            "darkroom_render_ended",
            "Render processes that ended and were replaced, by reason (deadline, killed, died, invalid: it broke the "
            "protocol, forbidden: it made a forbidden system call, abandoned, recycled)",
            ["reason"],
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
            "Derivations refused, by reason (full: queue full, late: deadline passed, too_heavy: beyond the budget)",
            ["reason"],
            registry=self.registry,
        )
        self.uploads = Counter(
            "darkroom_uploads", "Uploads, by outcome (ok, or the error's code)", ["outcome"], registry=self.registry
        )
        self.upload_bytes = Histogram(
            "darkroom_upload_bytes",
            "Bytes of accepted originals",
            buckets=(30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000),
            registry=self.registry,
        )
        self.upload_seconds = Histogram(
            "darkroom_upload_seconds",
            "Seconds from the first byte of an accepted upload until it is durable",
            buckets=(0.03, 0.1, 0.3, 1, 3, 10, 30),
            registry=self.registry,
        )
        self.jobs = self._shared_gauge("darkroom_jobs", "Warm-up jobs by status", "status")
        self.oldest_job_seconds = self._shared_gauge(
            "darkroom_oldest_job_seconds",
            "Age of the pending job that has waited longest, in seconds; 0 if none is pending",
        )
        self.queue_jobs = self._shared_gauge(
            "darkroom_queue_jobs", "Jobs in Redis by BullMQ's state (waiting, active, delayed, failed)", "state"
        )
        self.webhooks = self._shared_gauge(
            "darkroom_webhooks",
            "Webhooks that are not delivered, by status (pending, failed), each up to 10,000",
            "status",
        )
        self.webhook_attempts = Counter(
            "darkroom_webhook_attempts",
            "Attempts to send a webhook, by outcome (delivered, retried: to be sent again, failed: given up)",
            ["outcome"],
            registry=self.registry,
        )
        self.stale_variants = Counter(
            "darkroom_stale_variants",
            "Stale variants that were served, by the outcome of their refresh (refreshed, failed, "
            "elsewhere: another process refreshes it, deferred: too many refreshes already run)",
            ["size", "format", "outcome"],
            registry=self.registry,
        )
        self.memory_cache_bytes = self._gauge("darkroom_memory_cache_bytes", "Bytes of the memory cache")
        self.memory_cache_variants = self._gauge("darkroom_memory_cache_variants", "Variants in the memory cache")
        self.memory_cache_evictions = Counter(
            "darkroom_memory_cache_evictions",
            "Variants evicted from the memory cache to make room",
            registry=self.registry,
        )
        self.write_back_queue = self._gauge(
            "darkroom_write_back_queue",
            "Running write-backs and refreshes; beyond 256, variants are served but not stored",
        )
        self.request_seconds = Histogram(
            "darkroom_request_seconds",
            "Seconds until a response was sent completely, by route, method and status; not of memory cache hits",
            ["route", "method", "status"],
            buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
            registry=self.registry,
        )
        self.event_streams = self._gauge("darkroom_event_streams", "Clients that follow a job by Server-Sent Events")
        self.tasks = self._gauge("darkroom_tasks", "Tasks of the event loop; about a dozen when idle")
        self.loop_lag_seconds = Histogram(
            "darkroom_event_loop_lag_seconds",
            "Seconds that the event loop wakes up late, sampled once a second",
            buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3),
            registry=self.registry,
        )

    def describe_build(self, versions: Mapping[str, str]) -> None:
        """Exposes `versions` by name: Darkroom's, and those of the libraries that decide the variants' bytes."""
        labels = {re.sub(r"\W", "_", name): version for name, version in versions.items()}
        gauge = self._shared_gauge("darkroom_build_info", "Always 1; the labels are the versions in use", *labels)
        gauge.labels(**labels).set(1)

    def watch(self, gauge: Gauge, value: Callable[[], float]) -> None:
        """Sets `gauge` to `value()` once a second and before each scrape of this process."""
        self._watched[gauge] = value

    def sample(self) -> None:
        """Updates the watched gauges."""
        for gauge, value in self._watched.items():
            gauge.set(value())

    def observe_stages(self, timings: dict[str, float]) -> None:
        """Observes the seconds of each stage in `timings`."""
        for stage, seconds in timings.items():
            self.stage_seconds.labels(stage).observe(seconds)

    async def exposition(self) -> bytes:
        """Returns the metrics in Prometheus' text format. Reads the files of all processes, so it works in a thread."""
        self.sample()  # on the event loop, which owns the state that the gauges read
        return await anyio.to_thread.run_sync(generate_latest, self._exposed)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        """A gauge that is summed over the living processes."""
        return Gauge(name, documentation, labels, registry=self.registry, multiprocess_mode="livesum")

    def _shared_gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        """A gauge whose value is the same for all processes; the most recent one counts."""
        return Gauge(name, documentation, labels, registry=self.registry, multiprocess_mode="mostrecent")
