"""Several processes over one folder: what one of them knows, the others act by."""

import time
from pathlib import Path

from tests.client import completed, upload
from tests.http_client import http
from tests.service import Service, darkroom


def test_two_server_processes_share_one_data_folder(tmp_path: Path, photograph: bytes) -> None:
    with Service(tmp_path, "--workers", "2") as service:
        upload_ids = [upload(service, photograph) for _ in range(4)]
        for upload_id in upload_ids:
            completed(service, upload_id)
            assert http.get(f"{service.url}/images/{upload_id}/large.jpg").status_code == 200


def test_what_one_process_deletes_the_others_forget(tmp_path: Path, photograph: bytes) -> None:
    with Service(tmp_path / "shared") as one, Service(tmp_path / "shared", "--role", "proxy") as two:
        url = f"{two.url}/images/{upload(one, photograph)}/small.webp"
        assert http.get(url, timeout=30).status_code == 200
        assert http.get(url).headers["cache-status"] == "darkroom; hit"

        darkroom(one.folder, "purge", url.split("/")[-2])

        gone = time.monotonic() + 20  # by itself it would find out after a minute
        while http.get(url).status_code == 200:
            assert time.monotonic() < gone
            time.sleep(0.1)
        assert http.get(url).status_code == 404


def test_the_proxy_alone_serves_what_ingest_stored(tmp_path: Path, photograph: bytes) -> None:
    with Service(tmp_path, "--role", "ingest", WARM_UP="false") as ingest:
        upload_id = upload(ingest, photograph)
        assert http.get(f"{ingest.url}/images/{upload_id}/small.jpg").status_code == 404
        with Service(tmp_path, "--role", "proxy", DATABASE_URL="postgresql+asyncpg://nobody@127.0.0.1:1/none") as proxy:
            assert http.get(f"{proxy.url}/images/{upload_id}/small.jpg").status_code == 200
            assert http.get(f"{proxy.url}/images/{upload_id}").status_code == 404
            assert http.post(f"{proxy.url}/images/upload").status_code == 404
