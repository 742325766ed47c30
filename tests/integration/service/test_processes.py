"""Several processes on one data folder: changes in one reach the others."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import completed, until, upload
from tests.cluster import TINY, small_picture
from tests.http_client import http
from tests.service import PATIENT, Service, darkroom
from tests.watch import Watch


@pytest.mark.slow
def test_two_server_processes_share_one_data_folder(tmp_path: Path) -> None:
    (tmp_path / "darkroom.toml").write_text(TINY)
    with Service(tmp_path, "--workers", "2", RENDER_PROCESSES="1", **PATIENT) as service:
        for upload_id in [upload(service, small_picture(seed)) for seed in range(4)]:
            completed(service, upload_id)
            assert http.get(f"{service.url}/images/{upload_id}/small.jpg").status_code == 200


@pytest.mark.promise("A15")
@pytest.mark.slow
def test_variant_that_times_out_is_paused_in_every_server(tmp_path: Path) -> None:
    (tmp_path / "darkroom.toml").write_text(TINY)
    settings = {"RENDER_PROCESSES": "1", "RENDER_TIMEOUT": "2", "WARM_UP": "false"}
    with Service(tmp_path, **settings) as first, Service(tmp_path, **settings) as second:
        path = f"/images/{upload(first, small_picture(1))}/small.jpg"
        for child in Watch(first.pid).children():
            os.kill(int(child), signal.SIGSTOP)
        assert http.get(first.url + path).status_code == 504

        answer = http.get(second.url + path)

        assert (answer.status_code, answer.json()["code"]) == (503, "derivation_paused")
        assert 0 < int(answer.headers["retry-after"]) <= 11  # 10 s, shared in whole seconds and rounded up


@pytest.mark.slow
def test_stopping_server_ends_event_streams_without_an_error(tmp_path: Path) -> None:
    with Service(tmp_path, WARM_UP="false", LOG_FORMAT="json", **PATIENT) as service:
        events = f"{service.url}/images/{upload(service, small_picture(1))}/events"
        with http.stream("GET", events) as first, http.stream("GET", events) as second:
            streams = [stream.iter_text() for stream in (first, second)]
            assert ['"status": "pending"' in next(stream) for stream in streams] == [True, True]
            service.terminate()
            for stream in streams:
                list(stream)  # a stream that is cut off raises RemoteProtocolError
        service.wait()

        levels = {json.loads(line)["level"] for line in service.log().splitlines() if line.startswith("{")}
        assert levels == {"info"}


class TestRoles:
    """Ingest and proxy, in a process each."""

    @pytest.fixture(scope="class")
    @classmethod
    def ingest(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
        with Service(tmp_path_factory.mktemp("shared"), "--role", "ingest", WARM_UP="false") as service:
            yield service

    @pytest.fixture(scope="class")
    @classmethod
    def proxy(cls, ingest: Service) -> Iterator[Service]:
        nowhere = "postgresql+asyncpg://stranger@127.0.0.1:1/none"
        with Service(ingest.folder, "--role", "proxy", DATABASE_URL=nowhere, **PATIENT) as service:
            yield service

    @pytest.mark.slow
    def test_proxy_role_serves_uploads_of_ingest(self, ingest: Service, proxy: Service) -> None:
        upload_id = upload(ingest, small_picture(1))

        assert http.get(f"{ingest.url}/images/{upload_id}/small.jpg").status_code == 404
        assert http.get(f"{proxy.url}/images/{upload_id}/small.jpg").status_code == 200
        assert http.get(f"{proxy.url}/images/{upload_id}").status_code == 404
        assert http.post(f"{proxy.url}/images/upload").status_code == 404

    @pytest.mark.slow
    def test_deletion_reaches_the_other_processes(self, ingest: Service, proxy: Service) -> None:
        upload_id = upload(ingest, small_picture(2))
        url = f"{proxy.url}/images/{upload_id}/small.webp"
        assert http.get(url).status_code == 200
        assert http.get(url).headers["cache-status"] == "darkroom; hit"

        assert darkroom(ingest.folder, "purge", upload_id).returncode == 0

        until(lambda: http.get(url).status_code == 404, seconds=20)  # without the message it would take a minute
