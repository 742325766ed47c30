"""What the README's lines do: an upload by curl, and its deletion."""

import subprocess
from pathlib import Path

from tests.client import completed, upload
from tests.http_client import http
from tests.service import Service


def test_curl_uploads_and_is_told_why_not(tmp_path: Path, photograph: bytes) -> None:
    """The line that the README shows, by the client that it names."""
    (tmp_path / "photo.jpg").write_bytes(photograph)
    (tmp_path / "large.jpg").write_bytes(photograph.ljust(40 << 20, b"\0"))
    with Service(tmp_path, WARM_UP="false") as service:

        def curl(name: str, *options: str) -> tuple[str, str]:
            command = ["curl", "-sS", "-w", "\n%{http_code}", *options, "-F", f"image=@{name}"]
            done = subprocess.run(
                [*command, f"{service.url}/images/upload"], cwd=tmp_path, text=True, capture_output=True, check=True
            )
            body, _, status = done.stdout.rpartition("\n")
            return status, body

        assert curl("photo.jpg")[0] == "201"
        for options in ((), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect:")):
            status, body = curl("large.jpg", *options)
            assert status == "413"
            assert '"code": "too_large"' in body
        status, body = curl("server.log")
        assert status == "400"
        assert '"code": "unsupported_format"' in body
        assert list((tmp_path / "data" / "tmp").iterdir()) == []


def test_deleting_leaves_nothing(tmp_path: Path, photograph: bytes) -> None:
    with Service(tmp_path) as service:
        upload_id = upload(service, photograph)
        completed(service, upload_id)
        assert http.delete(f"{service.url}/images/{upload_id}").status_code == 204
        assert http.delete(f"{service.url}/images/{upload_id}").status_code == 404
        for path in ("", "/status", "/small.jpg", "/large@2x.webp"):
            assert http.get(f"{service.url}/images/{upload_id}{path}").status_code == 404
        left = [path for path in (tmp_path / "data").rglob("*") if upload_id in path.name]
        assert left == [tmp_path / "data" / "purges" / upload_id]  # the announcement, for two minutes
