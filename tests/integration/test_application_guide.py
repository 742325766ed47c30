"""The examples of docs/guides/application.md: private images, and uploads straight from browsers."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.camera import camera_jpeg
from tests.client import until
from tests.http_client import http
from tests.server import free_port
from tests.service import PATIENT, Service

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "application.md").read_text()
KEY = "k" * 32


def example(words: str) -> str:
    """Returns the Python example that has `words`."""
    [found] = [text for text in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL) if words in text]
    return str(found)


@pytest.mark.slow
def test_private_image_is_shown_with_the_token_of_the_example(tmp_path: Path) -> None:
    with Service(tmp_path, WARM_UP="false", SIGNING_KEYS=KEY, **PATIENT) as service:
        data, files = {"visibility": "private"}, {"image": camera_jpeg(size=(300, 200))}
        (tmp_path / "private.json").write_text(http.post(f"{service.url}/images/upload", data=data, files=files).text)
        program = example("private.json").replace("http://127.0.0.1:8000", service.url)
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={"SIGNING_KEYS": KEY},
            capture_output=True,
            text=True,
            check=True,
        )
        picture, url = done.stdout.splitlines()

        assert picture.startswith("<picture>")
        assert http.get(url).status_code == 200
        assert http.get(url.partition("?")[0]).status_code == 403


@pytest.mark.slow
def test_back_end_of_the_example_gives_tickets_and_believes_receipts(tmp_path: Path) -> None:
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    program = example("ThreadingHTTPServer").replace("9000", str(port))
    with (
        Service(tmp_path, WARM_UP="false", UPLOAD_KEYS=KEY, CORS_ORIGINS=origin, **PATIENT) as service,
        (tmp_path / "stored").open("w") as stored,
        subprocess.Popen([sys.executable, "-c", program], env={"UPLOAD_KEYS": KEY}, stdout=stored) as shop,
    ):
        try:
            until(lambda: _is_there(origin))
            ticket = http.post(f"{origin}/ticket").json()["ticket"]
            headers = {"authorization": f"Bearer {ticket}", "origin": origin}
            files = {"image": camera_jpeg(size=(300, 200))}
            answer = http.post(f"{service.url}/images/upload", files=files, headers=headers)
            assert answer.headers["access-control-allow-origin"] == origin

            assert http.post(f"{origin}/photos", content=answer.json()["receipt"]).status_code == 200
            assert http.post(f"{origin}/photos", content=ticket).status_code == 400
        finally:
            shop.kill()
    assert (tmp_path / "stored").read_text() == f"{answer.json()['uploadId']}\n"


def _is_there(url: str) -> bool:
    try:
        return http.get(url).status_code == 200
    except httpx.TransportError:
        return False
