"""nginx's limits for each client, in front of a stub, with rates so low that time does not matter."""

import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.client import until
from tests.conftest import need
from tests.http_client import http
from tests.nginx import PROGRAM, StubOrigin, nginx

SLOW = "rate=1r/m"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "path", "burst"),
    [
        ("rate=20r/s", "/images/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a/status", 200),
        ("rate=200r/s", "/images/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a/small.jpg", 400),
    ],
)
def test_client_that_exceeds_burst_and_rate_gets_429(
    tmp_path: Path, stub: StubOrigin, rate: str, path: str, burst: int
) -> None:
    need(PROGRAM, "nginx-light")
    with nginx(tmp_path, stub.url, stub.url, changes={rate: SLOW}) as url:
        answers = [http.get(url + path) for _ in range(burst + 3)]

    assert [answer.status_code for answer in answers[: burst + 1]] == [200] * (burst + 1)
    refused = answers[-1]  # a minute brings one more
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["cache-control"] == "no-store"
    assert (refused.json()["status"], refused.json()["code"]) == (429, "too_many_requests")


@pytest.mark.slow
def test_client_with_too_many_requests_at_a_time_gets_429(tmp_path: Path, stub: StubOrigin) -> None:
    need(PROGRAM, "nginx-light")
    with (
        nginx(tmp_path, stub.url, stub.url, changes={"limit_conn clients 200": "limit_conn clients 2"}) as url,
        ExitStack() as uploads,
    ):
        assert http.get(f"{url}/images").status_code == 200
        for _ in range(2):
            upload = uploads.enter_context(socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), 10))
            upload.sendall(b"POST /images/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")

        until(lambda: http.get(f"{url}/images").status_code == 429)
        assert http.get(f"{url}/images").json()["code"] == "too_many_requests"

        uploads.close()
        until(lambda: http.get(f"{url}/images").status_code == 200)
