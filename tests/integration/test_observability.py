"""Observability of real processes: metrics of all of them, request ids from the edge to the worker, traces."""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client import until
from tests.cluster import small_picture
from tests.collector import collecting
from tests.http_client import http
from tests.service import Service, Worker, darkroom, free_port

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TINY = "[sizes.tiny]\nwidth = 24\nheight = 24\n"


def upload(service: Service, **headers: str) -> str:
    answer = http.post(
        f"{service.url}/images/upload", files={"image": ("a.jpg", small_picture(1))}, headers=headers, timeout=30
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["uploadId"])


def complete(service: Service, upload_id: str) -> Callable[[], bool]:
    return lambda: http.get(f"{service.url}/images/{upload_id}/status").json()["status"] == "complete"


def lines(program: Service | Worker) -> list[dict[str, Any]]:
    return [json.loads(line) for line in program.log().splitlines() if line.startswith("{")]


@pytest.mark.slow
def test_metrics_of_one_process_sum_all_living_ones(tmp_path: Path) -> None:
    settings = {"WARM_UP": "false", "RENDER_PROCESSES": "1", "MEMORY_CACHE_MB": "0", "TMPDIR": str(tmp_path)}
    with Service(tmp_path / "data", "--workers", "2", **settings) as service:
        until(lambda: service.metric("darkroom_render_processes") == 2)
        upload_id = upload(service)
        for _ in range(20):  # each on its own connection, so that both processes get some
            assert http.get(f"{service.url}/images/{upload_id}/small.jpg").status_code == 200

        assert {service.metric("darkroom_variant_requests_total") for _ in range(10)} == {20}
        assert {service.metric("darkroom_derivations_total") for _ in range(10)} == {1}
        assert {service.metric("darkroom_jobs", status="pending") for _ in range(10)} == {1}
        assert service.metric("process_resident_memory_bytes") > 2 * 30_000_000
        [folder] = tmp_path.glob("darkroom-metrics-*")

        pids = {int(path.stem.rpartition("_")[2]) for path in folder.glob("counter_*.db")}
        os.kill(min(pids), signal.SIGKILL)
        until(lambda: not folder.joinpath(f"counter_{min(pids)}.db").exists())  # its replacement continues the counts
        assert len([*folder.glob("counter_*.db")]) == 2
        until(lambda: service.metric("darkroom_render_processes") == 2)
        assert {service.metric("darkroom_variant_requests_total") for _ in range(10)} == {20}
        service.stop()
    assert [*tmp_path.glob("darkroom-metrics-*")] == []


class TestWorker:
    """A server, and a worker with a port."""

    @pytest.fixture(scope="class")
    @classmethod
    def service(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
        folder = tmp_path_factory.mktemp("observed")
        (folder / "darkroom.toml").write_text(TINY)
        with Service(folder, WARM_UP="false", RENDER_PROCESSES="1") as service:
            yield service

    @pytest.fixture(scope="class")
    @classmethod
    def port(cls) -> int:
        return free_port()

    @pytest.fixture(scope="class")
    @classmethod
    def worker(cls, service: Service, port: int) -> Iterator[Worker]:
        with Worker(
            service.folder, "--port", str(port), RENDER_PROCESSES="1", API_KEYS="key-key-key-key-key"
        ) as worker:
            yield worker
            worker.stop()

    @pytest.mark.slow
    @pytest.mark.parametrize("given", ["from-the-edge", None])
    def test_request_id_reaches_the_worker_log(self, service: Service, worker: Worker, given: str | None) -> None:
        def of(program: Service | Worker, field: str, value: str) -> list[dict[str, Any]]:
            return [line for line in lines(program) if line.get(field) == value and line.get("upload") == upload_id]

        upload_id = upload(service, **({"X-Request-Id": given} if given else {}))
        until(lambda: of(worker, "event", "warm-up ended"))
        [taken] = of(service, "route", "/images/upload")
        [warmed] = of(worker, "event", "warm-up ended")
        assert taken["request"] == warmed["request"]
        assert given in (None, taken["request"])

    @pytest.mark.slow
    def test_worker_answers_health_and_metrics(self, service: Service, worker: Worker, port: int) -> None:
        url, key = f"http://127.0.0.1:{port}", {"Authorization": "Bearer key-key-key-key-key"}
        until(complete(service, upload(service)))
        assert http.get(f"{url}/healthz").status_code == 200
        assert http.get(f"{url}/readyz").json()["checks"] == {"store": "ok", "database": "ok"}
        assert http.get(f"{url}/metrics").status_code == 401
        metrics = http.get(f"{url}/metrics", headers=key).text
        count = len(http.get(f"{service.url}/images").json()["images"])
        assert re.search(rf'^darkroom_derivations_total{{.*size="tiny"}} {count}\.0$', metrics, re.MULTILINE)
        assert f'darkroom_jobs{{status="complete"}} {count}.0' in metrics.splitlines()


@pytest.mark.slow
def test_worker_on_a_public_address_needs_keys(tmp_path: Path) -> None:
    run = darkroom(tmp_path, "worker", "--port", "1024", "--host", "0.0.0.0")
    assert run.returncode == 2
    assert "API_KEYS" in run.stderr


@pytest.mark.slow
def test_one_trace_covers_caller_upload_and_worker(tmp_path: Path) -> None:
    (tmp_path / "darkroom.toml").write_text(TINY)
    with collecting() as collector:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "RENDER_PROCESSES": "1", "MEMORY_CACHE_MB": "0"}
        with Service(tmp_path, WARM_UP="false", **settings) as service:
            upload_id = upload(service, traceparent=f"00-{TRACE}-{CALLER}-01")
            for name in ("tiny.webp", "huge.webp"):
                http.get(f"{service.url}/images/{upload_id}/{name}")
            with Worker(tmp_path, **settings, OTEL_SERVICE_NAME="darkroom-worker") as worker:
                until(complete(service, upload_id))
                worker.stop()
            service.stop()

    taken, warmed = collector.named("POST /images/upload"), collector.named("warm-up")
    assert (taken.trace, taken.parent) == (TRACE, CALLER)
    assert taken.facts["darkroom.upload"] == warmed.facts["darkroom.upload"] == upload_id
    assert taken.facts["http.response.status_code"] == 201
    assert collector.below(taken) == {"receive", "inspect", "store original", "record", "publish", "warm-up"}
    assert collector.below(collector.named("inspect")) == {"wait for admission"}
    stages = {"decode", "resize", "encode"}
    assert collector.below(warmed) == {"fetch original", "wait for admission", "store variant", *stages}
    encoded = [span for span in collector.spans if (span.parent, span.name) == (warmed.id, "encode")]
    assert sorted(span.facts["darkroom.variant"] for span in encoded) == ["tiny.avif", "tiny.jpg"]

    variants = [span for span in collector.spans if span.name == "GET /images/{upload_id}/{variant}"]
    derived, unknown = sorted(variants, key=lambda span: span.facts["http.response.status_code"])
    assert (derived.parent, derived.facts["darkroom.tier"]) == ("", "derived")
    assert collector.below(derived) == {"find stored", "fetch original", "wait for admission", "store variant", *stages}
    assert (unknown.facts["http.response.status_code"], collector.below(unknown)) == (404, set())
    assert collector.services == {"darkroom", "darkroom-worker"}
    assert not any("/readyz" in span.name for span in collector.spans)


@pytest.mark.slow
def test_unreachable_collector_is_logged_and_blocks_nothing(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Service(tmp_path, WARM_UP="false", RENDER_PROCESSES="1", OTEL_EXPORTER_OTLP_ENDPOINT=url) as service:
        upload_id = upload(service)
        assert http.get(f"{service.url}/images/{upload_id}/small.jpg").status_code == 200
        start = time.monotonic()
        service.stop()
        assert time.monotonic() - start < 20
        assert "OpenTelemetry reported a problem" in {line["event"] for line in lines(service)}
        assert all(line.startswith("{") for line in service.log().splitlines())
