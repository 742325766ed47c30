"""Prometheus metrics. Names and labels are part of the contract; docs/observability.md has all of them."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import anyio.to_thread
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from proxy.telemetry.multiprocess import SharedCounts, make_room


class Metrics:
    """The metrics of one process. The registry is ours, so that two apps in one test do not share counts.

    `folder`: where the server processes of one command count together, each answering for all.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        self._answered = self.registry
        if folder is None:
            ProcessCollector(registry=self.registry)
        else:
            make_room(folder)
            self._answered = CollectorRegistry()
            self._answered.register(SharedCounts(folder))
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
            "Seconds spent by stage of a derivation (fetch, decode, resize, encode, store)",
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
            "late, timeout, unreachable, certificate, credentials, cut, damaged, other)",
            ["operation", "code"],
            registry=self.registry,
        )
        self.store_circuit_open = self._gauge(
            "darkroom_store_circuit_open",
            "Processes that take the bucket to be away and ask it only now and then, by calls (reads, writes)",
            "calls",
        )
        self.lease_fallbacks = Counter(
            "darkroom_lease_fallbacks", "Times that Redis could not be asked for a lease", registry=self.registry
        )
        self.waiting = self._gauge("darkroom_render_waiting", "Work waiting for a render process")
        self.render_charged_bytes = self._gauge(
            "darkroom_render_charged_bytes",
            "Memory that the pictures in hand may take beside what render processes hold at rest",
        )
        self.render_processes = self._gauge(
            "darkroom_render_processes", "Render processes, by state (busy, idle)", "state"
        )
        self.render_ended = Counter(
            "darkroom_render_ended",
            "Render processes that ended and were replaced, by reason (deadline, killed, died, abandoned, recycled)",
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
            "Work not let in, by reason (full: too many wait, late: waited in vain, too_heavy: beyond the budget)",
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
        self.jobs = self._fact("darkroom_jobs", "Warm-up jobs by status", "status")
        self.oldest_job_seconds = self._fact(
            "darkroom_oldest_job_seconds", "Age of the pending job that has waited longest; 0 if none waits"
        )
        self.queue_jobs = self._fact(
            "darkroom_queue_jobs", "Jobs in Redis by BullMQ's state (waiting, active, delayed, failed)", "state"
        )
        self.stale_variants = Counter(
            "darkroom_stale_variants",
            "Variants of another recipe that were served, by what became of them "
            "(refreshed, failed, elsewhere: in another process's hands, deferred: too many in hand)",
            ["size", "format", "outcome"],
            registry=self.registry,
        )
        self.memory_cache_bytes = self._gauge(
            "darkroom_memory_cache_bytes", "Memory held by variants that are asked for often"
        )
        self.memory_cache_variants = self._gauge("darkroom_memory_cache_variants", "Variants in memory")
        self.memory_cache_evictions = Counter(
            "darkroom_memory_cache_evictions", "Variants that left memory for want of room", registry=self.registry
        )
        self.write_back_queue = self._gauge(
            "darkroom_write_back_queue",
            "Write-backs and refreshes in hand; past 256, variants are served and not stored",
        )
        self.request_seconds = Histogram(
            "darkroom_request_seconds",
            "Seconds until a request was answered to its end, by route, method and status; not those from memory",
            ["route", "method", "status"],
            buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
            registry=self.registry,
        )
        self.event_streams = self._gauge("darkroom_event_streams", "Clients that follow a job by Server-Sent Events")
        self.tasks = self._gauge("darkroom_tasks", "Tasks of the event loop: a dozen at rest")
        self.loop_lag_seconds = Histogram(
            "darkroom_event_loop_lag_seconds",
            "How much later than asked for the event loop wakes up, looked at each second",
            buckets=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3),
            registry=self.registry,
        )

    def describe_build(self, versions: Mapping[str, str]) -> None:
        """`versions` by name: ours, and those of what decides the variants' bytes."""
        labels = {re.sub(r"\W", "_", name): version for name, version in versions.items()}
        gauge = self._fact("darkroom_build_info", "Always 1; the labels are the versions in use", *labels)
        gauge.labels(**labels).set(1)

    def watch(self, gauge: Gauge, value: Callable[[], float]) -> None:
        """Has `gauge` show `value`, as of the last second or of the moment when this process is asked."""
        self._watched[gauge] = value

    def sample(self) -> None:
        for gauge, value in self._watched.items():
            gauge.set(value())

    def observe_stages(self, timings: dict[str, float]) -> None:
        for stage, seconds in timings.items():
            self.stage_seconds.labels(stage).observe(seconds)

    async def exposition(self) -> bytes:
        """In a thread: to read the files of several processes takes tens of milliseconds."""
        self.sample()  # here: what gauges look at is the event loop's
        return await anyio.to_thread.run_sync(generate_latest, self._answered)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        """Of something that each process has a part of."""
        return Gauge(name, documentation, labels, registry=self.registry, multiprocess_mode="livesum")

    def _fact(self, name: str, documentation: str, *labels: str) -> Gauge:
        """Of something that is the same for all processes, whichever has looked last."""
        return Gauge(name, documentation, labels, registry=self.registry, multiprocess_mode="mostrecent")
