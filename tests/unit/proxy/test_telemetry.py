"""Metrics, logs and tracing."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from proxy.storage.s3 import _SLOTS
from proxy.telemetry import Metrics, configure_logging
from proxy.telemetry.event_loop import sample_periodically
from proxy.telemetry.tracing import open_tracing
from tests.fakes import sample
from tests.virtual_time import VirtualTimeLoop


@pytest.fixture
def restored_logging() -> Iterator[None]:
    handlers = logging.getLogger().handlers
    yield
    logging.getLogger().handlers = handlers
    structlog.reset_defaults()


async def test_exposition_has_the_documented_names_and_labels() -> None:
    metrics = Metrics()
    metrics.derivations.labels("small", "jpg", "ok").inc()
    metrics.variant_requests.labels("hot").inc()
    metrics.jobs.labels("pending").set(3)
    metrics.observe_stages({"decode": 0.02})

    lines = (await metrics.exposition()).decode().splitlines()

    assert 'darkroom_derivations_total{format="jpg",outcome="ok",size="small"} 1.0' in lines
    assert 'darkroom_variant_requests_total{tier="hot"} 1.0' in lines
    assert 'darkroom_jobs{status="pending"} 3.0' in lines
    assert 'darkroom_stage_seconds_count{stage="decode"} 1.0' in lines
    assert 'darkroom_stage_seconds_sum{stage="decode"} 0.02' in lines
    assert 'darkroom_stage_seconds_bucket{le="0.01",stage="decode"} 0.0' in lines
    assert 'darkroom_stage_seconds_bucket{le="0.03",stage="decode"} 1.0' in lines


def test_every_stage_can_be_observed() -> None:
    metrics, stages = Metrics(), ("fetch", "decode", "resize", "encode", "store")

    metrics.observe_stages(dict.fromkeys(stages, 1.0))

    assert [sample(metrics, "darkroom_stage_seconds_count", stage=stage) for stage in stages] == [1.0] * 5


def test_circuit_metric_describes_every_kind_of_call() -> None:
    kinds = ", ".join(_SLOTS)

    assert f"by calls ({kinds})" in Metrics().store_circuit_open._documentation


def test_two_apps_do_not_share_counts() -> None:
    first, second = Metrics(), Metrics()

    first.variant_requests.labels("hot").inc()

    assert sample(first, "darkroom_variant_requests_total", tier="hot") == 1
    assert sample(second, "darkroom_variant_requests_total", tier="hot") == 0


@pytest.mark.usefixtures("restored_logging")
def test_json_logs_are_one_object_per_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "info")

    structlog.get_logger().info("something happened", upload="8f14")
    structlog.get_logger().debug("not worth a line")

    output = capsys.readouterr()
    [line] = output.err.splitlines()
    assert output.out == ""
    assert json.loads(line) | {"timestamp": ""} == {
        "event": "something happened",
        "upload": "8f14",
        "level": "info",
        "timestamp": "",
    }


@pytest.mark.usefixtures("restored_logging")
def test_library_logs_are_routed_through_structlog(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("json", "info")
    configure_logging("json", "info")
    library = logging.getLogger("some.library")

    library.info("From a library.")
    library.warning("Invalid %s request received.", "HTTP")
    library.error("It failed.", exc_info=ValueError("odd"))

    warning, error = map(json.loads, capsys.readouterr().err.splitlines())
    expected = {"event": "Invalid HTTP request received.", "level": "warning", "library": "some.library"}
    assert warning.items() >= expected.items()
    assert (error["event"], error["level"]) == ("It failed.", "error")
    assert error["exception"].endswith("ValueError: odd")


@pytest.mark.usefixtures("restored_logging")
def test_library_log_with_wrong_arguments_does_not_raise(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", True)
    configure_logging("json", "info")
    handler = logging.getLogger().handlers[-1]
    record = logging.LogRecord("some.library", logging.WARNING, "file.py", 1, "%d pictures", ("x",), None)

    handler.emit(record)  # not through a logger: pytest's own handlers raise

    assert "%d pictures" in capsys.readouterr().err


@pytest.mark.usefixtures("restored_logging")
@pytest.mark.parametrize(("level", "name"), [(35, "warning"), (50, "critical"), (60, "critical"), (1000, "critical")])
def test_library_log_of_a_custom_level_gets_the_next_lower_level(
    capsys: pytest.CaptureFixture[str], level: int, name: str
) -> None:
    configure_logging("json", "info")

    logging.getLogger("some.library").log(level, "odd")

    assert json.loads(capsys.readouterr().err)["level"] == name


@pytest.mark.usefixtures("restored_logging")
def test_console_logs_respect_the_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("console", "error")

    structlog.get_logger().warning("not this")
    structlog.get_logger().error("but this")

    output = capsys.readouterr()
    assert output.out == ""
    assert "but this" in output.err
    assert "not this" not in output.err


async def test_watched_gauge_is_sampled_on_exposition() -> None:
    metrics, things = Metrics(), [1, 2, 3]
    metrics.watch(metrics.memory_cache_variants, lambda: len(things))
    assert "darkroom_memory_cache_variants 3.0" in (await metrics.exposition()).decode().splitlines()

    things.clear()
    assert "darkroom_memory_cache_variants 0.0" in (await metrics.exposition()).decode().splitlines()


@pytest.mark.promise("E7")
def test_event_loop_lag_is_sampled_once_a_second() -> None:
    metrics = Metrics()
    metrics.watch(metrics.memory_cache_variants, lambda: 7)

    async def live(loop: VirtualTimeLoop) -> None:
        taking = asyncio.create_task(sample_periodically(metrics))
        await asyncio.sleep(2.5)
        loop.skipped += 1.0  # simulates a blocked loop
        await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        taking.cancel()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(live(runner.get_loop()))

    assert sample(metrics, "darkroom_memory_cache_variants") == 7
    assert sample(metrics, "darkroom_tasks") == 2
    assert sample(metrics, "darkroom_event_loop_lag_seconds_count") == 3
    assert sample(metrics, "darkroom_event_loop_lag_seconds_bucket", le="0.3") == 2
    assert 0.4 < sample(metrics, "darkroom_event_loop_lag_seconds_sum") < 0.7


async def test_build_info_has_valid_label_names() -> None:
    metrics = Metrics()
    metrics.describe_build({"version": "1.2.3", "zlib in Python": "1.3"})

    assert (
        'darkroom_build_info{version="1.2.3",zlib_in_Python="1.3"} 1.0'
        in (await metrics.exposition()).decode().splitlines()
    )


def test_process_metrics_are_exposed() -> None:
    assert sample(Metrics(), "process_resident_memory_bytes") > 1_000_000


@pytest.mark.slow
def test_opentelemetry_is_not_imported_without_a_collector() -> None:
    program = """
import sys
from ingest.web.ingest_app import create_app
from proxy.settings import Settings
create_app(Settings(data_dir=sys.argv[1]))
wanted = ("proxy.telemetry.otel", "opentelemetry.sdk.trace", "opentelemetry.exporter", "google")  # redis has others
print([name for name in sys.modules if name.startswith(wanted)])
"""
    run = subprocess.run(
        [sys.executable, "-c", program, "/nonexistent"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (run.stdout.strip(), run.returncode) == ("[]", 0), run.stderr


def test_collector_without_otel_extra_logs_a_warning_and_disables_tracing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], restored_logging: None
) -> None:
    configure_logging("json", "info")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)  # makes the import fail
    monkeypatch.delitem(sys.modules, "proxy.telemetry.otel", raising=False)

    tracing = open_tracing("http://127.0.0.1:1", "1")

    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["event"]) == ("warning", "tracing disabled")
    assert "darkroom-origin[otel]" in line["reason"]
    with tracing.begin("a", None, "server"):
        assert tracing.traceparent() is None
